//! Three-valued logic over whole columns, as in SQL.

use std::cmp::Ordering;

use sluicebox_plugin::{Batch, Bitmap, Error, Place, Strings, same_bytes};

use crate::compile::{ColumnTest, Comparison, Test};

/// The rows for which a test is true, and those for which it is false; in neither it is null.
pub struct Truth {
    pub is_true: Bitmap,
    pub is_false: Bitmap,
}

impl Truth {
    /// For a test that holds or not wherever there is a value.
    fn where_valid(mut is_true: Bitmap, validity: Option<&[u8]>) -> Truth {
        let mut is_false = is_true.clone();
        is_false.invert();
        if let Some(validity) = validity {
            is_true.and(validity);
            is_false.and(validity);
        }
        Truth { is_true, is_false }
    }
}

/// Errors: [`Error::Data`], if the batch is not of the schema that the test was compiled for.
pub fn evaluate(test: &Test, batch: &Batch) -> Result<Truth, Error> {
    let rows = batch.rows as usize;
    match test {
        Test::And(tests) => {
            let mut all =
                Truth { is_true: Bitmap::filled(rows, true), is_false: Bitmap::filled(rows, false) };
            for test in tests {
                let truth = evaluate(test, batch)?;
                all.is_true.and(truth.is_true.as_bytes());
                all.is_false.or(truth.is_false.as_bytes());
            }
            Ok(all)
        }
        Test::Or(tests) => {
            let mut any =
                Truth { is_true: Bitmap::filled(rows, false), is_false: Bitmap::filled(rows, true) };
            for test in tests {
                let truth = evaluate(test, batch)?;
                any.is_true.or(truth.is_true.as_bytes());
                any.is_false.and(truth.is_false.as_bytes());
            }
            Ok(any)
        }
        Test::Not(test) => {
            let Truth { is_true, is_false } = evaluate(test, batch)?;
            Ok(Truth { is_true: is_false, is_false: is_true })
        }
        Test::Column(place, test) => column(place, test, batch),
    }
}

fn column(place: &Place, test: &ColumnTest, batch: &Batch) -> Result<Truth, Error> {
    let rows = batch.rows as usize;
    let validity = place.validity(batch);
    let holds = match test {
        ColumnTest::IsNull | ColumnTest::IsNotNull => {
            let present = match validity.bytes() {
                Some(bytes) => Bitmap::from_bytes(bytes, rows),
                None => Bitmap::filled(rows, true),
            };
            let Truth { is_true, is_false } = Truth::where_valid(present, None);
            return Ok(match test {
                ColumnTest::IsNull => Truth { is_true: is_false, is_false: is_true },
                _ => Truth { is_true, is_false },
            });
        }
        ColumnTest::Bool(value) => {
            let mut bits = Bitmap::from_bytes(place.bits(batch)?, rows);
            if !value {
                bits.invert();
            }
            bits
        }
        ColumnTest::Int(comparison, literal) => compare(*comparison, &place.ints(batch)?, *literal),
        ColumnTest::IntIn(literals) => {
            Bitmap::of_values(&place.ints(batch)?, |value| literals.contains(&value))
        }
        ColumnTest::Float(comparison, literal) => compare(*comparison, &place.floats(batch)?, *literal),
        ColumnTest::FloatIn(literals) => {
            Bitmap::of_values(&place.floats(batch)?, |value| literals.contains(&value))
        }
        ColumnTest::Text(comparison, literal) => compare_text(*comparison, place.strings(batch)?, literal),
        ColumnTest::TextIn(literals) => Bitmap::of_texts(place.strings(batch)?, |text| {
            literals.iter().any(|literal| same_bytes(text, literal))
        }),
        ColumnTest::Prefix(prefix) => Bitmap::of_texts(place.strings(batch)?, |text| {
            text.get(..prefix.len()).is_some_and(|start| same_bytes(start, prefix))
        }),
        ColumnTest::Length(length) => {
            Bitmap::of_texts(place.strings(batch)?, |text| length.contains(&characters(text)))
        }
        ColumnTest::Matches(pattern) => {
            let strings = place.strings(batch)?;
            Bitmap::of_rows(rows, |row| validity.is_valid(row) && pattern.is_match(strings.text(row)))
        }
    };
    Ok(Truth::where_valid(holds, validity.bytes()))
}

/// How many characters a text has: its bytes, but for those that go on with a character.
fn characters(text: &[u8]) -> u32 {
    text.iter().map(|byte| u32::from(*byte as i8 >= -64)).sum()
}

fn compare<T: Copy + PartialOrd>(comparison: Comparison, values: &[T], literal: T) -> Bitmap {
    match comparison {
        Comparison::Eq => Bitmap::of_values(values, |value| value == literal),
        Comparison::Ne => compare(Comparison::Eq, values, literal).inverted(),
        Comparison::Lt => Bitmap::of_values(values, |value| value < literal),
        Comparison::Le => Bitmap::of_values(values, |value| value <= literal),
        Comparison::Gt => Bitmap::of_values(values, |value| value > literal),
        Comparison::Ge => Bitmap::of_values(values, |value| value >= literal),
    }
}

fn compare_text(comparison: Comparison, texts: Strings<'_>, literal: &[u8]) -> Bitmap {
    let ordered = |accepts: fn(Ordering) -> bool| Bitmap::of_texts(texts, |text| accepts(text.cmp(literal)));
    match comparison {
        Comparison::Eq => Bitmap::of_texts(texts, |text| same_bytes(text, literal)),
        Comparison::Ne => compare_text(Comparison::Eq, texts, literal).inverted(),
        Comparison::Lt => ordered(Ordering::is_lt),
        Comparison::Le => ordered(Ordering::is_le),
        Comparison::Gt => ordered(Ordering::is_gt),
        Comparison::Ge => ordered(Ordering::is_ge),
    }
}
