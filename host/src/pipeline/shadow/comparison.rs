//! What a step and its shadow made of the same batch, row by row.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use arrow::error::ArrowError;

use super::columns::Columns;
use super::kinds::Selection;
use super::values;
use super::verdict::{Counts, Verdict};
use crate::plugin::{Rejected, StepOutcome};

#[derive(Debug, Default, PartialEq)]
pub struct Comparison {
    pub counts: Counts,
    /// Some of each kind.
    pub differences: Vec<Difference>,
}

/// A row that came out otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub verdict: Verdict,
    /// Its number in the batch; none for new rows.
    pub row: Option<usize>,
    /// The columns, of those compared, in which it differs.
    pub columns: Vec<usize>,
    pub primary: Fate,
    pub shadow: Fate,
}

/// What became of a row on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its number among the rows that came out.
    Kept(usize),
    Dropped,
    /// Its number among the rejected rows.
    Rejected(usize),
    /// Its number among the failed rows.
    Failed(usize),
    /// Taken into new rows.
    Used,
    /// A new row, by its number among them.
    Made(usize),
    /// There is no such new row.
    Missing,
}

impl Fate {
    /// In samples.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept(_) => "kept",
            Self::Dropped => "dropped",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::Used => "used",
            Self::Made(_) => "made",
            Self::Missing => "missing",
        }
    }
}

/// Compares what came out. All differences are counted; those that `shown` takes are given.
pub fn compare(
    columns: &Columns,
    primary: &mut StepOutcome,
    shadow: &mut StepOutcome,
    shown: Selection<'_>,
) -> Result<Comparison, ArrowError> {
    let mut found = Found { shown, comparison: Comparison::default() };
    if columns.by_row {
        compare_kept_rows(columns, primary, shadow, &mut found)?;
    } else {
        compare_used_rows(primary, shadow, &mut found);
        compare_new_rows(columns, primary, shadow, &mut found)?;
    }
    Ok(found.comparison)
}

struct Found<'a> {
    shown: Selection<'a>,
    comparison: Comparison,
}

impl Found<'_> {
    fn add(&mut self, difference: Difference, primary: &StepOutcome, shadow: &StepOutcome) {
        self.comparison.counts.add(difference.verdict, 1);
        if difference.verdict != Verdict::Same && self.shown.takes(&difference, primary, shadow) {
            self.comparison.differences.push(difference);
        }
    }

    fn add_same(&mut self, rows: usize) {
        self.comparison.counts.add(Verdict::Same, rows as u64);
    }
}

/// Both sides keep rows as themselves: each row has one fate in each.
fn compare_kept_rows(
    columns: &Columns,
    primary: &mut StepOutcome,
    shadow: &mut StepOutcome,
    found: &mut Found<'_>,
) -> Result<(), ArrowError> {
    let both = &primary.fates.kept & &shadow.fates.kept;
    let differing = differing_columns(columns, primary, shadow, &both)?;
    if differing.is_empty() && have_same_fates(primary, shadow) {
        found.add_same(both.len());
        return Ok(());
    }
    let mut kept_by_both = 0;
    let fates = fates(primary, Fate::Dropped).into_iter().zip(fates(shadow, Fate::Dropped));
    for (row, (one, other)) in fates.enumerate() {
        let mut columns = Vec::new();
        if both.value(row) {
            let differs = differing.iter().filter(|(_, rows)| rows.value(kept_by_both));
            columns = differs.map(|(column, _)| *column).collect();
            kept_by_both += 1;
        }
        let verdict = match columns.is_empty() {
            true => verdict(one, other, primary, shadow),
            false => Verdict::Different,
        };
        let difference = Difference { verdict, row: Some(row), columns, primary: one, shadow: other };
        found.add(difference, primary, shadow);
    }
    Ok(())
}

/// For each column that differs somewhere, a bit for each row that both kept.
fn differing_columns(
    columns: &Columns,
    primary: &mut StepOutcome,
    shadow: &mut StepOutcome,
    both: &BooleanBuffer,
) -> Result<Vec<(usize, BooleanBuffer)>, ArrowError> {
    let of_primary = among(&primary.fates.kept, both);
    let of_shadow = among(&shadow.fates.kept, both);
    let mut differing = Vec::new();
    for (index, name) in columns.compared.iter().enumerate() {
        let (Some(one), Some(other)) = (primary.rows.column(name), shadow.rows.column(name)) else {
            continue;
        };
        let (one, other) = (selected(&one, of_primary.as_ref())?, selected(&other, of_shadow.as_ref())?);
        differing.extend(values::differing(&one, &other)?.map(|rows| (index, rows)));
    }
    Ok(differing)
}

/// Of the rows that are kept, those that `both` has too; `None` for all.
fn among(kept: &BooleanBuffer, both: &BooleanBuffer) -> Option<BooleanArray> {
    let is_all = kept.count_set_bits() == both.count_set_bits();
    (!is_all).then(|| kept.set_indices().map(|row| Some(both.value(row))).collect())
}

