//! `${VARIABLE}`, `${VARIABLE:-default}` and `${file:/path}` inside scalar values.

use std::collections::HashMap;
use std::path::Path;

use super::document::Node;
use super::error::{DocumentPath, Problem};

/// Variables by name. Values may be secrets: there is no `Debug`.
pub struct Variables {
    by_name: HashMap<String, String>,
}

impl Variables {
    /// `first` wins over `second`.
    pub fn new(
        first: impl IntoIterator<Item = (String, String)>,
        second: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self { by_name: second.into_iter().chain(first).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }
}

/// Replaces every reference in the values of `document`, and returns what cannot be replaced. Keys stay as
/// they are. Relative paths of files start at `directory`.
pub fn interpolate(document: &mut Node, variables: &Variables, directory: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    document.for_each_scalar(&mut |path: &DocumentPath, position, scalar| {
        if !scalar.text.contains("${") {
            return;
        }
        match replaced(&scalar.text, variables, directory) {
            Ok(text) => scalar.written = Some(std::mem::replace(&mut scalar.text, text)),
            Err(error) => problems.push(Problem {
                path: path.clone(),
                position: Some(position),
                message: error.to_string(),
            }),
        }
    });
    problems
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum InterpolationError {
    #[error(
        "the variable `{0}` is not set: set it, put it into `.env` beside the pipeline file, or give a default: `${{{0}:-default}}`"
    )]
    Missing(String),
    #[error(
        "`${{{0}}}` is not a reference: write `${{NAME}}`, `${{NAME:-default}}` or `${{file:/path}}`; for a literal `${{` write `$${{`"
    )]
    Malformed(String),
    #[error("a `${{` has no `}}`; for a literal `${{` write `$${{`")]
    Unclosed,
    #[error("cannot read the file `{file}`: {reason}")]
    File { file: String, reason: String },
}

fn replaced(text: &str, variables: &Variables, directory: &Path) -> Result<String, InterpolationError> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = &reference["${".len()..];
            continue;
        }
        result.push_str(before);
        let reference = &reference["${".len()..];
        let (inner, after) = reference.split_once('}').ok_or(InterpolationError::Unclosed)?;
        result.push_str(&resolved(inner, variables, directory)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

fn resolved(inner: &str, variables: &Variables, directory: &Path) -> Result<String, InterpolationError> {
    if let Some(file) = inner.strip_prefix("file:") {
        return file_contents(file, directory);
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    // A default cannot hold a reference: the first `}` would end both.
    if !is_name(name) || default.is_some_and(|default| default.contains("${")) {
        return Err(InterpolationError::Malformed(inner.to_owned()));
    }
    match (variables.get(name), default) {
        (None | Some(""), Some(default)) => Ok(default.to_owned()),
        (Some(value), _) => Ok(value.to_owned()),
        (None, None) => Err(InterpolationError::Missing(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    let start = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.as_bytes().first().is_some_and(start)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The last newline is the editor's, not the secret's.
fn file_contents(file: &str, directory: &Path) -> Result<String, InterpolationError> {
    let mut text = std::fs::read_to_string(directory.join(file))
        .map_err(|error| InterpolationError::File { file: file.to_owned(), reason: error.to_string() })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let process = [("USER_NAME", "ann"), ("EMPTY", ""), ("_1", "x")];
        let dotenv = [("USER_NAME", "bob"), ("ONLY", "dotenv")];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Variables::new(process.map(owned), dotenv.map(owned))
    }

    fn text(text: &str) -> Result<String, InterpolationError> {
        replaced(text, &variables(), Path::new("/nowhere"))
    }

    #[test]
    fn references_are_replaced_and_the_process_wins_over_the_file() {
        for (written, expected) in [
            ("${USER_NAME}", "ann"),
            ("${ONLY}", "dotenv"),
            ("a${USER_NAME}b${_1}c", "aannbxc"),
            ("${NONE:-localhost:9092}", "localhost:9092"),
            ("${NONE:-}", ""),
            ("${EMPTY:-full}", "full"),
            ("${EMPTY}", ""),
            ("$${USER_NAME}", "${USER_NAME}"),
            ("$$${USER_NAME}", "$${USER_NAME}"),
            ("$USER_NAME and 5$", "$USER_NAME and 5$"),
            ("ü${USER_NAME}ß", "üannß"),
        ] {
            assert_eq!(text(written).as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        assert_eq!(text("${NONE}"), Err(InterpolationError::Missing("NONE".to_owned())));
        assert_eq!(text("${USER_NAME"), Err(InterpolationError::Unclosed));
        for inner in ["", "1A", "A-B", "A:?x", "A:-${B", " A"] {
            let expected = Err(InterpolationError::Malformed(inner.to_owned()));
            assert_eq!(text(&format!("${{{inner}}}")), expected);
        }
        let message = text("${NONE}").unwrap_err().to_string();
        assert!(message.contains("`NONE`") && message.contains("${NONE:-default}"), "{message}");
    }

    #[test]
    fn a_file_gives_its_contents_without_the_last_newline() {
        let directory = tempfile::tempdir().unwrap();
        for (contents, expected) in [("s3\n", "s3"), ("s3\r\n", "s3"), ("a\n\n", "a\n"), ("s3", "s3")] {
            std::fs::write(directory.path().join("secret"), contents).unwrap();
            assert_eq!(replaced("${file:secret}", &variables(), directory.path()).as_deref(), Ok(expected));
        }
        let absolute = format!("${{file:{}}}", directory.path().join("secret").display());
        assert_eq!(text(&absolute).as_deref(), Ok("s3"));
        assert!(matches!(text("${file:absent}"), Err(InterpolationError::File { .. })));
    }

    #[test]
    fn a_value_cannot_become_structure() {
        let hostile = "x: y\n- \"quoted\" 'and' {a: 1} # ${USER_NAME} *alias";
        let variables = Variables::new([("HOSTILE".to_owned(), hostile.to_owned())], []);
        let mut document = Node::parse("a: ${HOSTILE}\nb: \"${HOSTILE}\"\nc: 1\n").unwrap();
        assert_eq!(interpolate(&mut document, &variables, Path::new("/")), []);
        let read: HashMap<String, serde_json::Value> = super::super::typed::read(&document).unwrap();
        assert_eq!(read["a"], hostile);
        assert_eq!(read["b"], hostile);
        assert_eq!(read.len(), 3);
    }

    #[test]
    fn every_missing_variable_is_reported_with_its_place() {
        let mut document = Node::parse("a: ${ONE}\nb:\n  - ok\n  - ${TWO}\n${KEY}: 1\n").unwrap();
        let problems = interpolate(&mut document, &Variables::new([], []), Path::new("/"));
        let places: Vec<_> = problems
            .iter()
            .map(|problem| (problem.path.to_string(), problem.position.map(|at| (at.line, at.column))))
            .collect();
        assert_eq!(places, [("a".to_owned(), Some((1, 4))), ("b[1]".to_owned(), Some((4, 5)))]);
    }
}
