//! Two trials of the same rows, cut otherwise: what does not come out the same.

use super::trial::{Fate, Trial};
use super::verdict::{MAX_TOLD, shown_row};

/// What comes out otherwise when the same rows are cut otherwise; nothing if it is the same. New rows may come in
/// another order.
pub fn cut_differences(as_written: &Trial, otherwise: &Trial) -> Vec<String> {
    let mut told: Vec<String> = as_written
        .fates
        .iter()
        .zip(&otherwise.fates)
        .enumerate()
        .filter(|(_, (before, after))| before != after)
        .map(|(row, (before, after))| {
            format!("  row {}: {}, not {}", row + 1, shown_fate(after), shown_fate(before))
        })
        .collect();
    let sorted = |trial: &Trial| {
        let mut rows: Vec<String> = trial.made.iter().map(shown_row).collect();
        rows.sort();
        rows
    };
    let (before, after) = (sorted(as_written), sorted(otherwise));
    told.extend(only_in(&before, &after).map(|row| format!("  no new row {row}")));
    told.extend(only_in(&after, &before).map(|row| format!("  another new row {row}")));
    let more = told.len().saturating_sub(MAX_TOLD);
    told.truncate(MAX_TOLD);
    if more > 0 {
        told.push(format!("  and {more} more"));
    }
    told
}

/// Rows of the first list beyond those of the second; both are sorted.
fn only_in<'a>(these: &'a [String], those: &'a [String]) -> impl Iterator<Item = &'a String> {
    let mut others = those.iter().peekable();
    these.iter().filter(move |row| {
        while others.next_if(|other| other < row).is_some() {}
        others.next_if(|other| other == row).is_none()
    })
}

fn shown_fate(fate: &Fate) -> String {
    match fate {
        Fate::Kept(row) => format!("kept as {}", shown_row(row)),
        Fate::Dropped => "dropped".to_owned(),
        Fate::Rejected { rule, reason } => format!("rejected by {rule} ({reason:?})"),
        Fate::Failed { reason } => format!("failed ({reason:?})"),
        Fate::Late => "late".to_owned(),
        Fate::Used => "used".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::plugin::json_rows::Row;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn trial() -> Trial {
        let fates = vec![Fate::Kept(row(json!({"n": 1}))), Fate::Dropped];
        Trial { fates, made: vec![row(json!({"sum": 3})), row(json!({"sum": 4}))] }
    }

    #[test]
    fn cuts_may_change_the_order_of_new_rows_and_nothing_else() {
        let mut otherwise = trial();
        otherwise.made.reverse();
        assert_eq!(cut_differences(&trial(), &otherwise), Vec::<String>::new());
        otherwise.made.push(row(json!({"sum": 4})));
        otherwise.made.remove(1);
        otherwise.fates[1] = Fate::Kept(Row::new());
        assert_eq!(
            cut_differences(&trial(), &otherwise),
            [
                "  row 2: kept as {}, not dropped",
                r#"  no new row {"sum":3}"#,
                r#"  another new row {"sum":4}"#
            ]
        );
    }
}
