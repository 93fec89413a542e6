//! Nodes over whole columns.

use std::borrow::Cow;

use sluicebox_kernels as kernels;
use sluicebox_plugin::{Bitmap, Error};

use crate::arithmetic::{self, Failed};
use crate::call::call;
use crate::choose::choose;
use crate::compare::compare;
use crate::failure::{Failure, Rule};
use crate::node::{Arithmetic, Comparison, Node};
use crate::truth::Truth;
use crate::vector::{Values, Vector, both, mixed};

pub struct Evaluation<'a> {
    inputs: &'a [Vector<'a>],
    rows: usize,
    pub failures: Vec<Failure>,
}

type Evaluated<'a> = Result<Vector<'a>, Error>;

impl<'a> Evaluation<'a> {
    pub fn new(inputs: &'a [Vector<'a>], rows: usize) -> Evaluation<'a> {
        Evaluation { inputs, rows, failures: Vec::new() }
    }

    /// `needed`: the rows whose values matter; `None`: all. The others have any value, and do not fail.
    pub fn evaluate(&mut self, node: &'a Node, needed: Option<&Bitmap>) -> Evaluated<'a> {
        let rows = self.rows;
        match node {
            Node::Input(at) => self.inputs.get(*at).map(Vector::borrowed).ok_or_else(mixed),
            Node::Constant(constant) => Ok(Vector::constant(constant, rows)),
            Node::Widen(inner) => {
                let inner = self.evaluate(inner, needed)?;
                let values = Values::Floats(inner.ints()?.map(|value| value as f64));
                Ok(Vector { values, present: inner.present })
            }
            Node::Arithmetic(operation, operands, told) => {
                let [left, right] = self.pair(operands, needed)?;
                let (values, failed) = self.arithmetic(*operation, left.values, &right)?;
                let present = both(left.present, right.present, rows);
                Ok(self.without_failed(values, present, failed, told, needed))
            }
            Node::Absolute(inner, told) => {
                let inner = self.evaluate(inner, needed)?;
                let (values, failed) = match &inner.values {
                    Values::Ints(values) => {
                        let (values, failed) = arithmetic::absolute(values, rows);
                        (Values::Ints(values), failed)
                    }
                    _ => (Values::Floats(inner.floats()?.map(f64::abs)), None),
                };
                Ok(self.without_failed(values, inner.present, failed, told, needed))
            }
            Node::Compare(comparison, operands) => {
                let [left, right] = self.pair(operands, needed)?;
                let holds = compare(*comparison, &left, &right, rows)?;
                Ok(Vector::of_bools(holds, both(left.present, right.present, rows)))
            }
            Node::And(operands) => self.junction(operands, needed, Junction::And),
            Node::Or(operands) => self.junction(operands, needed, Junction::Or),
            Node::Not(inner) => {
                let inner = self.evaluate(inner, needed)?;
                let bits = Bitmap::from_bytes(inner.bools()?, rows).inverted();
                Ok(Vector::of_bools(bits, inner.present))
            }
            Node::IsNull(inner) => {
                let inner = self.evaluate(inner, needed)?;
                Ok(Vector::of_bools(inner.presence(rows).inverted(), None))
            }
            Node::In(tested, values) => self.one_of(tested, values, needed),
            Node::Case(branches, otherwise) => self.case(branches, otherwise, needed),
            Node::Coalesce(nodes) => self.coalesce(nodes, needed),
            Node::NullIf(operands) => {
                let [value, unwanted] = self.pair(operands, needed)?;
                let mut equal = compare(Comparison::Eq, &value, &unwanted, rows)?;
                equal.and(unwanted.presence(rows).as_bytes());
                let mut present = value.presence(rows);
                present.and(equal.inverted().as_bytes());
                Ok(Vector { values: value.values, present: Some(present.into_bytes().into()) })
            }
            Node::Cast(inner, kind, to) => {
                let column = self.evaluate(inner, needed)?.into_column(rows);
                let (column, failed) = kernels::cast(&column, kind, *to)?;
                let told = |value: String| format!("`{value}` is not {}", to.describe());
                self.add_failures(failed, Rule::Cast, told, needed);
                Vector::from_column(column)
            }
            Node::ParseTimestamp(inner, format) => {
                let column = self.evaluate(inner, needed)?.into_column(rows);
                let (column, failed) = kernels::parse_timestamps(&column, format)?;
                let told = |value: String| format!("`{value}` is not a timestamp of the format");
                self.add_failures(failed, Rule::ParseTimestamp, told, needed);
                Vector::from_column(column)
            }
            Node::Truncate(inner, unit) => {
                let inner = self.evaluate(inner, needed)?;
                let values = Values::Ints(inner.ints()?.map(|micros| unit.truncate(micros)));
                Ok(Vector { values, present: inner.present })
            }
            Node::Part(inner, part) => {
                let inner = self.evaluate(inner, needed)?;
                let values = Values::Ints(inner.ints()?.map(|micros| part.of(micros)));
                Ok(Vector { values, present: inner.present })
            }
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|argument| self.evaluate(argument, needed));
                let arguments = arguments.collect::<Result<Vec<_>, Error>>()?;
                let values = call(*function, &arguments, rows)?;
                let present = arguments.into_iter().map(|argument| argument.present);
                let present = present.reduce(|all, present| both(all, present, rows)).flatten();
                Ok(Vector { values, present })
            }
        }
    }

    fn pair(&mut self, nodes: &'a [Node; 2], needed: Option<&Bitmap>) -> Result<[Vector<'a>; 2], Error> {
        let [left, right] = nodes;
        Ok([self.evaluate(left, needed)?, self.evaluate(right, needed)?])
    }

    fn arithmetic(
        &self,
        operation: Arithmetic,
        left: Values<'a>,
        right: &Vector<'_>,
    ) -> Result<(Values<'a>, Failed), Error> {
        match left {
            Values::Ints(values) => {
                let (values, failed) = arithmetic::of_ints(operation, &values, right.ints()?, self.rows);
                Ok((Values::Ints(values), failed))
            }
            Values::Floats(values) => {
                let (values, failed) = arithmetic::of_floats(operation, values, right.floats()?, self.rows);
                Ok((Values::Floats(values), failed))
            }
            Values::Bools(_) | Values::Texts(_) => Err(mixed()),
        }
    }

    /// The values, without those of the rows that failed, whose failures are noted.
    fn without_failed<'v>(
        &mut self,
        values: Values<'v>,
        present: Option<Cow<'v, [u8]>>,
        failed: Failed,
        told: &str,
        needed: Option<&Bitmap>,
    ) -> Vector<'v> {
        let Some((mut failed, rule)) = failed else { return Vector { values, present } };
        let rows = self.rows;
        if let Some(present) = &present {
            failed.and(present);
        }
        let reason = match rule {
            Rule::DivisionByZero => format!("`{told}` divides by zero"),
            _ => format!("`{told}` does not fit 64 bits"),
        };
        let is_needed = |row: &usize| needed.is_none_or(|needed| needed.get(*row));
        let new =
            failed.set_rows().filter(is_needed).map(|row| Failure { row, rule, reason: reason.clone() });
        self.failures.extend(new);
        let present = both(present, Some(failed.inverted().into_bytes().into()), rows);
        Vector { values, present }
    }

    fn add_failures(
        &mut self,
        failed: kernels::Failed,
        rule: Rule,
        told: impl Fn(String) -> String,
        needed: Option<&Bitmap>,
    ) {
        let failed = failed.into_iter().filter(|(row, _)| needed.is_none_or(|needed| needed.get(*row)));
        self.failures.extend(failed.map(|(row, value)| Failure { row, rule, reason: told(value) }));
    }

    /// The right side is needed only where the left one leaves it open.
    fn junction(
        &mut self,
        operands: &'a [Node; 2],
        needed: Option<&Bitmap>,
        junction: Junction,
    ) -> Evaluated<'a> {
        let [left, right] = operands;
        let left = Truth::of(&self.evaluate(left, needed)?, self.rows)?;
        let decided = if junction == Junction::And { &left.is_false } else { &left.is_true };
        let open = narrowed(needed, decided.clone().inverted());
        let right = Truth::of(&self.evaluate(right, Some(&open))?, self.rows)?;
        let Truth { mut is_true, mut is_false } = left;
        match junction {
            Junction::And => {
                is_true.and(right.is_true.as_bytes());
                is_false.or(right.is_false.as_bytes());
            }
            Junction::Or => {
                is_true.or(right.is_true.as_bytes());
                is_false.and(right.is_false.as_bytes());
            }
        }
        Ok(Truth { is_true, is_false }.into_vector())
    }

    fn one_of(&mut self, tested: &'a Node, values: &'a [Node], needed: Option<&Bitmap>) -> Evaluated<'a> {
        let rows = self.rows;
        let tested = self.evaluate(tested, needed)?;
        let mut any = Truth { is_true: Bitmap::filled(rows, false), is_false: Bitmap::filled(rows, true) };
        for value in values {
            let value = self.evaluate(value, needed)?;
            let equal = compare(Comparison::Eq, &tested, &value, rows)?;
            let present = both(tested.present.as_deref().map(Cow::Borrowed), value.present, rows);
            let Truth { is_true, is_false } = Truth::of(&Vector::of_bools(equal, present), rows)?;
            any.is_true.or(is_true.as_bytes());
            any.is_false.and(is_false.as_bytes());
        }
        Ok(any.into_vector())
    }

    fn case(
        &mut self,
        branches: &'a [(Node, Node)],
        otherwise: &'a Node,
        needed: Option<&Bitmap>,
    ) -> Evaluated<'a> {
        let mut open = needed.cloned().unwrap_or_else(|| Bitmap::filled(self.rows, true));
        let mut taken = Vec::with_capacity(branches.len());
        for (condition, value) in branches {
            let mut holds = Truth::of(&self.evaluate(condition, Some(&open))?, self.rows)?.is_true;
            holds.and(open.as_bytes());
            open.and(holds.clone().inverted().as_bytes());
            taken.push((self.evaluate(value, Some(&holds))?, holds));
        }
        let mut result = self.evaluate(otherwise, Some(&open))?;
        for (value, holds) in &taken {
            result = choose(holds, value, result, self.rows)?;
        }
        Ok(result)
    }

    fn coalesce(&mut self, nodes: &'a [Node], needed: Option<&Bitmap>) -> Evaluated<'a> {
        let (first, rest) = nodes.split_first().ok_or_else(mixed)?;
        let mut result = self.evaluate(first, needed)?;
        for node in rest {
            let present = result.presence(self.rows);
            let missing = narrowed(needed, present.clone().inverted());
            let other = self.evaluate(node, Some(&missing))?;
            result = choose(&present, &result, other, self.rows)?;
        }
        Ok(result)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Junction {
    And,
    Or,
}

/// The rows that are needed, and among `rows`.
fn narrowed(needed: Option<&Bitmap>, mut rows: Bitmap) -> Bitmap {
    if let Some(needed) = needed {
        rows.and(needed.as_bytes());
    }
    rows
}
