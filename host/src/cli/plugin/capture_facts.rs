//! A capture's file, and what is in it in a person's words.

use std::path::Path;

use anyhow::{Context, Result};

use super::text_table::aligned;
use crate::capture::{self, Capture, CapturedState};
use crate::plugin::sanitised;

/// Bytes of a text that a plugin or a file says.
const MAX_TEXT: usize = 2048;

/// Rows that are listed.
const MAX_FAILING_ROWS: usize = 10;

pub fn read(path: &Path) -> Result<Capture> {
    let of = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(of)?;
    capture::decode(&bytes).with_context(of)
}

/// What was captured, where, and how the plugin failed.
pub fn facts(capture: &Capture) -> Vec<String> {
    let about = &capture.about;
    let row = |name: &str, value: String| vec![name.to_owned(), sanitised(&value, MAX_TEXT)];
    let state = match &capture.state {
        CapturedState::Stateless => "none".to_owned(),
        CapturedState::Known { rows, .. } => format!("{} rows", rows.num_rows()),
        CapturedState::Unknown => "not known (`on_error: stop`): an empty one takes its place".to_owned(),
    };
    let columns: Vec<String> =
        capture.rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    aligned(
        &[
            row("captured", format!("{} by sluicebox {}", about.captured_at, about.host)),
            row("step", format!("{}.{} of pipeline {}", about.layer, about.step, about.pipeline)),
            row("plugin", format!("{} {}", about.plugin.name, about.plugin.version)),
            row("sha256", about.plugin.sha256.clone()),
            row("records", format!("{}/{}, offsets {}", about.topic, about.partition, about.range)),
            row("rows", format!("{} of {}", capture.rows.num_rows(), columns.join(", "))),
            row("state", state),
            row(
                "granted",
                if about.granted.is_empty() { "nothing".to_owned() } else { about.granted.join(", ") },
            ),
            row(
                "table",
                about.reference.clone().map_or_else(|| "none".to_owned(), |it| format!("version {it}")),
            ),
            row("fault", about.fault.clone()),
        ],
        2,
    )
    .into_iter()
    .chain(failing_rows(about.failing_rows.iter().flatten().map(|row| (row.row, row.reason.as_str()))))
    .collect()
}

/// Rows that fail by themselves.
pub fn failing_rows<'a>(mut rows: impl Iterator<Item = (usize, &'a str)>) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for (row, reason) in rows.by_ref().take(MAX_FAILING_ROWS) {
        told.push(format!("  row {row} by itself: {}", sanitised(reason, MAX_TEXT)));
    }
    let more = rows.count();
    if more > 0 {
        told.push(format!("  and {more} more"));
    }
    told
}
