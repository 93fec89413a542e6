//! What could not be computed.

use sluicebox_plugin::Rejections;

/// A value that could not be computed, and is null therefore.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub row: usize,
    pub rule: Rule,
    /// For people.
    pub reason: String,
}

impl Failure {
    /// With the name of the column that was to be computed.
    pub fn in_column(self, name: &str) -> Failure {
        Failure { reason: format!("column `{name}`: {}", self.reason), ..self }
    }
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Cast,
    DivisionByZero,
    Overflow,
    ParseTimestamp,
}

impl Rule {
    pub const ALL: [Rule; 4] = [Rule::Cast, Rule::DivisionByZero, Rule::Overflow, Rule::ParseTimestamp];

    /// The names of all, as a plan has them.
    pub fn names() -> Vec<String> {
        Rule::ALL.iter().map(|rule| rule.name().to_owned()).collect()
    }

    /// As rejections have it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Cast => "cast",
            Rule::DivisionByZero => "division_by_zero",
            Rule::Overflow => "overflow",
            Rule::ParseTimestamp => "parse_timestamp",
        }
    }
}

/// Rejects the rows that failed. The first failure of a row gives its rule, a position in [`Rule::ALL`], and its reason.
pub fn rejections(mut failures: Vec<Failure>) -> Rejections {
    failures.sort_by_key(|failure| failure.row);
    failures.dedup_by_key(|failure| failure.row);
    let mut rejections = Rejections::default();
    for Failure { row, rule, reason } in failures {
        let number = Rule::ALL.iter().position(|known| *known == rule).unwrap_or_default();
        rejections.push(row, number as u16, &reason);
    }
    rejections
}
