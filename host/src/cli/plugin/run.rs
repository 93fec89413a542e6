//! `sluicebox plugin run`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::arguments::{End, PluginOverRows, at_least_one};
use super::json_rows::{Row, json_rows};
use super::side_by_side::{Line, Tone, fate_name, new_rows, side_by_side};
use super::stream::Cut;
use super::trial::{Fate, Trial};
use super::{capture_facts, plugins, print, replay};
use crate::plugin::Plugin;
use crate::telemetry::{self, LogFormat};

#[derive(Debug, clap::Args)]
#[command(mut_arg("input", |input| input.required_unless_present("replay")))]
pub struct Arguments {
    #[command(flatten)]
    over: PluginOverRows,
    /// Instead of rows from a file, makes the call again on which a step has failed: a file that `capture` of a pipeline
    /// has kept. Exit codes: 0 the plugin does not fail any more, 1 the call cannot be made, 3 reproduced, 4 the plugin
    /// fails otherwise.
    #[arg(long, value_name = "CAPTURE", conflicts_with_all = REPLAY_CONFLICTS)]
    replay: Option<PathBuf>,
    /// Stops where the rows do. Otherwise the stream ends after them: the watermark passes everything, and plugins that
    /// aggregate give what they hold.
    #[arg(long)]
    open_ended: bool,
    /// Take the first rows only.
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = at_least_one)]
    limit: usize,
    #[arg(long, value_enum, default_value = "table")]
    output: Form,
}

/// What a capture has of its own.
const REPLAY_CONFLICTS: [&str; 8] =
    ["input", "columns", "event_time", "delay", "memory", "time", "limit", "open_ended"];

/// How the outcome is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A line a row, before and after.
    Table,
    /// One JSON object.
    Json,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    // What the plugin logs is part of what its author wants to see.
    telemetry::start_logs(LogFormat::Human)?;
    if let Some(path) = &arguments.replay {
        let capture = capture_facts::read(path)?;
        let setup = arguments.over.setup_of(&plugins::engine()?, &capture, path)?;
        return replay::run(&setup, &capture, arguments.output);
    }
    let end = if arguments.open_ended { End::Open } else { End::Closed };
    let (stream, undecodable) = arguments.over.stream(arguments.limit, end)?;
    let setup = arguments.over.setup(&plugins::engine()?)?;
    let trial = setup.run(&stream, Cut::AsWritten, false)?;
    let shown = Shown {
        plugin: &setup.plugin,
        input: json_rows(&stream.rows)?,
        trial: &trial,
        undecodable: &undecodable,
    };
    match arguments.output {
        Form::Json => print(&shown.json().to_string()),
        Form::Table => show(&shown.lines()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints lines, in colours where somebody looks at them.
pub fn show(lines: &[Line]) {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    lines.iter().for_each(|line| print(&painted(line, colours)));
}

/// What a run came to.
pub struct Shown<'a> {
    pub plugin: &'a Plugin,
    pub input: Vec<Row>,
    pub trial: &'a Trial,
    /// Records by number, with the reason.
    pub undecodable: &'a [(usize, String)],
}

impl Shown<'_> {
    /// The numbers of the records that the rows are of.
    fn numbers(&self) -> Vec<usize> {
        let records = 0..self.input.len() + self.undecodable.len();
        let is_row = |record: &usize| self.undecodable.iter().all(|(dead, _)| dead != record);
        records.filter(is_row).collect()
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for fate in &self.trial.fates {
            *counts.entry(fate_name(fate)).or_default() += 1;
        }
        for (name, count) in [("undecodable", self.undecodable.len()), ("new", self.trial.made.len())] {
            if count > 0 {
                counts.insert(name, count);
            }
        }
        counts
    }

    pub fn lines(&self) -> Vec<Line> {
        let plain = |text: String| Line { tone: Tone::Plain, text };
        let mut lines = side_by_side(&self.input, &self.numbers(), self.trial);
        lines.extend(self.undecodable.iter().map(|(record, reason)| Line {
            tone: Tone::Warning,
            text: format!("record {record} cannot be decoded: {reason}"),
        }));
        if !self.trial.made.is_empty() {
            lines.push(plain(String::new()));
            lines.extend(new_rows(&self.trial.made));
        }
        let counts: Vec<String> =
            self.counts().into_iter().map(|(name, count)| format!("{count} {name}")).collect();
        let told = if counts.is_empty() { "no rows".to_owned() } else { counts.join(", ") };
        lines.extend([plain(String::new()), plain(told)]);
        lines
    }

    fn json(&self) -> Value {
        let rows = self.input.iter().zip(self.numbers()).zip(&self.trial.fates);
        let rows: Vec<Value> = rows
            .map(|((before, number), fate)| {
                let mut row = fate_as_json(number, fate);
                row["before"] = Value::Object(before.clone());
                row
            })
            .collect();
        let undecodable: Vec<Value> = self
            .undecodable
            .iter()
            .map(|(record, reason)| json!({ "row": record, "reason": reason }))
            .collect();
        json!({
            "plugin": { "name": &**self.plugin.name(), "version": self.plugin.version(), "sha256": self.plugin.digest() },
            "counts": self.counts(),
            "rows": rows,
            "new": self.trial.made,
            "undecodable": undecodable,
        })
    }
}

/// What became of the row of that number.
pub fn fate_as_json(number: usize, fate: &Fate) -> Value {
    let mut row = json!({ "row": number, "fate": fate_name(fate) });
    match fate {
        Fate::Kept(after) => row["after"] = Value::Object(after.clone()),
        Fate::Rejected { rule, reason } => {
            row["rule"] = rule.as_str().into();
            row["reason"] = reason.as_str().into();
        }
        Fate::Failed { reason } => row["reason"] = reason.as_str().into(),
        Fate::Dropped | Fate::Late | Fate::Used => {}
    }
    row
}

fn painted(line: &Line, colours: bool) -> String {
    let code = match line.tone {
        Tone::Plain => return line.text.clone(),
        _ if !colours => return line.text.clone(),
        Tone::Faint => 2,
        Tone::Warning => 33,
    };
    format!("\u{1b}[{code}m{}\u{1b}[0m", line.text)
}
