//! From a tree to nodes: finds the columns, and gives everything a type.

use sluicebox_kernels::{CastTo, can_cast};
use sluicebox_plugin::Error;

use crate::node::{Arithmetic, Comparison, Constant, Function, Node};
use crate::tree::{Form, Literal, Operator, Sense, Tree};
use crate::types::Type;
use crate::wrong::{Wrong, mismatch, told, wrong_at};

/// The columns that an expression may name.
pub trait Columns {
    /// The position among the inputs of an evaluation, and the type. Error: [`Error::Schema`], if there is no such
    /// column, or none of a type that the language has.
    fn find(&mut self, name: &str) -> Result<(usize, Type), Error>;
}

/// A node and its type.
pub type Checked = Result<(Node, Type), Wrong>;

pub struct Checker<'a> {
    pub columns: &'a mut dyn Columns,
}

impl Checker<'_> {
    pub fn check(&mut self, tree: &Tree) -> Checked {
        match &tree.form {
            Form::Column(name) => match self.columns.find(name) {
                Ok((at, of)) => Ok((Node::Input(at), of)),
                Err(Error::Schema(what) | Error::Config(what) | Error::Data(what)) => {
                    Err(Wrong::Schema(tree.at, what))
                }
            },
            Form::Literal(literal) => Ok(constant(literal)),
            Form::Negate(inner) => self.negate(tree, inner),
            Form::Not(inner) => Ok((Node::Not(self.boxed(inner, Type::Boolean)?), Type::Boolean)),
            Form::Binary(operator, left, right) => self.binary(tree, *operator, left, right),
            Form::IsNull(inner, sense) => {
                let (node, of) = self.check(inner)?;
                Ok((sensed(Node::IsNull(Box::new(valued(node, of))), *sense), Type::Boolean))
            }
            Form::In(tested, values, sense) => self.one_of(tree, tested, values, *sense),
            Form::Case(branches, otherwise) => self.case(tree, branches, otherwise.as_deref()),
            Form::Cast(inner, to) => self.cast(tree, inner, to),
            Form::Call(name, arguments) => self.call(tree, name, arguments),
        }
    }

    /// A part that must be of a type, or become it.
    pub fn of_type(&mut self, tree: &Tree, wanted: Type) -> Result<Node, Wrong> {
        let (node, found) = self.check(tree)?;
        match wanted.with(found) {
            Some(both) if both == wanted => Ok(converted(node, found, wanted)),
            _ => Err(mismatch(tree, found, wanted.name())),
        }
    }

    pub fn boxed(&mut self, tree: &Tree, wanted: Type) -> Result<Box<Node>, Wrong> {
        self.of_type(tree, wanted).map(Box::new)
    }

    fn negate(&mut self, tree: &Tree, inner: &Tree) -> Checked {
        match self.check(inner)? {
            (Node::Constant(Constant::Int(value)), of) => {
                Ok((Node::Constant(Constant::Int(value.wrapping_neg())), of))
            }
            (node, of @ (Type::Int | Type::Interval)) => {
                Ok((arithmetic(tree, Arithmetic::Multiply, [node, int(-1)]), of))
            }
            (node, Type::Float) => {
                let minus_one = Node::Constant(Constant::Float(-1.0));
                Ok((arithmetic(tree, Arithmetic::Multiply, [node, minus_one]), Type::Float))
            }
            (_, found) => Err(mismatch(inner, found, "a number or an interval")),
        }
    }

    fn binary(&mut self, tree: &Tree, operator: Operator, left: &Tree, right: &Tree) -> Checked {
        let compare = |comparison| (comparison, matches!(comparison, Comparison::Eq | Comparison::Ne));
        let (comparison, takes_booleans) = match operator {
            Operator::And | Operator::Or => {
                let both =
                    Box::new([self.of_type(left, Type::Boolean)?, self.of_type(right, Type::Boolean)?]);
                let node = if operator == Operator::And { Node::And(both) } else { Node::Or(both) };
                return Ok((node, Type::Boolean));
            }
            Operator::Concat => {
                let texts = vec![self.of_type(left, Type::Text)?, self.of_type(right, Type::Text)?];
                return Ok((Node::Call(Function::Concat, texts), Type::Text));
            }
            Operator::Add => return self.arithmetic(tree, Arithmetic::Add, left, right),
            Operator::Subtract => return self.arithmetic(tree, Arithmetic::Subtract, left, right),
            Operator::Multiply => return self.arithmetic(tree, Arithmetic::Multiply, left, right),
            Operator::Divide => return self.arithmetic(tree, Arithmetic::Divide, left, right),
            Operator::Remainder => return self.arithmetic(tree, Arithmetic::Remainder, left, right),
            Operator::Eq => compare(Comparison::Eq),
            Operator::Ne => compare(Comparison::Ne),
            Operator::Lt => compare(Comparison::Lt),
            Operator::Le => compare(Comparison::Le),
            Operator::Gt => compare(Comparison::Gt),
            Operator::Ge => compare(Comparison::Ge),
        };
        let (nodes, of) = self.alike(&[left, right])?;
        match <[Node; 2]>::try_from(nodes) {
            Ok(both) if of != Type::Boolean || takes_booleans => {
                Ok((Node::Compare(comparison, Box::new(both)), Type::Boolean))
            }
            _ => Err(mismatch(left, of, "a type with an order")),
        }
    }

    fn arithmetic(&mut self, tree: &Tree, operation: Arithmetic, left: &Tree, right: &Tree) -> Checked {
        let ((a, of_a), (b, of_b)) = (self.check(left)?, self.check(right)?);
        let Some((operands, result)) = arithmetic_types(operation, of_a, of_b) else {
            return Err(wrong_at(
                tree,
                left,
                right,
                format!(
                    "`{}` does not work on {} and {}",
                    symbol(&tree.form),
                    told(left, of_a),
                    told(right, of_b)
                ),
            ));
        };
        let both = [converted(a, of_a, operands.0), converted(b, of_b, operands.1)];
        // A quotient is of floats, whatever the operands are.
        let both =
            if operation == Arithmetic::Divide { both.map(|node| widened(node, operands.0)) } else { both };
        Ok((arithmetic(tree, operation, both), result))
    }

    /// Parts that must become one type.
    pub fn alike(&mut self, trees: &[&Tree]) -> Result<(Vec<Node>, Type), Wrong> {
        let mut common = Type::Null;
        let mut nodes = Vec::with_capacity(trees.len());
        for tree in trees {
            let (node, of) = self.check(tree)?;
            common = common.with(of).ok_or_else(|| {
                let hint = if common == Type::Timestamp && of == Type::Text { TIMESTAMP_HINT } else { "" };
                mismatch(tree, of, &format!("{}{hint}", common.name()))
            })?;
            nodes.push((node, of));
        }
        // Where there are only nulls any type will do.
        let typed = if common == Type::Null { Type::Int } else { common };
        Ok((nodes.into_iter().map(|(node, of)| converted(node, of, typed)).collect(), common))
    }

    fn one_of(&mut self, tree: &Tree, tested: &Tree, values: &[Tree], sense: Sense) -> Checked {
        if values.is_empty() {
            return Err(Wrong::Expression(tree.at, "`in` needs at least one value".to_owned()));
        }
        let all: Vec<&Tree> = std::iter::once(tested).chain(values).collect();
        let (mut nodes, _) = self.alike(&all)?;
        let tested = nodes.remove(0);
        Ok((sensed(Node::In(Box::new(tested), nodes), sense), Type::Boolean))
    }

    pub fn case(&mut self, tree: &Tree, branches: &[(Tree, Tree)], otherwise: Option<&Tree>) -> Checked {
        let null = Tree::new(tree.at, Form::Literal(Literal::Null));
        let conditions = branches.iter().map(|(condition, _)| self.of_type(condition, Type::Boolean));
        let conditions = conditions.collect::<Result<Vec<Node>, Wrong>>()?;
        let values: Vec<&Tree> =
            branches.iter().map(|(_, value)| value).chain([otherwise.unwrap_or(&null)]).collect();
        let (mut nodes, of) = self.alike(&values)?;
        let otherwise = nodes.pop().map_or(Node::Constant(null_of(of)), |node| node);
        Ok((Node::Case(conditions.into_iter().zip(nodes).collect(), Box::new(otherwise)), of))
    }

    fn cast(&mut self, tree: &Tree, inner: &Tree, to: &str) -> Checked {
        let wanted = match to {
            "int64" => CastTo::Int64,
            "float64" => CastTo::Float64,
            "utf8" => CastTo::Utf8,
            "boolean" => CastTo::Boolean,
            "timestamp" => CastTo::Timestamp,
            _ => {
                let what = format!("expected int64, float64, utf8, boolean or timestamp, found `{to}`");
                return Err(Wrong::Expression(tree.at, what));
            }
        };
        let result = Type::of(&wanted.kind()).unwrap_or(Type::Null);
        let (node, found) = self.check(inner)?;
        match found.kind() {
            _ if found == Type::Null => Ok((Node::Constant(null_of(result)), result)),
            Some(kind) if can_cast(&kind, wanted) => Ok((Node::Cast(Box::new(node), kind, wanted), result)),
            _ => Err(mismatch(inner, found, &format!("what can be cast to {to}"))),
        }
    }
}

