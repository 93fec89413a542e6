//! Every table of a pipeline by its sink's name, with the place where it lives.

use std::path::Path;

use super::error::DocumentPath;
use super::location::Location;
use super::pipeline::{Pipeline, SideTable};
use super::validate::Findings;

/// The name of the sink of dead letters. The others are `<layer>` and `<layer>.quarantine`.
pub const DEAD_LETTERS: &str = "dead_letters";

/// The name of the sink that gets what a layer rejects.
pub fn quarantine_name(layer: &str) -> String {
    format!("{layer}.quarantine")
}

/// A table that the pipeline writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    pub name: String,
    pub kind: SinkKind,
    pub location: Location,
    pub accept_version: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// The rows of a layer.
    Layer(String),
    /// The rejected (and perhaps late) rows of a layer.
    Quarantine(String),
    DeadLetters,
}

/// The sinks in the order of the file, each layer's own before its quarantine, dead letters last; and the
/// state location. What cannot be resolved, or lies where another is, is found wrong.
pub(super) fn resolve(
    pipeline: &Pipeline,
    directory: &Path,
    found: &mut Findings,
) -> (Vec<Sink>, Option<Location>) {
    let root = DocumentPath::default();
    let mut sinks: Vec<(DocumentPath, Sink)> = Vec::new();
    for (path, kind, text, accept_version) in tables(pipeline) {
        if let Some(location) = located(text, directory, &path, found) {
            for (_, other) in &sinks {
                compare(&location, other, &path, found);
            }
            sinks.push((path, Sink { name: kind.name(), kind, location, accept_version }));
        }
    }
    let path = root.key("state");
    let state = located(&pipeline.state, directory, &path, found);
    for (table, sink) in &sinks {
        let Some(state) = &state else { break };
        if sink.location.contains(state) {
            found.add(
                path.clone(),
                format!(
                    "lies inside the table of sink `{}` ({}): give it a folder of its own",
                    sink.name, sink.location
                ),
            );
        } else if state.contains(&sink.location) {
            found.add(
                table.clone(),
                format!("lies inside the state location ({state}): give the table a folder of its own"),
            );
        }
    }
    (sinks.into_iter().map(|(_, sink)| sink).collect(), state)
}

/// Where captures go: apart from tables and state, which are swept.
pub(super) fn resolve_captures(
    pipeline: &Pipeline,
    directory: &Path,
    sinks: &[Sink],
    state: Option<&Location>,
    found: &mut Findings,
) -> Option<Location> {
    let path = DocumentPath::default().key("capture").key("folder");
    let folder = located(&pipeline.capture.as_ref()?.folder, directory, &path, found)?;
    check_apart(&folder, &path, sinks, state, found);
    Some(folder)
}

/// Samples are kept apart likewise. They are files on this machine.
pub(super) fn check_samples(
    pipeline: &Pipeline,
    directory: &Path,
    sinks: &[Sink],
    state: Option<&Location>,
    found: &mut Findings,
) {
    for (name, layer) in &pipeline.layers {
        for (index, step) in layer.steps.iter().enumerate() {
            let samples = step.shadow.as_ref().and_then(|shadow| shadow.samples.as_ref());
            let Some(samples) = samples.filter(|samples| !samples.file.is_empty()) else { continue };
            let path = DocumentPath::default().key("layers").key(name).key("steps").index(index);
            let path = path.key("shadow").key("samples").key("file");
            match Location::resolve(&samples.file, directory) {
                Ok(file @ Location::Local(_)) if !samples.file.contains("://") => {
                    check_apart(&file, &path, sinks, state, found);
                }
                _ => found.add(path, "give the path of a file on this machine".to_owned()),
            }
        }
    }
}

fn check_apart(
    location: &Location,
    path: &DocumentPath,
    sinks: &[Sink],
    state: Option<&Location>,
    found: &mut Findings,
) {
    let places = sinks.iter().map(|sink| (format!("the table of sink `{}`", sink.name), &sink.location));
    let places = places.chain(state.map(|state| ("the state location".to_owned(), state)));
    for (what, place) in places {
        if place.contains(location) {
            found.add(path.clone(), format!("lies inside {what} ({place}): give it a folder of its own"));
        }
    }
}

fn tables(pipeline: &Pipeline) -> Vec<(DocumentPath, SinkKind, &str, Option<u64>)> {
    let mut tables = Vec::new();
    for (name, layer) in &pipeline.layers {
        let path = DocumentPath::default().key("layers").key(name);
        tables.push((
            path.key("sink").key("delta"),
            SinkKind::Layer(name.clone()),
            layer.sink.delta.as_str(),
            layer.sink.accept_version,
        ));
        if let Some(quarantine) = &layer.quarantine {
            let path = path.key("quarantine").key("delta");
            let kind = SinkKind::Quarantine(name.clone());
            tables.push((path, kind, quarantine.delta.as_str(), quarantine.accept_version));
        }
    }
    let path = DocumentPath::default().key("dead_letters").key("delta");
    let SideTable { delta, accept_version } = &pipeline.dead_letters;
    tables.push((path, SinkKind::DeadLetters, delta, *accept_version));
    tables
}

fn located(text: &str, directory: &Path, path: &DocumentPath, found: &mut Findings) -> Option<Location> {
    Location::resolve(text, directory).map_err(|error| found.add(path.clone(), error.to_string())).ok()
}

fn compare(location: &Location, other: &Sink, path: &DocumentPath, found: &mut Findings) {
    let relation = if *location == other.location {
        "is also the table"
    } else if other.location.contains(location) {
        "lies inside the table"
    } else if location.contains(&other.location) {
        "holds the table"
    } else {
        return;
    };
    found.add(
        path.clone(),
        format!(
            "{relation} of sink `{}` ({}): give each table a folder of its own",
            other.name, other.location
        ),
    );
}

impl SinkKind {
    fn name(&self) -> String {
        match self {
            Self::Layer(layer) => layer.clone(),
            Self::Quarantine(layer) => quarantine_name(layer),
            Self::DeadLetters => DEAD_LETTERS.to_owned(),
        }
    }
}
