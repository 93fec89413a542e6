//! Other YAML files than the pipeline's, read with the same care: errors have a place, unknown keys are refused.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::document::Node;
use super::error::{ConfigError, DocumentPath, Problem};
use super::typed;

/// What stands where in a file that was read.
#[derive(Debug)]
pub struct Places {
    file: PathBuf,
    document: Node,
}

impl Places {
    /// Line of what `path` names, counted from 1.
    pub fn line(&self, path: &DocumentPath) -> u64 {
        self.document.position_of(path).line
    }

    /// An error about what `path` names.
    pub fn error(&self, path: &DocumentPath, message: impl Into<String>) -> ConfigError {
        let position = Some(self.document.position_of(path));
        let problem = Problem { path: path.clone(), position, message: message.into() };
        ConfigError::Invalid { file: self.file.clone(), problems: vec![problem] }
    }
}

/// Reads a file as it stands: nothing in it is interpolated.
pub fn read_file<T: DeserializeOwned>(file: &Path) -> Result<(T, Places), ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    read_text(file, &text)
}

/// Reads a text; errors name it `name`.
pub fn read_text<T: DeserializeOwned>(name: &Path, text: &str) -> Result<(T, Places), ConfigError> {
    let invalid = |problem| ConfigError::Invalid { file: name.to_owned(), problems: vec![problem] };
    let document = Node::parse(text).map_err(invalid)?;
    let value = typed::read(&document).map_err(invalid)?;
    Ok((value, Places { file: name.to_owned(), document }))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn errors_have_a_place() {
        let read = |text| read_text::<IndexMap<String, u8>>(Path::new("a.yaml"), text);
        let (value, places) = read("x: 1\ny: 2\n").unwrap();
        assert_eq!(value["y"], 2);
        let y = DocumentPath::default().key("y");
        assert_eq!(places.line(&y), 2);
        assert_eq!(places.error(&y, "too small").to_string(), "a.yaml:2:4: y: too small");
        let wrong = read("x: 1\ny: ${Y}\n").unwrap_err().to_string();
        assert!(wrong.starts_with("a.yaml:2:4: y: `${Y}`: "), "{wrong}");
        assert!(read("x: [").unwrap_err().to_string().starts_with("a.yaml:1:"));
    }
}