const TIMESTAMP_HINT: &str = ", written as in `cast('2026-01-01T00:00:00Z' as timestamp)`";

/// The types of the operands, once converted, and of the result.
fn arithmetic_types(operation: Arithmetic, left: Type, right: Type) -> Option<((Type, Type), Type)> {
    use Arithmetic::{Add, Divide, Multiply, Subtract};
    use Type::{Float, Int, Interval, Timestamp};
    Some(match (operation, left, right) {
        (Add | Subtract, Timestamp, Interval) => ((left, right), Timestamp),
        (Add, Interval, Timestamp) => ((left, right), Timestamp),
        (Subtract, Timestamp, Timestamp) => ((left, right), Interval),
        (Add | Subtract, Interval, Interval) => ((left, right), Interval),
        (Multiply, Interval, Int) | (Multiply, Int, Interval) => ((left, right), Interval),
        (Divide, Interval, Interval) => ((left, right), Float),
        _ => {
            let both = left.with(right).filter(|both| both.is_number())?;
            ((both, both), if operation == Divide { Float } else { both })
        }
    })
}

fn constant(literal: &Literal) -> (Node, Type) {
    let (constant, of) = match literal {
        Literal::Null => (Constant::Null(Box::new(Constant::Int(0))), Type::Null),
        Literal::Bool(value) => (Constant::Bool(*value), Type::Boolean),
        Literal::Int(value) => (Constant::Int(*value), Type::Int),
        Literal::Float(value) => (Constant::Float(*value), Type::Float),
        Literal::Text(text) => (Constant::Text(text.clone().into_bytes()), Type::Text),
        Literal::Interval(micros) => (Constant::Int(*micros), Type::Interval),
    };
    (Node::Constant(constant), of)
}

