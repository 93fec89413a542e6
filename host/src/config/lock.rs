//! The lock file beside the pipeline file: what references that can move were resolved to, and which steps are held back.
//! The program writes it, people read it and commit it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, DocumentPath};
use super::file::{Places, read_text};
use super::pipeline::Step;
use crate::registry::Digest;

const HEAD: &str = "\
# Written by `sluicebox plugin lock` and `sluicebox plugin rollback`. Commit it beside the pipeline file, and bring it to
# all workers with it.
";

/// In a stable order, so that a change is one line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lock {
    /// By the reference, as the pipeline file has it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, Locked>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// In whose place the holds were set or released: a worker that starts with what was in force before it means it so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<InForce>,
}

/// A configuration, each time that it was put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// The number of the ledger's entry that did.
    pub entry: u64,
    /// Of the configuration.
    pub digest: String,
}

/// What a reference was resolved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The manifest's digest.
    pub manifest: String,
    /// The component's.
    pub sha256: String,
}

/// A step that runs another component than the pipeline file names, kept in the state location, for as long as the file
/// names what it named when the hold was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub layer: String,
    pub step: String,
    /// The component that runs.
    pub sha256: String,
    /// The step's `plugin` in the pipeline file.
    pub plugin: String,
    /// The step's own `sha256` in the pipeline file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

impl Lock {
    /// `pipeline.lock` for `pipeline.yaml`.
    pub fn path(pipeline_file: &Path) -> PathBuf {
        pipeline_file.with_extension("lock")
    }

    /// What is written, or nothing where there is no file.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Unreadable { file: file.to_owned(), source }),
        };
        let (lock, places) = read_text::<Option<Self>>(file, &text)?;
        let lock = lock.unwrap_or_default();
        lock.check(&places)?;
        Ok(lock)
    }

    fn check(&self, places: &Places) -> Result<(), ConfigError> {
        let root = DocumentPath::default();
        for (reference, locked) in &self.plugins {
            let path = root.key("plugins").key(reference);
            if locked.manifest.parse::<Digest>().is_err() {
                return Err(
                    places.error(&path.key("manifest"), "a digest is `sha256:` and 64 hexadecimal digits")
                );
            }
            if Digest::from_hex(&locked.sha256).is_none() {
                return Err(places.error(&path.key("sha256"), "a SHA-256 is 64 hexadecimal digits"));
            }
        }
        for (index, hold) in self.holds.iter().enumerate() {
            if Digest::from_hex(&hold.sha256).is_none() {
                let path = root.key("holds").index(index).key("sha256");
                return Err(places.error(&path, "a SHA-256 is 64 hexadecimal digits"));
            }
        }
        Ok(())
    }

    /// The file's content; `None` if there is nothing to say, and so no file.
    pub fn to_text(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        // Every JSON document is a YAML document, and no text in it means anything else there.
        let document = serde_json::to_string_pretty(self).expect("a lock is a JSON document");
        Some(format!("{HEAD}{document}\n"))
    }

    /// The hold on a step that the pipeline file names as it did when the hold was set.
    pub fn hold(&self, layer: &str, step: &Step) -> Option<&Hold> {
        self.holds.iter().find(|hold| {
            hold.layer == layer
                && hold.step == step.name
                && hold.plugin == step.plugin
                && hold.pin == step.sha256
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn lock() -> Lock {
        let locked = Locked { manifest: format!("sha256:{HEX}"), sha256: HEX.to_owned() };
        let hold = Hold {
            layer: "silver".to_owned(),
            step: "once".to_owned(),
            sha256: HEX.to_owned(),
            plugin: "./a: \"b\" #c.wasm".to_owned(),
            pin: None,
        };
        Lock {
            plugins: [("oci://localhost:5000/a:b".to_owned(), locked)].into(),
            holds: vec![hold],
            replaces: Some(InForce { entry: 7, digest: "d".to_owned() }),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = Lock::path(&folder.path().join("orders.yaml"));
        assert_eq!(file.file_name().unwrap(), "orders.lock");
        assert_eq!(Lock::read(&file).unwrap(), Lock::default());
        let lock = lock();
        std::fs::write(&file, lock.to_text().unwrap()).unwrap();
        assert_eq!(Lock::read(&file).unwrap(), lock);
        std::fs::write(&file, "# nothing\n").unwrap();
        assert_eq!(Lock::read(&file).unwrap(), Lock::default());
        assert_eq!(Lock::default().to_text(), None);
    }

    #[test]
    fn mistakes_have_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.lock");
        let text = lock().to_text().unwrap();
        for (from, to, says) in [
            (format!("sha256:{HEX}"), "latest".to_owned(), "p.lock:6:"),
            (format!("\"sha256\": \"{HEX}\""), "\"sha256\": \"../x\"".to_owned(), "64 hexadecimal digits"),
            ("\"holds\"".to_owned(), "\"hold\"".to_owned(), "hold"),
        ] {
            std::fs::write(&file, text.replace(&from, &to)).unwrap();
            let refused = Lock::read(&file).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }

    #[test]
    fn a_hold_ends_when_the_pipeline_file_names_something_else() {
        let lock = lock();
        let mut step: Step =
            serde_json::from_value(serde_json::json!({"name": "once", "plugin": lock.holds[0].plugin}))
                .unwrap();
        assert!(lock.hold("silver", &step).is_some());
        assert!(lock.hold("gold", &step).is_none());
        step.sha256 = Some(HEX.to_owned());
        assert!(lock.hold("silver", &step).is_none());
        step.sha256 = None;
        step.plugin = "./d.wasm".to_owned();
        assert!(lock.hold("silver", &step).is_none());
    }
}
