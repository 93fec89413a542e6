//! Rows that a plugin refuses.

use crate::ByteStrings;

/// Row numbers (ascending, each once), rules as indices into the plan's rules, and reasons for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejections {
    pub(crate) rows: Vec<u32>,
    pub(crate) rules: Vec<u16>,
    pub(crate) reasons: ByteStrings,
}

impl Default for Rejections {
    fn default() -> Rejections {
        Rejections {
            rows: Vec::new(),
            rules: Vec::new(),
            reasons: ByteStrings { offsets: vec![0], data: Vec::new() },
        }
    }
}

impl Rejections {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Rejects a row. Rows must be pushed in ascending order; of several refusals of a row the first counts.
    pub fn push(&mut self, row: usize, rule: u16, reason: &str) {
        let row = row as u32;
        if self.rows.last().is_some_and(|last| *last >= row) {
            debug_assert_eq!(self.rows.last(), Some(&row), "rows are rejected in ascending order");
            return;
        }
        self.rows.push(row);
        self.rules.push(rule);
        self.reasons.data.extend_from_slice(reason.as_bytes());
        self.reasons.offsets.push(self.reasons.data.len() as i32);
    }

    /// Row, rule and reason of each rejection.
    pub fn iter(&self) -> impl Iterator<Item = (usize, u16, &str)> {
        let reasons = crate::Strings::new(&self.reasons);
        self.rows
            .iter()
            .zip(&self.rules)
            .enumerate()
            .map(move |(i, (row, rule))| (*row as usize, *rule, reasons.text(i)))
    }
}
