//! From a condition as written to a test on the columns as they are.

use std::ops::RangeInclusive;

use regex_lite::Regex;
use sluicebox_plugin::{Error, Kind, Literal, Place, Reads, Schema, TimeUnit, kind_name, parse_rfc3339};

use crate::Condition;

/// A condition on columns whose places and types are known.
pub enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Column(Place, ColumnTest),
}

pub enum ColumnTest {
    IsNull,
    IsNotNull,
    Bool(bool),
    Int(Comparison, i64),
    IntIn(Vec<i64>),
    Float(Comparison, f64),
    FloatIn(Vec<f64>),
    Text(Comparison, Vec<u8>),
    TextIn(Vec<Vec<u8>>),
    Prefix(Vec<u8>),
    Matches(Regex),
    /// How many characters, at least and at most.
    Length(RangeInclusive<u32>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Adds the columns that the condition names to `reads`. Errors: [`Error::Config`] for what is no condition,
/// [`Error::Schema`] for what does not fit the columns.
pub fn compile(condition: &Condition, schema: &Schema, reads: &mut Reads) -> Result<Test, Error> {
    let Condition { and, or, not, column, .. } = condition;
    let mut each = |conditions: &[Condition]| -> Result<Vec<Test>, Error> {
        conditions.iter().map(|condition| compile(condition, schema, reads)).collect()
    };
    let tests = column_tests(condition);
    if column.is_none() && !tests.is_empty() {
        return Err(Error::Config("a test such as `eq` needs a `column` beside it".into()));
    }
    match (and, or, not, column) {
        (Some(all), None, None, None) => Ok(Test::And(each(all)?)),
        (None, Some(any), None, None) => Ok(Test::Or(each(any)?)),
        (None, None, Some(not), None) => Ok(Test::Not(Box::new(compile(not, schema, reads)?))),
        (None, None, None, Some(_)) if tests.is_empty() => Err(Error::Config(
            "a `column` needs a test beside it: eq, ne, lt, le, gt, ge, in, prefix, matches, \
             min_length, max_length or is_null"
                .into(),
        )),
        (None, None, None, Some(column)) => {
            let place = reads.add(schema, column)?;
            let mut compiled = Vec::with_capacity(tests.len());
            for test in tests {
                compiled.push(Test::Column(place.clone(), test.compile(&place, column)?));
            }
            Ok(match compiled.pop() {
                Some(only) if compiled.is_empty() => only,
                last => Test::And(compiled.into_iter().chain(last).collect()),
            })
        }
        _ => Err(Error::Config("a condition has exactly one of `and`, `or`, `not` and `column`".into())),
    }
}

enum Written<'a> {
    IsNull(bool),
    Compare(Comparison, &'a Literal),
    In(&'a [Literal]),
    Prefix(&'a str),
    Matches(&'a str),
    Length(RangeInclusive<u32>),
}

fn column_tests(condition: &Condition) -> Vec<Written<'_>> {
    let comparisons = [
        (Comparison::Eq, &condition.eq),
        (Comparison::Ne, &condition.ne),
        (Comparison::Lt, &condition.lt),
        (Comparison::Le, &condition.le),
        (Comparison::Gt, &condition.gt),
        (Comparison::Ge, &condition.ge),
    ];
    let comparisons = comparisons.into_iter();
    let mut tests: Vec<Written> = comparisons
        .filter_map(|(comparison, value)| Some(Written::Compare(comparison, value.as_ref()?)))
        .collect();
    tests.extend(condition.one_of.as_deref().map(Written::In));
    tests.extend(condition.prefix.as_deref().map(Written::Prefix));
    tests.extend(condition.matches.as_deref().map(Written::Matches));
    if condition.min_length.is_some() || condition.max_length.is_some() {
        let (min, max) = (condition.min_length.unwrap_or(0), condition.max_length.unwrap_or(u32::MAX));
        tests.push(Written::Length(min..=max));
    }
    tests.extend(condition.is_null.map(Written::IsNull));
    tests
}

impl Written<'_> {
    fn compile(&self, place: &Place, column: &str) -> Result<ColumnTest, Error> {
        let wrong =
            |what: &str| Error::Schema(format!("column `{column}` is {}: {what}", kind_name(place.kind())));
        match self {
            Written::IsNull(true) => return Ok(ColumnTest::IsNull),
            Written::IsNull(false) => return Ok(ColumnTest::IsNotNull),
            _ => {}
        }
        let hint = match place.kind() {
            Kind::Timestamp(_) => ": write a time as in \"2026-01-01T00:00:00Z\"",
            _ => "",
        };
        let unfit = |value: &Literal| wrong(&format!("it cannot be compared with {value}{hint}"));
        match place.kind() {
            Kind::Utf8 => {
                let bytes = |value: &Literal| Some(value.as_str()?.as_bytes().to_vec());
                match self {
                    Written::Compare(comparison, value) => {
                        Ok(ColumnTest::Text(*comparison, bytes(value).ok_or_else(|| unfit(value))?))
                    }
                    Written::In(values) => Ok(ColumnTest::TextIn(all(values, bytes).map_err(unfit)?)),
                    Written::Prefix(prefix) => Ok(ColumnTest::Prefix(prefix.as_bytes().to_vec())),
                    Written::Matches(pattern) => Regex::new(pattern)
                        .map(ColumnTest::Matches)
                        .map_err(|error| Error::Config(format!("`{pattern}`: {error}"))),
                    Written::Length(length) => Ok(ColumnTest::Length(length.clone())),
                    Written::IsNull(_) => Ok(ColumnTest::IsNull),
                }
            }
            Kind::Boolean => match self {
                Written::Compare(Comparison::Eq, Literal::Bool(value)) => Ok(ColumnTest::Bool(*value)),
                Written::Compare(Comparison::Ne, Literal::Bool(value)) => Ok(ColumnTest::Bool(!value)),
                _ => Err(wrong("it can be tested by `eq` or `ne` true or false, and by `is_null`")),
            },
            Kind::Float32 | Kind::Float64 => match self {
                Written::Compare(comparison, value) => {
                    Ok(ColumnTest::Float(*comparison, value.as_f64().ok_or_else(|| unfit(value))?))
                }
                Written::In(values) => Ok(ColumnTest::FloatIn(all(values, Literal::as_f64).map_err(unfit)?)),
                _ => Err(wrong(FOR_TEXT)),
            },
            kind if is_integer(kind) => {
                let int = |value: &Literal| int_of(value, kind);
                match self {
                    Written::Compare(comparison, value) => {
                        Ok(ColumnTest::Int(*comparison, int(value).ok_or_else(|| unfit(value))?))
                    }
                    Written::In(values) => Ok(ColumnTest::IntIn(all(values, int).map_err(unfit)?)),
                    _ => Err(wrong(FOR_TEXT)),
                }
            }
            _ => Err(wrong("only `is_null` works on this type")),
        }
    }
}

const FOR_TEXT: &str = "`prefix`, `matches`, `min_length` and `max_length` are for text";

fn all<T>(values: &[Literal], convert: impl Fn(&Literal) -> Option<T>) -> Result<Vec<T>, &Literal> {
    values.iter().map(|value| convert(value).ok_or(value)).collect()
}

fn is_integer(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int8
            | Kind::Int16
            | Kind::Int32
            | Kind::Int64
            | Kind::Uint8
            | Kind::Uint16
            | Kind::Uint32
            | Kind::Timestamp(_)
    )
}

/// The literal in the column's terms; for timestamps `None` too if it is no whole number of the column's units.
fn int_of(value: &Literal, kind: &Kind) -> Option<i64> {
    let Kind::Timestamp(timestamp) = kind else { return value.as_i64() };
    let micros = parse_rfc3339(value.as_str()?.as_bytes())?;
    let whole = |unit: i64| (micros % unit == 0).then_some(micros / unit);
    match timestamp.unit {
        TimeUnit::Seconds => whole(1_000_000),
        TimeUnit::Milliseconds => whole(1_000),
        TimeUnit::Microseconds => Some(micros),
        TimeUnit::Nanoseconds => micros.checked_mul(1_000),
    }
}
