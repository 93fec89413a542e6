//! What could not be computed.

/// A value that could not be computed, and is null therefore.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub row: usize,
    pub rule: Rule,
    /// For people.
    pub reason: String,
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
