//! What is compared, over outcomes as steps give them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use proptest::prelude::*;

use super::columns::Columns;
use super::comparison::{Comparison, Difference, Fate, compare};
use super::kinds::Selection;
use super::verdict::{Counts, Verdict};
use crate::plugin::{Failed, Fates, Rejected, Rows, StepOutcome};
use crate::progress::StepCounts;

/// What becomes of one row.
#[derive(Debug, Clone, PartialEq)]
enum Row {
    /// With these values.
    Kept(i64, Option<String>),
    Dropped,
    Rejected(&'static str),
    Failed,
}

fn kept(number: i64, text: &str) -> Row {
    Row::Kept(number, Some(text.to_owned()))
}

fn batch(rows: &[(i64, Option<String>)]) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(rows.iter().map(|(number, _)| *number));
    let texts: StringArray = rows.iter().map(|(_, text)| text.clone()).collect();
    let columns: [(&str, ArrayRef, bool); 2] =
        [("number", Arc::new(numbers), false), ("text", Arc::new(texts), true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// As a step gives it that keeps rows. `made`: new rows, of a step that makes some; then no row counts as kept.
fn outcome(rows: &[Row], made: Option<&[(i64, Option<String>)]>) -> StepOutcome {
    let numbers = |is: fn(&Row) -> bool| -> Vec<u32> {
        rows.iter().zip(0..).filter(|(row, _)| is(row)).map(|(_, number)| number).collect()
    };
    let (rejected, failed) =
        (numbers(|row| matches!(row, Row::Rejected(_))), numbers(|row| *row == Row::Failed));
    let out: Vec<(i64, Option<String>)> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Kept(number, text) => Some((*number, text.clone())),
            _ => None,
        })
        .collect();
    let aside = |count: usize| batch(&vec![(0, None); count]);
    let rules = rows.iter().filter_map(|row| match row {
        Row::Rejected(rule) => Some(Some(*rule)),
        _ => None,
    });
    let is_kept = |row: &Row| made.is_none() && matches!(row, Row::Kept(..));
    StepOutcome {
        rows: Rows::new(batch(made.unwrap_or(&out))),
        counts: StepCounts::default(),
        rejected: (!rejected.is_empty()).then(|| Rejected {
            rows: aside(rejected.len()),
            rules: rules.collect(),
            reasons: StringArray::from(vec!["why"; rejected.len()]),
        }),
        failed: (!failed.is_empty()).then(|| Failed {
            rows: aside(failed.len()),
            reasons: StringArray::from(vec!["trap"; failed.len()]),
        }),
        fates: Fates { kept: rows.iter().map(is_kept).collect::<BooleanBuffer>(), rejected, failed },
    }
}

fn columns(by_row: bool) -> Columns {
    Columns { by_row, compared: vec!["number".to_owned(), "text".to_owned()], unlike: Vec::new() }
}

fn compared(primary: &[Row], shadow: &[Row]) -> Comparison {
    compare(&columns(true), &mut outcome(primary, None), &mut outcome(shadow, None), all()).unwrap()
}

fn all() -> Selection<'static> {
    Selection::new(usize::MAX, &|_| true)
}

fn counts(of: &[(Verdict, u64)]) -> Counts {
    let mut counts = Counts::default();
    of.iter().for_each(|(verdict, rows)| counts.add(*verdict, *rows));
    counts
}

#[test]
fn each_row_has_one_verdict_whatever_surrounds_it() {
    use Verdict::*;
    let (dropped, failed, hot, cold) =
        (Row::Dropped, Row::Failed, Row::Rejected("hot"), Row::Rejected("cold"));
    let pairs = [
        (kept(1, "a"), kept(1, "a"), Same),
        (kept(2, "a"), kept(3, "a"), Different),
        (kept(2, "a"), Row::Kept(2, None), Different),
        (kept(4, "a"), dropped.clone(), OnlyPrimary),
        (dropped.clone(), kept(5, "a"), OnlyShadow),
        (dropped.clone(), dropped.clone(), Same),
        (hot.clone(), hot.clone(), Same),
        (hot.clone(), cold.clone(), Rejection),
        (hot.clone(), dropped.clone(), Rejection),
        (kept(6, "a"), cold, Rejection),
        (kept(7, "a"), failed.clone(), Failed),
        (hot.clone(), failed.clone(), Failed),
        (failed.clone(), failed.clone(), Same),
        (failed.clone(), kept(8, "a"), Mended),
        (failed, hot, Mended),
        (kept(9, "z"), kept(9, "z"), Same),
    ];
    // In their order and against it, so that each has other neighbours.
    for pairs in [pairs.to_vec(), pairs.iter().rev().cloned().collect()] {
        let (primary, shadow): (Vec<_>, Vec<_>) =
            pairs.iter().map(|(primary, shadow, _)| (primary.clone(), shadow.clone())).unzip();
        let comparison = compared(&primary, &shadow);
        let mut expected = Counts::default();
        pairs.iter().for_each(|(_, _, verdict)| expected.add(*verdict, 1));
        assert_eq!(comparison.counts, expected);
        let differences: Vec<_> =
            pairs.iter().zip(0..).filter(|((_, _, verdict), _)| *verdict != Same).collect();
        assert_eq!(comparison.differences.len(), differences.len());
        for (difference, ((_, _, verdict), row)) in comparison.differences.iter().zip(differences) {
            assert_eq!((difference.verdict, difference.row), (*verdict, Some(row)));
        }
    }
}