pub fn null_of(of: Type) -> Constant {
    Constant::Null(Box::new(match of {
        Type::Boolean => Constant::Bool(false),
        Type::Float => Constant::Float(0.0),
        Type::Text => Constant::Text(Vec::new()),
        Type::Null | Type::Int | Type::Timestamp | Type::Interval => Constant::Int(0),
    }))
}

fn int(value: i64) -> Node {
    Node::Constant(Constant::Int(value))
}

fn arithmetic(tree: &Tree, operation: Arithmetic, operands: [Node; 2]) -> Node {
    Node::Arithmetic(operation, Box::new(operands), tree.to_string().into())
}

/// A node of a type as one of a type that it may become.
fn converted(node: Node, from: Type, to: Type) -> Node {
    match (from, to) {
        (Type::Null, to) => Node::Constant(null_of(to)),
        (Type::Int, Type::Float) => Node::Widen(Box::new(node)),
        _ => node,
    }
}

fn widened(node: Node, from: Type) -> Node {
    if from == Type::Float { node } else { Node::Widen(Box::new(node)) }
}

/// A node of any type, a null included.
fn valued(node: Node, of: Type) -> Node {
    if of == Type::Null { Node::Constant(null_of(Type::Int)) } else { node }
}

fn sensed(node: Node, sense: Sense) -> Node {
    if sense == Sense::Not { Node::Not(Box::new(node)) } else { node }
}

fn symbol(form: &Form) -> &'static str {
    if let Form::Binary(operator, ..) = form { operator.symbol() } else { "" }
}
