//! `sluicebox plugin run --replay`: a call that failed in a pipeline, once more.

use std::process::ExitCode;

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::{Value, json};

use super::capture_facts::{facts, failing_rows};
use super::json_rows::{Row, json_rows};
use super::print;
use super::run::{Form, Shown, show};
use super::side_by_side::{Line, Tone};
use super::trial::{Fate, Setup, Trial};
use crate::capture::{Capture, CapturedState};
use crate::plugin::{GivesBack, Replay, ReplayedFate, ReplayedRows, Step, sanitised};

/// The plugin fails as it did when the call was captured.
const REPRODUCED: u8 = 3;
/// The plugin fails in another way.
const FAILS_OTHERWISE: u8 = 4;

/// Bytes of what a capture says.
const MAX_SHOWN: usize = 256;

/// What came of the call, against what was captured.
enum Verdict {
    Reproduced,
    FailsOtherwise { fault: String, failing_rows: Option<Vec<(usize, String)>> },
    Passes(Trial),
}

pub fn run(setup: &Setup, capture: &Capture, form: Form) -> Result<ExitCode> {
    let mut step = setup.open(&capture.input)?;
    if let CapturedState::Known { layout, rows } = &capture.state {
        step.restore(layout, rows)?;
    }
    let verdict = match step.replay(&capture.rows, capture.about.watermark)? {
        Replay::Failed { fault, failing_rows } => judge(capture, fault, failing_rows),
        Replay::Passed(rows) => Verdict::Passes(trial(&step, &capture.rows, rows)?),
    };
    match form {
        Form::Json => print(&as_json(setup, capture, &verdict).to_string()),
        Form::Table => show(&as_lines(setup, capture, &verdict)?),
    }
    Ok(ExitCode::from(match verdict {
        Verdict::Passes(_) => 0,
        Verdict::Reproduced => REPRODUCED,
        Verdict::FailsOtherwise { .. } => FAILS_OTHERWISE,
    }))
}

fn judge(capture: &Capture, fault: String, failing_rows: Option<Vec<(usize, String)>>) -> Verdict {
    let same_rows = capture.about.failing_rows.as_ref().is_none_or(|captured| {
        let captured = captured.iter().map(|row| (row.row, row.reason.as_str()));
        failing_rows.iter().flatten().map(|(row, reason)| (*row, reason.as_str())).eq(captured)
    });
    if fault == capture.about.fault && same_rows {
        return Verdict::Reproduced;
    }
    Verdict::FailsOtherwise { fault, failing_rows }
}

/// The fates of the rows, with the columns that the plugin saw and made.
fn trial(step: &Step, rows: &RecordBatch, replayed: ReplayedRows) -> Result<Trial> {
    let input = json_rows(rows)?;
    let made = replayed.made.as_ref().map(json_rows).transpose()?.unwrap_or_default();
    let is_row_for_row = matches!(step.gives_back(), GivesBack::Columns(_));
    let output = step.output_schema();
    let mut fates = Vec::with_capacity(replayed.fates.len());
    for (number, fate) in replayed.fates.into_iter().enumerate() {
        fates.push(match fate {
            ReplayedFate::Kept => {
                let before = input.get(number).cloned().unwrap_or_default();
                let mut after: Row =
                    before.into_iter().filter(|(name, _)| output.index_of(name).is_ok()).collect();
                after.extend(made.get(number).filter(|_| is_row_for_row).cloned().unwrap_or_default());
                Fate::Kept(after)
            }
            ReplayedFate::Dropped => Fate::Dropped,
            ReplayedFate::Rejected { rule, reason } => Fate::Rejected { rule, reason },
            ReplayedFate::Used => Fate::Used,
        });
    }
    Ok(Trial { fates, made: if is_row_for_row { Vec::new() } else { made } })
}

fn as_lines(setup: &Setup, capture: &Capture, verdict: &Verdict) -> Result<Vec<Line>> {
    let (plugin, unlike) = (&*setup.plugin, unlike(setup, capture));
    let line = |tone, text: &str| Line { tone, text: text.to_owned() };
    let mut lines: Vec<Line> = facts(capture).iter().map(|fact| line(Tone::Faint, fact)).collect();
    lines.extend(unlike.iter().map(|unlike| line(Tone::Warning, unlike)));
    lines.push(line(Tone::Plain, ""));
    match verdict {
        Verdict::Reproduced => {
            lines.push(line(Tone::Warning, &format!("reproduced: {}", capture.about.fault)));
        }
        Verdict::FailsOtherwise { fault, failing_rows: rows } => {
            lines.push(line(Tone::Warning, &format!("fails otherwise: {fault}")));
            let rows = rows.iter().flatten().map(|(row, reason)| (*row, reason.as_str()));
            lines.extend(failing_rows(rows).iter().map(|row| line(Tone::Warning, row)));
        }
        Verdict::Passes(trial) => {
            lines.extend(Shown { plugin, input: json_rows(&capture.rows)?, trial, undecodable: &[] }.lines());
            lines.push(line(Tone::Plain, "not reproduced: the plugin does not fail on this call"));
        }
    }
    Ok(lines)
}

/// What to know before looking at the outcome: that the component is not the one that failed, or has not what that had.
fn unlike(setup: &Setup, capture: &Capture) -> Vec<String> {
    let (plugin, about) = (&setup.plugin, &capture.about);
    let mut told = Vec::new();
    if plugin.digest() != about.plugin.sha256 {
        told.push(format!(
            "this is another component than the one that failed: {} {}, sha256 {}",
            plugin.name(),
            plugin.version(),
            plugin.digest()
        ));
    }
    let granted: Vec<String> = setup.grants.capabilities().iter().map(ToString::to_string).collect();
    if granted != about.granted {
        let of =
            |granted: &[String]| if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
        told.push(format!(
            "the step was granted {}, this run {}: see `--grant`",
            sanitised(&of(&about.granted), MAX_SHOWN),
            of(&granted)
        ));
    }
    match (&about.reference, &setup.reference) {
        // Rows from a file have no version that could be compared.
        (Some(version), _) => told.push(format!(
            "the step looked rows up in version {} of its table: those of `--reference` may be others",
            sanitised(version, MAX_SHOWN)
        )),
        (None, Some(_)) => told.push("the step looked no rows up, as far as the capture tells".to_owned()),
        (None, None) => {}
    }
    told
}

fn as_json(setup: &Setup, capture: &Capture, verdict: &Verdict) -> Value {
    let plugin = &setup.plugin;
    let mut told = json!({
        "capture": capture.about,
        "plugin": { "name": &**plugin.name(), "version": plugin.version(), "sha256": plugin.digest() },
        "same_component": plugin.digest() == capture.about.plugin.sha256,
        "unlike": unlike(setup, capture),
    });
    match verdict {
        Verdict::Reproduced => told["outcome"] = "reproduced".into(),
        Verdict::FailsOtherwise { fault, failing_rows } => {
            told["outcome"] = "fails_otherwise".into();
            told["fault"] = fault.as_str().into();
            let rows = failing_rows.iter().flatten();
            told["failing_rows"] =
                rows.map(|(row, reason)| json!({ "row": row, "reason": reason })).collect();
        }
        Verdict::Passes(trial) => {
            told["outcome"] = "passes".into();
            let fates = trial.fates.iter();
            told["rows"] = fates.enumerate().map(|(row, fate)| super::run::fate_as_json(row, fate)).collect();
            told["new"] = json!(trial.made);
        }
    }
    told
}
