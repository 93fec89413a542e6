//! A step's configuration as it stands in the pipeline file, for what leaves the process: references such as
//! `${VARIABLE}` are not resolved in it, and may be resolved elsewhere.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::StepName;
use super::document::{Content, Node, Scalar};
use super::error::{ConfigError, DocumentPath, Position, Problem, Segment};
use super::interpolate::{Variables, interpolate};
use super::typed;

/// A configuration, with the text of the file wherever that holds references.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WrittenConfig {
    pub value: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<WrittenReference>,
}

/// A text of the configuration that holds references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenReference {
    /// A JSON Pointer.
    pub at: String,
    /// Without quotes: what it is resolved to decides on its type.
    pub plain: bool,
}

impl WrittenConfig {
    /// The configuration with its references resolved, from the process environment, then from `.env` in `directory`.
    /// Errors are about `file`.
    pub fn resolved(&self, file: &Path, directory: &Path) -> Result<Value, ConfigError> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let dotenv = super::load::read_dotenv(&directory.join(".env"))?;
        self.resolved_with(&Variables::new(environment, dotenv), directory)
            .map_err(|problems| ConfigError::Invalid { file: file.to_owned(), problems })
    }

    fn resolved_with(&self, variables: &Variables, directory: &Path) -> Result<Value, Vec<Problem>> {
        let mut config = self.value.clone();
        let mut problems = Vec::new();
        for WrittenReference { at, plain } in &self.references {
            let Some(place) = config.pointer_mut(at) else { continue };
            let Some(text) = place.as_str().map(str::to_owned) else { continue };
            let scalar = Scalar { text, plain: *plain, written: None };
            let mut node =
                Node { position: Position { line: 1, column: 1 }, content: Content::Scalar(scalar) };
            let mut found = interpolate(&mut node, variables, directory);
            match typed::read(&node) {
                Ok(value) if found.is_empty() => *place = value,
                Ok(_) => {}
                Err(problem) => found.push(problem),
            }
            let path = at.split('/').filter(|name| !name.is_empty());
            let path = path.fold(DocumentPath::default().key("config"), |path, name| path.key(name));
            problems.extend(found.into_iter().map(|problem| Problem {
                path: path.clone(),
                position: None,
                ..problem
            }));
        }
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

/// The configurations of all steps of an interpolated `document`, as it was before.
pub(super) fn written_configs(document: &Node) -> HashMap<StepName, WrittenConfig> {
    let mut configs = HashMap::new();
    for (layer, body) in entries(member(document, "layers")) {
        let Some(Content::List(steps)) = member(body, "steps").map(|steps| &steps.content) else { continue };
        for step in steps {
            let name = member(step, "name").map(|name| &name.content);
            if let (Some(Content::Scalar(name)), Some(config)) = (name, member(step, "config")) {
                configs.insert((layer.to_owned(), name.text.clone()), written(config));
            }
        }
    }
    configs
}

fn written(config: &Node) -> WrittenConfig {
    let mut config = config.clone();
    let mut references = Vec::new();
    config.for_each_scalar(&mut |path, _, scalar| {
        if let Some(text) = scalar.written.take() {
            references.push(WrittenReference { at: pointer(path), plain: scalar.plain });
            (scalar.text, scalar.plain) = (text, false);
        }
    });
    // It was read before, with other texts.
    WrittenConfig { value: typed::read(&config).unwrap_or_default(), references }
}

fn pointer(path: &DocumentPath) -> String {
    let segments = path.0.iter().map(|segment| match segment {
        Segment::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Index(index) => format!("/{index}"),
    });
    segments.collect()
}

fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    entries(Some(node)).find(|(key, _)| *key == name).map(|(_, node)| node)
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match node.map(|node| &node.content) {
        Some(Content::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(key, node)| (key.name.as_str(), node))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "\
layers:
  gold:
    steps:
      - name: secretive
        config:
          key: ${KEY}
          'a/b~':
            - plain
            - \"${COUNT}\"
            - count: ${COUNT}
          literal: $${KEY}
      - { name: bare }
";

    fn variables(key: &str) -> Variables {
        Variables::new([("KEY".to_owned(), key.to_owned()), ("COUNT".to_owned(), "7".to_owned())], [])
    }

    #[test]
    fn references_stay_as_written_and_are_resolved_elsewhere() {
        let mut document = Node::parse(FILE).unwrap();
        assert_eq!(interpolate(&mut document, &variables("hush"), Path::new("/")), []);
        let configs = written_configs(&document);
        assert_eq!(configs.len(), 1);
        let config = &configs[&("gold".to_owned(), "secretive".to_owned())];
        let told = serde_json::to_string(config).unwrap();
        assert!(!told.contains("hush") && told.contains("${KEY}"), "{told}");
        let config: WrittenConfig = serde_json::from_str(&told).unwrap();
        assert_eq!(
            config.resolved_with(&variables("other"), Path::new("/")).unwrap(),
            json!({"key": "other", "a/b~": ["plain", "7", {"count": 7}], "literal": "${KEY}"})
        );
        let problems = config.resolved_with(&Variables::new([], []), Path::new("/")).unwrap_err();
        assert!(problems[0].to_string().contains("`KEY` is not set"), "{}", problems[0]);
    }
}
