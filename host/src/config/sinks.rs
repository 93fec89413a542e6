//! Every sink of a pipeline by its name, with the place where its rows live.

use std::fmt;
use std::path::Path;

use super::error::DocumentPath;
use super::kafka_sink::KafkaSink;
use super::location::Location;
use super::pipeline::Pipeline;
use super::sink::{Compression, FileFormat, SinkPlace};
use super::validate::Findings;

/// The name of the sink of dead letters. The others are `<layer>` and `<layer>.quarantine`.
pub const DEAD_LETTERS: &str = "dead_letters";

/// The name of the sink that gets what a layer rejects.
pub fn quarantine_name(layer: &str) -> String {
    format!("{layer}.quarantine")
}

/// A table, a folder or a topic that the pipeline writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    pub name: String,
    pub kind: SinkKind,
    pub target: Target,
}

/// Where a sink's rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A table.
    Delta { location: Location, accept_version: Option<u64> },
    /// A folder of files with markers.
    Files { location: Location, format: FileFormat, compression: Compression },
    /// A topic.
    Kafka(Box<KafkaSink>),
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
    for (path, kind, place) in places(pipeline) {
        // One that has none, or several, is found wrong elsewhere.
        let Some((key, target)) = target(place, |key, text| located(text, directory, &path.key(key), found))
        else {
            continue;
        };
        let path = path.key(key);
        for (_, other) in &sinks {
            compare(&target, other, &path, found);
        }
        sinks.push((path, Sink { name: kind.name(), kind, target }));
    }
    let path = root.key("state");
    let state = located(&pipeline.state, directory, &path, found);
    for (place, sink) in &sinks {
        let (Some(state), Some(location)) = (&state, sink.target.location()) else { continue };
        let what = sink.target.what();
        if location.contains(state) {
            found.add(
                path.clone(),
                format!(
                    "lies inside the {what} of sink `{}` ({location}): give it a folder of its own",
                    sink.name
                ),
            );
        } else if state.contains(location) {
            found.add(
                place.clone(),
                format!("lies inside the state location ({state}): give the {what} a place of its own"),
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
    let places = sinks.iter().filter_map(|sink| {
        let what = format!("the {} of sink `{}`", sink.target.what(), sink.name);
        Some((what, sink.target.location()?))
    });
    let places = places.chain(state.map(|state| ("the state location".to_owned(), state)));
    for (what, place) in places {
        if place.contains(location) {
            found.add(path.clone(), format!("lies inside {what} ({place}): give it a folder of its own"));
        }
    }
}

fn places(pipeline: &Pipeline) -> Vec<(DocumentPath, SinkKind, SinkPlace<'_>)> {
    let mut places = Vec::new();
    for (name, layer) in &pipeline.layers {
        let path = DocumentPath::default().key("layers").key(name);
        places.push((path.key("sink"), SinkKind::Layer(name.clone()), layer.sink.place()));
        if let Some(quarantine) = &layer.quarantine {
            let kind = SinkKind::Quarantine(name.clone());
            places.push((path.key("quarantine"), kind, quarantine.place()));
        }
    }
    let path = DocumentPath::default().key("dead_letters");
    places.push((path, SinkKind::DeadLetters, pipeline.dead_letters.place()));
    places
}

/// The key that names the place, and what is there. `located` resolves what the key says.
fn target<'a>(
    place: SinkPlace<'a>,
    mut located: impl FnMut(&'static str, &'a str) -> Option<Location>,
) -> Option<(&'static str, Target)> {
    match (place.delta, place.files, place.kafka) {
        (Some(delta), None, None) => {
            let location = located("delta", delta)?;
            Some(("delta", Target::Delta { location, accept_version: place.accept_version }))
        }
        (None, Some(files), None) => {
            let format = place.format.unwrap_or_default();
            let usual = if format == FileFormat::Parquet { Compression::Zstd } else { Compression::None };
            let compression = place.compression.unwrap_or(usual);
            Some(("files", Target::Files { location: located("files", files)?, format, compression }))
        }
        (None, None, Some(kafka)) => Some(("kafka", Target::Kafka(Box::new(kafka.clone())))),
        _ => None,
    }
}

fn located(text: &str, directory: &Path, path: &DocumentPath, found: &mut Findings) -> Option<Location> {
    Location::resolve(text, directory).map_err(|error| found.add(path.clone(), error.to_string())).ok()
}

fn compare(target: &Target, other: &Sink, path: &DocumentPath, found: &mut Findings) {
    let (Some(location), Some(place)) = (target.location(), other.target.location()) else { return };
    let relation = if location == place {
        "is also"
    } else if place.contains(location) {
        "lies inside"
    } else if location.contains(place) {
        "holds"
    } else {
        return;
    };
    found.add(
        path.clone(),
        format!(
            "{relation} the {} of sink `{}` ({place}): give each sink a folder of its own",
            other.target.what(),
            other.name
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

impl Target {
    /// What people call it.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Delta { .. } => "table",
            Self::Files { .. } => "folder",
            Self::Kafka(_) => "topic",
        }
    }

    /// Where files are, of sinks that have a place of their own for them.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Delta { location, .. } | Self::Files { location, .. } => Some(location),
            Self::Kafka(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delta { location, .. } | Self::Files { location, .. } => location.fmt(f),
            Self::Kafka(kafka) => f.write_str(&kafka.topic),
        }
    }
}
