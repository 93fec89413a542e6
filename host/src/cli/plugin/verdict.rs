//! A trial against what a case expects, told so that a person sees what to change.

use serde_json::Value;

use super::comparison::{Difference, compare, row_differences};
use super::expectation::{Expectation, Listed};
use super::json_rows::Row;
use super::trial::{Fate, Trial};

/// Differences of one fate that are told.
pub const MAX_TOLD: usize = 10;

/// A row that was refused or failed, with the row as it came in.
struct Refused<'a> {
    rule: &'a str,
    reason: &'a str,
    row: &'a Row,
}

/// What is not as expected; nothing if all is. `input` are the rows as they came in, one for each fate.
pub fn differences(expectation: &Expectation, input: &[Row], trial: &Trial) -> Vec<String> {
    let with_fate = |wanted: fn(&Fate) -> bool| -> Vec<&Row> {
        let rows = input.iter().zip(&trial.fates);
        rows.filter(|(_, fate)| wanted(fate)).map(|(row, _)| row).collect()
    };
    let kept: Vec<&Row> = trial
        .fates
        .iter()
        .filter_map(|fate| match fate {
            Fate::Kept(row) => Some(row),
            _ => None,
        })
        .collect();
    let dropped = with_fate(|fate| matches!(fate, Fate::Dropped));
    let late = with_fate(|fate| matches!(fate, Fate::Late));
    let (mut rejected, mut failed) = (Vec::new(), Vec::new());
    for (row, fate) in input.iter().zip(&trial.fates) {
        match fate {
            Fate::Rejected { rule, reason } => rejected.push(Refused { rule, reason, row }),
            Fate::Failed { reason } => failed.push(Refused { rule: "", reason, row }),
            _ => {}
        }
    }
    let made: Vec<&Row> = trial.made.iter().collect();
    let rows_differ = |expected: &Row, found: &&Row| row_differences(expected, found);
    let mut told = Vec::new();
    told.extend(fate("kept", &expectation.kept, &kept, rows_differ, shown_row, |row| shown_row(row)));
    told.extend(fate("dropped", &expectation.dropped, &dropped, rows_differ, shown_row, |row| {
        shown_row(row)
    }));
    told.extend(fate("late", &expectation.late, &late, rows_differ, shown_row, |row| shown_row(row)));
    told.extend(fate(
        "rejected",
        &expectation.rejected,
        &rejected,
        |expected, found| {
            let mut differ = row_differences(&expected.row, found.row);
            if expected.rule != found.rule {
                differ.push(format!("the rule is {:?}, expected {:?}", found.rule, expected.rule));
            }
            differ.extend(reason_differs(expected.reason.as_deref(), found.reason));
            differ
        },
        |expected| format!("{}: {}", expected.rule, shown_row(&expected.row)),
        |found| format!("{}: {:?}: {}", found.rule, found.reason, shown_row(found.row)),
    ));
    told.extend(fate(
        "failed",
        &expectation.failed,
        &failed,
        |expected, found| {
            let mut differ = row_differences(&expected.row, found.row);
            differ.extend(reason_differs(expected.reason.as_deref(), found.reason));
            differ
        },
        |expected| shown_row(&expected.row),
        |found| format!("{:?}: {}", found.reason, shown_row(found.row)),
    ));
    told.extend(fate("new", &expectation.made, &made, rows_differ, shown_row, |row| shown_row(row)));
    told
}

fn reason_differs(expected: Option<&str>, found: &str) -> Option<String> {
    let expected = expected.filter(|part| !found.contains(part))?;
    Some(format!("the reason is {found:?}, expected {expected:?} in it"))
}

pub fn shown_row(row: &Row) -> String {
    Value::Object(row.clone()).to_string()
}