#[test]
fn a_difference_names_its_columns_and_its_rows_on_both_sides() {
    let primary = [Row::Dropped, kept(1, "a"), kept(2, "b"), kept(3, "c")];
    let shadow = [kept(0, "x"), kept(1, "a"), Row::Dropped, Row::Kept(4, None)];
    let comparison = compared(&primary, &shadow);
    let last = comparison.differences.last().unwrap();
    let expected = Difference {
        verdict: Verdict::Different,
        row: Some(3),
        columns: vec![0, 1],
        primary: Fate::Kept(2),
        shadow: Fate::Kept(2),
    };
    assert_eq!(*last, expected);
}

#[test]
fn differences_are_all_counted_and_few_are_described() {
    let (primary, shadow) = (vec![kept(1, "a"); 1000], vec![kept(2, "a"); 1000]);
    let three = Selection::new(3, &|_| true);
    let comparison =
        compare(&columns(true), &mut outcome(&primary, None), &mut outcome(&shadow, None), three).unwrap();
    assert_eq!(comparison.counts, counts(&[(Verdict::Different, 1000)]));
    assert_eq!(comparison.differences.len(), 3);
}

/// A kind that comes last in a batch full of another one is shown: by columns, and by rules.
#[test]
fn a_rare_kind_is_shown_beside_a_frequent_one() {
    let hot = Row::Rejected("hot");
    let mut primary = vec![kept(1, "a"); 5000];
    let mut shadow = vec![kept(2, "a"); 5000];
    primary.extend(vec![hot.clone(); 5000]);
    shadow.extend(vec![Row::Rejected("cold"); 5000]);
    primary.extend([kept(1, "a"), hot]);
    shadow.extend([kept(1, "b"), Row::Rejected("mild")]);
    let seen = std::cell::RefCell::new(HashMap::<String, u32>::new());
    let few = |kind: &str| {
        let mut seen = seen.borrow_mut();
        let count = seen.entry(kind.to_owned()).or_default();
        *count += 1;
        *count <= 2
    };
    let mut sides = (outcome(&primary, None), outcome(&shadow, None));
    let comparison = compare(&columns(true), &mut sides.0, &mut sides.1, Selection::new(64, &few)).unwrap();
    let rows: Vec<_> = comparison.differences.iter().filter_map(|difference| difference.row).collect();
    assert_eq!(rows, [0, 1, 5000, 5001, 10_000, 10_001]);
    let asked: u32 = seen.borrow().values().sum();
    assert_eq!(asked, 3 + 3 + 1 + 1, "a kind that is not wanted any more is not asked for again");
}

#[test]
fn new_rows_are_compared_as_a_heap() {
    let row = |number, text: &str| (number, Some(text.to_owned()));
    let used = [Row::Dropped, Row::Dropped, Row::Rejected("late")];
    let mut primary = outcome(&used, Some(&[row(1, "a"), row(2, "b"), row(2, "b"), row(3, "c")]));
    let others = [Row::Dropped, Row::Failed, Row::Dropped];
    let mut shadow = outcome(&others, Some(&[row(3, "c"), row(2, "b"), row(1, "A")]));
    let comparison = compare(&columns(false), &mut primary, &mut shadow, all()).unwrap();
    let expected = counts(&[
        (Verdict::Same, 2),
        (Verdict::OnlyPrimary, 2),
        (Verdict::OnlyShadow, 1),
        (Verdict::Rejection, 1),
        (Verdict::Failed, 1),
    ]);
    assert_eq!(comparison.counts, expected);
    let only_shadow =
        comparison.differences.iter().find(|found| found.verdict == Verdict::OnlyShadow).unwrap();
    assert_eq!((only_shadow.row, only_shadow.shadow), (None, Fate::Made(2)));
}

#[test]
fn rows_kept_on_one_side_and_made_on_the_other_are_compared_as_new_ones() {
    let mut primary = outcome(&[kept(1, "a"), kept(2, "b")], None);
    let mut shadow = outcome(&[Row::Dropped, Row::Dropped], Some(&[(2, Some("b".to_owned()))]));
    let comparison = compare(&columns(false), &mut primary, &mut shadow, all()).unwrap();
    assert_eq!(comparison.counts, counts(&[(Verdict::Same, 1), (Verdict::OnlyPrimary, 1)]));
}

#[test]
fn without_columns_in_common_no_new_rows_are_the_same() {
    let columns = Columns { by_row: false, compared: Vec::new(), unlike: Vec::new() };
    let made = [(1, None), (2, None)];
    let comparison =
        compare(&columns, &mut outcome(&[], Some(&made)), &mut outcome(&[], Some(&made[..1])), all())
            .unwrap();
    assert_eq!(comparison.counts, counts(&[(Verdict::OnlyPrimary, 2), (Verdict::OnlyShadow, 1)]));
}

fn any_row() -> impl Strategy<Value = Row> {
    prop_oneof![
        6 => (0i64..3, prop::option::of("[ab]{0,2}")).prop_map(|(number, text)| Row::Kept(number, text)),
        1 => Just(Row::Dropped),
        1 => prop_oneof![Just("hot"), Just("cold")].prop_map(Row::Rejected),
        1 => Just(Row::Failed),
    ]
}

proptest! {
    /// Whatever fates rows have: each is counted once, and as it would be alone.
    #[test]
    fn rows_do_not_influence_each_other(rows in prop::collection::vec((any_row(), any_row()), 0..60)) {
        let (primary, shadow): (Vec<Row>, Vec<Row>) = rows.iter().cloned().unzip();
        let mut alone = Counts::default();
        for (primary, shadow) in &rows {
            let one = compared(std::slice::from_ref(primary), std::slice::from_ref(shadow)).counts;
            one.iter().for_each(|(verdict, rows)| alone.add(verdict, rows));
            prop_assert_eq!(one.differ(), primary != shadow);
        }
        prop_assert_eq!(compared(&primary, &shadow).counts, alone);
        prop_assert!(!compared(&primary, &primary).counts.differ());
    }
}
