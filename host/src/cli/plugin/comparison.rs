//! Expected rows against those that came: which belong together, and what differs.

use serde_json::Value;

use super::json_rows::Row;

/// Above this product of numbers of rows, rows are paired by their places.
const MAX_ALIGNED: usize = 4_000_000;

/// What is not as expected in a list.
#[derive(Debug, PartialEq)]
pub enum Difference<'a, E, F> {
    /// The row of that number, from 0, among those found, and what differs in it.
    Changed(usize, Vec<String>),
    Missing(&'a E),
    Unexpected(&'a F),
}

/// Aligns two lists so that as many rows as possible are as expected. `differences` gives none for a row that is.
pub fn compare<'a, E, F>(
    expected: &'a [E],
    found: &'a [F],
    differences: impl Fn(&E, &F) -> Vec<String>,
) -> Vec<Difference<'a, E, F>> {
    let same = |e: usize, f: usize| differences(&expected[e], &found[f]).is_empty();
    let shorter = expected.len().min(found.len());
    let head = (0..shorter).take_while(|at| same(*at, *at)).count();
    let tail =
        (0..shorter - head).take_while(|at| same(expected.len() - 1 - at, found.len() - 1 - at)).count();
    let (rows, columns) = (expected.len() - head - tail, found.len() - head - tail);
    let pairs = match rows * columns <= MAX_ALIGNED {
        true => longest_common(rows, columns, |e, f| same(head + e, head + f)),
        false => Vec::new(),
    };
    let mut told = Vec::new();
    let (mut e, mut f) = (0, 0);
    for (next_e, next_f) in pairs.into_iter().chain([(rows, columns)]) {
        // What lies between two rows that fit belongs together in its order.
        while e < next_e && f < next_f {
            let what = differences(&expected[head + e], &found[head + f]);
            if !what.is_empty() {
                told.push(Difference::Changed(head + f, what));
            }
            (e, f) = (e + 1, f + 1);
        }
        told.extend(expected[head + e..head + next_e].iter().map(Difference::Missing));
        told.extend(found[head + f..head + next_f].iter().map(Difference::Unexpected));
        (e, f) = (next_e + 1, next_f + 1);
    }
    told
}

/// The longest pairs of places, ascending in both, that are the same.
fn longest_common(rows: usize, columns: usize, same: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let width = columns + 1;
    let mut lengths = vec![0_u32; (rows + 1) * width];
    let mut is_same = vec![false; rows * columns];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let fits = same(row, column);
            is_same[row * columns + column] = fits;
            lengths[row * width + column] = match fits {
                true => lengths[(row + 1) * width + column + 1] + 1,
                false => lengths[(row + 1) * width + column].max(lengths[row * width + column + 1]),
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        if is_same[row * columns + column] {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if lengths[(row + 1) * width + column] >= lengths[row * width + column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

/// What differs in the columns that `expected` names.
pub fn row_differences(expected: &Row, found: &Row) -> Vec<String> {
    let differs = |(name, expected): (&String, &Value)| match found.get(name) {
        Some(value) if same_value(expected, value) => None,
        Some(value) => Some(format!("`{name}` is {value}, expected {expected}")),
        None => Some(format!("there is no column `{name}`, expected {expected}")),
    };
    expected.iter().filter_map(differs).collect()
}

/// Numbers are the same by value, times by instant, mappings by the members that are expected.
fn same_value(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(expected), Value::Number(found)) => {
            expected == found || (expected.is_f64() != found.is_f64() && expected.as_f64() == found.as_f64())
        }
        (Value::String(expected), Value::String(found)) => {
            let instant = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
            expected == found || instant(expected).is_some_and(|at| instant(found) == Some(at))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(e, f)| same_value(e, f))
        }
        (Value::Object(expected), Value::Object(found)) => row_differences(expected, found).is_empty(),
        _ => expected == found,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn differences(expected: &u8, found: &u8) -> Vec<String> {
        if expected == found { Vec::new() } else { vec![format!("{expected} {found}")] }
    }

    #[test]
    fn rows_that_fit_are_found_around_those_that_do_not() {
        use Difference::{Changed, Missing, Unexpected};
        let told = compare(&[1, 2, 3, 4, 5], &[1, 9, 3, 4, 6, 5], differences);
        assert_eq!(told, [Changed(1, vec!["2 9".to_owned()]), Unexpected(&6)]);
        assert_eq!(compare(&[1, 2], &[2], differences), [Missing(&1)]);
        assert_eq!(compare(&[], &[7], differences), [Unexpected(&7)]);
        assert_eq!(compare(&[1, 2], &[1, 2], differences), []);
    }

    proptest! {
        /// Whatever is told explains all of both lists, and nothing is told of lists that are the same.
        #[test]
        fn differences_account_for_every_row(
            expected in prop::collection::vec(0u8..4, 0..12),
            found in prop::collection::vec(0u8..4, 0..12),
        ) {
            let told = compare(&expected, &found, differences);
            prop_assert_eq!(told.is_empty(), expected == found);
            let count = |which: fn(&Difference<'_, u8, u8>) -> bool| told.iter().filter(|one| which(one)).count();
            let missing = count(|one| matches!(one, Difference::Missing(_)));
            let unexpected = count(|one| matches!(one, Difference::Unexpected(_)));
            prop_assert_eq!(expected.len() - missing, found.len() - unexpected);
        }
    }

    #[test]
    fn values_are_compared_as_people_mean_them() {
        for (expected, found, same) in [
            (json!(1), json!(1.0), true),
            (json!(1), json!(2), false),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), false),
            (json!("2026-01-01T00:00:00Z"), json!("2026-01-01T01:00:00.000+01:00"), true),
            (json!("2026-01-01"), json!("2026-01-02"), false),
            (json!({"a": 1}), json!({"a": 1, "b": 2}), true),
            (json!({"a": 1, "b": null}), json!({"a": 1}), false),
            (json!([1]), json!([1, 2]), false),
            (json!(null), json!(0), false),
        ] {
            assert_eq!(same_value(&expected, &found), same, "{expected} {found}");
        }
    }
}