fn fate<E, F>(
    name: &str,
    expected: &Listed<E>,
    found: &[F],
    differ: impl Fn(&E, &F) -> Vec<String>,
    show_expected: impl Fn(&E) -> String,
    show_found: impl Fn(&F) -> String,
) -> Vec<String> {
    let (wanted, lines) = match expected {
        Listed::Count(count) if *count == found.len() as u64 => return Vec::new(),
        Listed::Count(count) => {
            (*count, found.iter().map(|row| format!("  found {}", show_found(row))).collect::<Vec<_>>())
        }
        Listed::Each(rows) => {
            let line = |difference: Difference<'_, E, F>| match difference {
                Difference::Changed(at, what) => format!("  row {}: {}", at + 1, what.join("; ")),
                Difference::Missing(row) => format!("  missing {}", show_expected(row)),
                Difference::Unexpected(row) => format!("  unexpected {}", show_found(row)),
            };
            (rows.len() as u64, compare(rows, found, differ).into_iter().map(line).collect())
        }
    };
    let is_count = matches!(expected, Listed::Count(_));
    if lines.is_empty() && !is_count {
        return Vec::new();
    }
    let mut told = vec![match wanted == found.len() as u64 {
        true => format!("{name}:"),
        false => format!("{name}: {} rows, expected {wanted}", found.len()),
    }];
    let more = lines.len().saturating_sub(MAX_TOLD);
    told.extend(lines.into_iter().take(MAX_TOLD));
    if more > 0 {
        told.push(format!("  and {more} more"));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn trial() -> Trial {
        Trial {
            fates: vec![
                Fate::Kept(row(json!({"n": 1, "b": "x"}))),
                Fate::Dropped,
                Fate::Rejected { rule: "odd".into(), reason: "3 is odd".into() },
                Fate::Failed { reason: "trapped: unreachable".into() },
            ],
            made: vec![row(json!({"sum": 3})), row(json!({"sum": 4}))],
        }
    }

    fn told(expectation: Value) -> Vec<String> {
        let input: Vec<Row> = (1..=4).map(|n| row(json!({"n": n}))).collect();
        differences(&serde_json::from_value(expectation).unwrap(), &input, &trial())
    }

    #[test]
    fn what_is_as_expected_is_not_told() {
        let all = json!({
            "kept": [{"n": 1}], "dropped": [{"n": 2}], "failed": [{"reason": "trapped"}],
            "rejected": [{"rule": "odd", "reason": "is odd", "row": {"n": 3}}],
            "new": [{"sum": 3}, {"sum": 4}],
        });
        assert_eq!(told(all), Vec::<String>::new());
        let counts = json!({"kept": 1, "dropped": 1, "failed": 1, "rejected": 1, "new": 2});
        assert_eq!(told(counts), Vec::<String>::new());
    }

    #[test]
    fn what_is_left_out_is_expected_of_no_row() {
        let lines = told(json!({"kept": 2, "dropped": 1, "new": [{"sum": 3}, {"sum": 5}]}));
        assert_eq!(
            lines,
            [
                "kept: 1 rows, expected 2",
                r#"  found {"n":1,"b":"x"}"#,
                "rejected: 1 rows, expected 0",
                r#"  unexpected odd: "3 is odd": {"n":3}"#,
                "failed: 1 rows, expected 0",
                r#"  unexpected "trapped: unreachable": {"n":4}"#,
                "new:",
                "  row 2: `sum` is 4, expected 5",
            ]
        );
    }

    #[test]
    fn rules_and_reasons_are_compared() {
        let expected = json!({"kept": 1, "dropped": 1, "failed": [{"reason": "time"}], "new": 2,
            "rejected": [{"rule": "even", "reason": "even"}]});
        assert_eq!(
            told(expected),
            [
                "rejected:",
                r#"  row 1: the rule is "odd", expected "even"; the reason is "3 is odd", expected "even" in it"#,
                "failed:",
                r#"  row 1: the reason is "trapped: unreachable", expected "time" in it"#,
            ]
        );
    }
}