fn selected(column: &ArrayRef, rows: Option<&BooleanArray>) -> Result<ArrayRef, ArrowError> {
    rows.map_or_else(|| Ok(column.clone()), |rows| filter(column, rows))
}

/// Rows go into new ones on at least one side: of those that came in, only refusals and failures are compared.
fn compare_used_rows(primary: &StepOutcome, shadow: &StepOutcome, found: &mut Found<'_>) {
    if have_same_fates(primary, shadow) {
        return;
    }
    let used = |fate| if matches!(fate, Fate::Kept(_)) { Fate::Used } else { fate };
    let fates = fates(primary, Fate::Used).into_iter().zip(fates(shadow, Fate::Used));
    for (row, (one, other)) in fates.enumerate() {
        let (one, other) = (used(one), used(other));
        let verdict = verdict(one, other, primary, shadow);
        if verdict != Verdict::Same {
            let columns = Vec::new();
            let difference = Difference { verdict, row: Some(row), columns, primary: one, shadow: other };
            found.add(difference, primary, shadow);
        }
    }
}

/// New rows have no counterpart by themselves: both sides must hold the same ones, in any order.
fn compare_new_rows(
    columns: &Columns,
    primary: &mut StepOutcome,
    shadow: &mut StepOutcome,
    found: &mut Found<'_>,
) -> Result<(), ArrowError> {
    let counts = (primary.rows.num_rows(), shadow.rows.num_rows());
    let column = |outcome: &mut StepOutcome| -> Vec<ArrayRef> {
        columns.compared.iter().filter_map(|name| outcome.rows.column(name)).collect()
    };
    let (ones, others) = (column(primary), column(shadow));
    let unmatched: [Vec<usize>; 2] = if ones.is_empty() {
        [(0..counts.0).collect(), (0..counts.1).collect()]
    } else if ones == others {
        [Vec::new(), Vec::new()]
    } else {
        values::unmatched(&ones, &others)?
    };
    let [only_primary, only_shadow] = unmatched;
    found.add_same(counts.0 - only_primary.len());
    let difference =
        |verdict, primary, shadow| Difference { verdict, row: None, columns: Vec::new(), primary, shadow };
    for row in only_primary {
        found.add(difference(Verdict::OnlyPrimary, Fate::Made(row), Fate::Missing), primary, shadow);
    }
    for row in only_shadow {
        found.add(difference(Verdict::OnlyShadow, Fate::Missing, Fate::Made(row)), primary, shadow);
    }
    Ok(())
}

fn have_same_fates(primary: &StepOutcome, shadow: &StepOutcome) -> bool {
    let rules = |outcome: &StepOutcome| outcome.rejected.as_ref().map(|rejected| rejected.rules.clone());
    primary.fates == shadow.fates && rules(primary) == rules(shadow)
}

fn fates(outcome: &StepOutcome, otherwise: Fate) -> Vec<Fate> {
    let mut fates = vec![otherwise; outcome.fates.kept.len()];
    for (number, row) in outcome.fates.kept.set_indices().enumerate() {
        fates[row] = Fate::Kept(number);
    }
    for (number, row) in outcome.fates.rejected.iter().enumerate() {
        fates[*row as usize] = Fate::Rejected(number);
    }
    for (number, row) in outcome.fates.failed.iter().enumerate() {
        fates[*row as usize] = Fate::Failed(number);
    }
    fates
}

/// Of a row whose values, if both kept it, are the same.
fn verdict(one: Fate, other: Fate, primary: &StepOutcome, shadow: &StepOutcome) -> Verdict {
    match (one, other) {
        (Fate::Failed(_), Fate::Failed(_)) => Verdict::Same,
        (_, Fate::Failed(_)) => Verdict::Failed,
        (Fate::Failed(_), _) => Verdict::Mended,
        (Fate::Rejected(one), Fate::Rejected(other)) => {
            match rule(primary.rejected.as_ref(), one) == rule(shadow.rejected.as_ref(), other) {
                true => Verdict::Same,
                false => Verdict::Rejection,
            }
        }
        (Fate::Rejected(_), _) | (_, Fate::Rejected(_)) => Verdict::Rejection,
        (Fate::Kept(_), Fate::Kept(_)) => Verdict::Same,
        (Fate::Kept(_), _) => Verdict::OnlyPrimary,
        (_, Fate::Kept(_)) => Verdict::OnlyShadow,
        _ => Verdict::Same,
    }
}

/// The rule by which the row of that number was rejected.
pub fn rule(rejected: Option<&Rejected>, number: usize) -> Option<&str> {
    rejected.filter(|rejected| number < rejected.rules.len()).map(|rejected| rejected.rules.value(number))
}
