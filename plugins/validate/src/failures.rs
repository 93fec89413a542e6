//! Which rows of a batch failed which rules, and what follows from it.

use sluicebox_condition::evaluate;
use sluicebox_plugin::{Batch, Bitmap, ByteStrings, Column, Error, Rejections, Values, host};

use crate::rule::{CompiledRule, OnFailure, Rules};

pub struct Failures<'a> {
    rules: &'a [CompiledRule],
    /// For each rule the rows that failed it.
    failed: Vec<Bitmap>,
    rows: usize,
}

impl<'a> Failures<'a> {
    pub fn of(rules: &'a Rules, batch: &Batch) -> Result<Failures<'a>, Error> {
        let failed = rules.all.iter().map(|rule| Ok(evaluate(&rule.test, batch)?.is_false));
        Ok(Failures {
            rules: &rules.all,
            failed: failed.collect::<Result<_, Error>>()?,
            rows: batch.rows as usize,
        })
    }

    /// Counts the failures of each rule.
    pub fn count(&self) {
        for (rule, failed) in self.rules.iter().zip(&self.failed) {
            let rows = failed.count_set();
            if rows > 0 {
                host::count(&rule.name, rows as u64);
            }
        }
    }

    /// The error of the first row that failed a rule of `fail`.
    pub fn stopped(&self) -> Option<Error> {
        let row = self.any_of(OnFailure::Fail)?.set_rows().next()?;
        Some(Error::Data(self.reason(row)))
    }

    /// `None`: no row is dropped.
    pub fn keep(&self) -> Option<Bitmap> {
        Some(self.any_of(OnFailure::Drop)?.inverted())
    }

    pub fn rejected(&self) -> Rejections {
        let mut rejections = Rejections::default();
        let Some(rejected) = self.any_of(OnFailure::Quarantine) else { return rejections };
        for row in rejected.set_rows() {
            rejections.push(row, self.first_rejecting(row), &self.reason(row));
        }
        rejections
    }

    /// A text column: the names of the rules that a row failed.
    pub fn names(&self) -> Column {
        let mut any = Bitmap::filled(self.rows, false);
        self.failed.iter().for_each(|failed| any.or(failed.as_bytes()));
        let mut texts = ByteStrings { offsets: vec![0; self.rows + 1], data: Vec::new() };
        let mut done = 0;
        for row in any.set_rows() {
            texts.offsets[done..=row].fill(texts.data.len() as i32);
            for (at, name) in self.failed_by(row).map(|rule| &rule.name).enumerate() {
                texts.data.extend_from_slice(if at > 0 { b", " } else { b"" });
                texts.data.extend_from_slice(name.as_bytes());
            }
            done = row + 1;
        }
        texts.offsets[done..].fill(texts.data.len() as i32);
        let validity = Some(any.into_bytes());
        Column { length: self.rows as u32, validity, values: Values::Bytes(texts) }
    }

    /// The rows that failed a rule with this consequence; `None` if there is no such rule.
    fn any_of(&self, on_failure: OnFailure) -> Option<Bitmap> {
        let rules = self.rules.iter().zip(&self.failed);
        let mut failed = rules.filter(|(rule, _)| rule.on_failure == on_failure).map(|(_, failed)| failed);
        let mut any = failed.next()?.clone();
        failed.for_each(|failed| any.or(failed.as_bytes()));
        Some(any)
    }

    fn failed_by(&self, row: usize) -> impl Iterator<Item = &'a CompiledRule> {
        let rules = self.rules.iter().zip(&self.failed);
        rules.filter(move |(_, failed)| failed.get(row)).map(|(rule, _)| rule)
    }

    fn reason(&self, row: usize) -> String {
        let told: Vec<&str> = self.failed_by(row).map(|rule| rule.told.as_str()).collect();
        format!("it failed {}", told.join("; "))
    }

    /// Among the rules that reject rows, the number of the first one that the row failed.
    fn first_rejecting(&self, row: usize) -> u16 {
        let rules = self.rules.iter().zip(&self.failed);
        let mut rejecting = rules.filter(|(rule, _)| rule.on_failure == OnFailure::Quarantine);
        rejecting.position(|(_, failed)| failed.get(row)).unwrap_or_default() as u16
    }
}
