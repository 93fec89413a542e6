//! How a row came out of a step and of its shadow.

use std::fmt;

/// What is counted, for each row of the input; for steps that make new rows, for each of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The same values; or both dropped it, rejected it by the same rule, or broke on it.
    Same,
    /// Both kept it, with other values.
    Different,
    /// The step kept or made it, the shadow did not.
    OnlyPrimary,
    OnlyShadow,
    /// One of both rejected it, or each by another rule.
    Rejection,
    /// It breaks the shadow, and not the step.
    Failed,
    /// It breaks the step, and not the shadow.
    Mended,
    /// The shadow did not see it.
    Skipped,
}

impl Verdict {
    pub const ALL: [Self; 8] = [
        Self::Same,
        Self::Different,
        Self::OnlyPrimary,
        Self::OnlyShadow,
        Self::Rejection,
        Self::Failed,
        Self::Mended,
        Self::Skipped,
    ];

    /// In metrics and samples.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::OnlyPrimary => "only_primary",
            Self::OnlyShadow => "only_shadow",
            Self::Rejection => "rejection",
            Self::Failed => "failed",
            Self::Mended => "mended",
            Self::Skipped => "skipped",
        }
    }
}

/// Rows by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Verdict::ALL.len()]);

impl Counts {
    pub fn of(verdict: Verdict, rows: u64) -> Self {
        let mut counts = Self::default();
        counts.add(verdict, rows);
        counts
    }

    pub fn add(&mut self, verdict: Verdict, rows: u64) {
        self.0[verdict as usize] += rows;
    }

    /// Those that there are any of.
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, u64)> {
        Verdict::ALL.into_iter().zip(self.0).filter(|(_, rows)| *rows > 0)
    }

    /// Whether some of the rows that the shadow saw came out otherwise.
    pub fn differ(&self) -> bool {
        self.iter().any(|(verdict, _)| !matches!(verdict, Verdict::Same | Verdict::Skipped))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (verdict, rows) in self.iter() {
            write!(f, "{separator}{rows} {}", verdict.name())?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("no rows") } else { Ok(()) }
    }
}
