//! From the file to a pipeline that can be run.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::document::Node;
use super::error::{ConfigError, DocumentPath, Problem};
use super::interpolate::{Variables, interpolate};
use super::location::{Location, LocationError};
use super::lock::Lock;
use super::pipeline::{Pipeline, Step};
use super::reference::TableReference;
use super::sinks::{self, Sink};
use super::validate::Findings;
use super::written::{WrittenConfig, written_configs};
use super::{StepName, dotenv, grants, graph, typed, validate};
use crate::registry::Reference;

/// A valid pipeline, with everything in it that depends on where the file lies.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Absolute.
    pub file: PathBuf,
    /// The folder of the file: relative paths start here.
    pub directory: PathBuf,
    /// Beside the file; empty where there is none.
    pub lock: Lock,
    pub pipeline: Pipeline,
    pub state: Location,
    /// Where failed calls are captured.
    pub captures: Option<Location>,
    /// The configurations of the steps that have one, references in them not resolved.
    pub written_configs: HashMap<StepName, WrittenConfig>,
    /// In the order of the file, each layer's own before its quarantine, dead letters last.
    pub sinks: Vec<Sink>,
    /// The layers' names, each after its parent.
    pub layers_parents_first: Vec<String>,
}

/// Where a step's component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    Bundled(String),
    File(PathBuf),
    Registry(Reference),
}

impl Loaded {
    /// Each layer's parent; `None` where it reads the decoded records.
    pub fn parents(&self) -> BTreeMap<String, Option<String>> {
        graph::parents(&self.pipeline)
    }

    /// All steps, each with the name of its layer.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &Step)> {
        let layers = self.pipeline.layers.iter();
        layers.flat_map(|(name, layer)| layer.steps.iter().map(move |step| (name.as_str(), step)))
    }

    /// All that names a component: the steps, and their shadows as steps.
    pub fn steps_and_shadows(&self) -> impl Iterator<Item = Step> {
        self.steps().flat_map(|(_, step)| [Some(step.clone()), step.as_shadow()]).flatten()
    }

    pub fn plugin_source(&self, step: &Step) -> PluginSource {
        // What begins like a reference and is none was refused when the file was read.
        if let Ok(reference) = step.plugin.parse() {
            return PluginSource::Registry(reference);
        }
        if step.plugin.ends_with(".wasm") {
            return PluginSource::File(self.directory.join(&step.plugin));
        }
        PluginSource::Bundled(step.plugin.clone())
    }

    /// Where a step's reference table is.
    pub fn reference_location(&self, reference: &TableReference) -> Result<Location, LocationError> {
        Location::resolve(reference.location(), &self.directory)
    }

    pub fn sink(&self, name: &str) -> Option<&Sink> {
        self.sinks.iter().find(|sink| sink.name == name)
    }
}

/// Reads and checks a pipeline file. References are resolved from the process environment, then from `.env`
/// beside the file.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_with(file, environment)
}

/// [`load`] with another process environment.
pub fn load_with(
    file: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let read = read_interpolated(file, environment)?;
    let mut pipeline: Pipeline = read.typed()?;
    let directory = read.directory();
    let mut found = validate::check(&pipeline);
    grants::resolve(&mut pipeline, &read.variables, directory, &mut found);
    let (sinks, state) = sinks::resolve(&pipeline, directory, &mut found);
    let captures = sinks::resolve_captures(&pipeline, directory, &sinks, state.as_ref(), &mut found);
    sinks::check_samples(&pipeline, directory, &sinks, state.as_ref(), &mut found);
    read.refuse_if(found)?;
    // One that cannot be resolved was found wrong.
    let Some(state) = state else { return Err(read.invalid(Vec::new())) };
    Ok(Loaded {
        lock: Lock::read(&Lock::path(&read.absolute))?,
        directory: directory.to_owned(),
        layers_parents_first: graph::parents_first(&pipeline),
        written_configs: written_configs(&read.document),
        file: read.absolute,
        pipeline,
        state,
        captures,
        sinks,
    })
}

/// A file with its references resolved.
pub(super) struct Interpolated {
    /// As it was named, for messages.
    file: PathBuf,
    absolute: PathBuf,
    variables: Variables,
    document: Node,
}

pub(super) fn read_interpolated(
    file: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Interpolated, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    // Links are not followed: where files are mounted through them, the folder is the link's.
    let absolute = std::path::absolute(file).map_err(unreadable)?;
    let directory = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    let variables = Variables::new(environment, read_dotenv(&directory.join(".env"))?);
    let invalid = |problems| ConfigError::Invalid { file: file.to_owned(), problems };
    let mut document = Node::parse(&text).map_err(|problem| invalid(vec![problem]))?;
    let problems = interpolate(&mut document, &variables, &directory);
    match problems.is_empty() {
        true => Ok(Interpolated { file: file.to_owned(), absolute, variables, document }),
        false => Err(invalid(problems)),
    }
}

impl Interpolated {
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        typed::read(&self.document).map_err(|problem| self.invalid(vec![problem]))
    }

    /// All that was found wrong, in the order of the file.
    pub fn refuse_if(&self, found: Findings) -> Result<(), ConfigError> {
        let mut problems: Vec<Problem> = found
            .list
            .into_iter()
            .map(|(path, message)| Problem {
                position: Some(self.document.position_of(&path)),
                path,
                message,
            })
            .collect();
        problems.sort_by_key(|problem| problem.position);
        if problems.is_empty() { Ok(()) } else { Err(self.invalid(problems)) }
    }

    fn directory(&self) -> &Path {
        self.absolute.parent().unwrap_or(Path::new("/"))
    }

    fn invalid(&self, problems: Vec<Problem>) -> ConfigError {
        ConfigError::Invalid { file: self.file.clone(), problems }
    }
}

pub(super) fn read_dotenv(file: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Unreadable { file: file.to_owned(), source }),
    };
    dotenv::parse(&text).map_err(|line| {
        let problem = Problem {
            path: DocumentPath::default(),
            position: Some(super::Position { line: line as u64, column: 1 }),
            message: "not of the form `NAME=value` (quote a value that holds quotes)".to_owned(),
        };
        ConfigError::Invalid { file: file.to_owned(), problems: vec![problem] }
    })
}
