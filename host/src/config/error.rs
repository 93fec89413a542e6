//! What is wrong with a pipeline file, and where.

use std::fmt;
use std::path::PathBuf;

/// Why a pipeline file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    /// Everything found wrong at once, in the order of the file.
    #[error("{}", listed(file, problems))]
    Invalid { file: PathBuf, problems: Vec<Problem> },
}

/// One thing that is wrong. The message never holds an interpolated value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub path: DocumentPath,
    pub position: Option<Position>,
    pub message: String,
}

/// A place in a text; both numbers count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// A place in a document: `layers.silver.steps[0].plugin`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentPath(pub Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Key(String),
    Index(usize),
}

impl DocumentPath {
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if depth == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// One line a problem, in the form that editors and terminals make clickable: `file:line:column: …`.
fn listed(file: &std::path::Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match problem.position {
            Some(Position { line, column }) => format!("{}:{line}:{column}: {problem}", file.display()),
            None => format!("{}: {problem}", file.display()),
        })
        .collect();
    lines.join("\n")
}
