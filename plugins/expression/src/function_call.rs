//! Calls of functions: their arguments and types.

use sluicebox_kernels::TimeFormat;

use crate::check::{Checked, Checker, null_of};
use crate::function::{SIGNATURES, SPECIAL};
use crate::node::Node;
use crate::time::{Part, Unit};
use crate::tree::{Form, Literal, Tree};
use crate::types::Type;
use crate::wrong::{Wrong, count, mismatch};

impl Checker<'_> {
    pub fn call(&mut self, tree: &Tree, name: &str, arguments: &[Tree]) -> Checked {
        if let Some(signature) = SIGNATURES.iter().find(|signature| signature.name == name) {
            if !signature.takes(arguments.len()) {
                return Err(count(tree, name, &signature.arguments(), arguments.len()));
            }
            let nodes = arguments
                .iter()
                .enumerate()
                .map(|(at, argument)| self.of_type(argument, signature.parameter(at).unwrap_or(Type::Null)));
            let nodes = nodes.collect::<Result<Vec<Node>, Wrong>>()?;
            return Ok((Node::Call(signature.function, nodes), signature.result));
        }
        match (name, arguments) {
            ("if", [condition, value, otherwise]) => {
                self.case(tree, &[(condition.clone(), value.clone())], Some(otherwise))
            }
            ("if", _) => Err(count(tree, name, "3", arguments.len())),
            ("coalesce", [_, ..]) => {
                let (nodes, of) = self.alike(&arguments.iter().collect::<Vec<_>>())?;
                Ok((Node::Coalesce(nodes), of))
            }
            ("coalesce", _) => Err(count(tree, name, "at least 1", 0)),
            ("nullif", [value, unwanted]) => {
                let (nodes, of) = self.alike(&[value, unwanted])?;
                match <[Node; 2]>::try_from(nodes) {
                    Ok(both) => Ok((Node::NullIf(Box::new(both)), of)),
                    Err(_) => Err(count(tree, name, "2", 2)),
                }
            }
            ("nullif", _) => Err(count(tree, name, "2", arguments.len())),
            ("abs", [value]) => match self.check(value)? {
                (node, of @ (Type::Int | Type::Float | Type::Interval)) => {
                    Ok((Node::Absolute(Box::new(node), tree.to_string().into()), of))
                }
                (_, found) => Err(mismatch(value, found, "a number or an interval")),
            },
            ("truncate", [time, unit]) => {
                let time = self.boxed(time, Type::Timestamp)?;
                Ok((Node::Truncate(time, named(unit, Unit::parse, Unit::NAMES)?), Type::Timestamp))
            }
            ("parse_timestamp", [text, format]) => {
                let text = self.boxed(text, Type::Text)?;
                let format = named(format, text_format, "a format such as '%d/%m/%Y %H:%M' or 'rfc3339'")?;
                Ok((Node::ParseTimestamp(text, format), Type::Timestamp))
            }
            ("truncate" | "parse_timestamp", _) => Err(count(tree, name, "2", arguments.len())),
            (part, [time]) if Part::parse(part).is_some() => {
                let time = self.boxed(time, Type::Timestamp)?;
                Ok((
                    Part::parse(part)
                        .map_or(Node::Constant(null_of(Type::Int)), |part| Node::Part(time, part)),
                    Type::Int,
                ))
            }
            (one, _) if SPECIAL.contains(&one) => Err(count(tree, name, "1", arguments.len())),
            _ => {
                let known: Vec<&str> =
                    SIGNATURES.iter().map(|signature| signature.name).chain(SPECIAL).collect();
                let what = format!("there is no function `{name}`; there are {}", known.join(", "));
                Err(Wrong::Expression(tree.at, what))
            }
        }
    }
}

fn text_format(written: &str) -> Option<TimeFormat> {
    TimeFormat::new(written).ok().filter(|format| !format.is_number())
}

/// What a text that stands in the expression itself names.
fn named<T>(tree: &Tree, parse: impl Fn(&str) -> Option<T>, wanted: &str) -> Result<T, Wrong> {
    let found = if let Form::Literal(Literal::Text(text)) = &tree.form { parse(text) } else { None };
    found.ok_or_else(|| Wrong::Expression(tree.at, format!("expected {wanted}, found `{tree}`")))
}
