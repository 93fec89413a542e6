//! `sluicebox plugin bench`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::arguments::{End, PluginOverRows, at_least_one};
use super::boundary::{Load, out_of, over_columns};
use super::stream::Cut;
use super::text_table::aligned;
use super::trial::Setup;
use super::turns::{Side, take_turns};
use super::{plugins, print};

/// The bundled plugin that does nothing with what it gets.
const ECHO: &str = "echo";

#[derive(Debug, clap::Args)]
#[command(mut_arg("input", |input| input.required(true)))]
pub struct Arguments {
    #[command(flatten)]
    over: PluginOverRows,
    /// Take the first rows only.
    #[arg(long, value_name = "ROWS", default_value_t = 100_000, value_parser = at_least_one)]
    limit: usize,
    /// Rows of a batch; a pipeline has 8192 unless its file says otherwise.
    #[arg(long, value_name = "ROWS", default_value_t = 8192, value_parser = at_least_one)]
    batch_rows: usize,
    /// For how long turns are taken.
    #[arg(long, default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// The figures as one JSON object.
    #[arg(long)]
    json: bool,
}

fn seconds(written: &str) -> Result<Duration, String> {
    let seconds = written.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds is expected, such as 2.5".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let engine = plugins::engine()?;
    let setup = arguments.over.setup(&engine)?;
    let echo = plugins::load_named(&engine, ECHO, Path::new(""))
        .with_context(|| format!("the boundary is measured with the bundled plugin `{ECHO}`"))?;
    let (stream, _) = arguments.over.stream(arguments.limit, End::Open)?;
    let rows = stream.rows.num_rows();
    ensure!(rows > 0, "there is no row to measure with");

    let load = Load::of_stream(&setup, &stream, Cut::Every(arguments.batch_rows))?;
    let reads = load.reads()?;
    let inwards = over_columns(&echo, &reads, false, load.pieces.clone());
    let given = out_of(&load)?;
    let outwards = given.as_ref().map(|given| {
        let load = |gives_back| over_columns(&echo, &given.names, gives_back, given.pieces.clone());
        [load(false), load(true)]
    });

    let loads = [&load, &inwards].into_iter().chain(outwards.iter().flatten()).chain([&load]);
    let mut sides: Vec<Side<'_>> = loads.map(|load| Box::new(|| load.run()) as Side<'_>).collect();
    let medians = take_turns(&mut sides, arguments.seconds)?;
    let figures = Figures {
        rows,
        batch_rows: arguments.batch_rows,
        turns: medians.turns,
        split: Split::of(&medians.times, given.as_ref().map_or(1.0, |given| given.share), rows),
        memory: load.memory()?,
        reads: reads.len(),
        given: given.map_or(0, |given| given.names.len()),
    };
    match arguments.json {
        true => print(&figures.json(&setup).to_string()),
        false => figures.lines(&setup).iter().for_each(|line| print(line)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Nanoseconds for each row of the input.
#[derive(Debug, PartialEq)]
struct Split {
    total: f64,
    inwards: f64,
    outwards: f64,
    /// The same as `total`, measured once more, by it: how far from 1 a ratio must be to say anything.
    floor: f64,
}

impl Split {
    /// The times of the plugin, of reading its columns, maybe of reading what it gives back and of giving that back too,
    /// and of the plugin once more. `share`: rows that the plugin gives back, by those that were measured.
    fn of(times: &[Duration], share: f64, rows: usize) -> Self {
        let per_row = |time: Duration| time.as_nanos() as f64 / rows as f64;
        let (total, again) = match (times.first(), times.last()) {
            (Some(first), Some(last)) => (per_row(*first), per_row(*last)),
            _ => (0.0, 0.0),
        };
        let outwards = match times {
            [_, _, read, given_back, _] => per_row(given_back.saturating_sub(*read)) * share,
            _ => 0.0,
        };
        let inwards = times.get(1).copied().map_or(0.0, per_row);
        Self { total, inwards, outwards, floor: again / total }
    }

    /// What is left when the boundary is taken off.
    fn plugin(&self) -> f64 {
        (self.total - self.inwards - self.outwards).max(0.0)
    }
}

struct Figures {
    rows: usize,
    batch_rows: usize,
    turns: usize,
    split: Split,
    /// Bytes.
    memory: usize,
    /// Columns that the plugin gets.
    reads: usize,
    /// Columns that it gives back.
    given: usize,
}

impl Figures {
    fn lines(&self, setup: &Setup) -> Vec<String> {
        let split = &self.split;
        let nanoseconds = |value: f64| format!("{value:>10.1}");
        let row = |name: &str, value: String, note: String| vec![name.to_owned(), value, note];
        let mut lines = vec![format!(
            "{} {}: {} rows in batches of {}; medians of {} turns, CPU time of one thread",
            setup.plugin.name(),
            setup.plugin.version(),
            self.rows,
            self.batch_rows,
            self.turns
        )];
        lines.extend(aligned(
            &[
                row("rows per second", format!("{:>10.0}", 1e9 / split.total), String::new()),
                row("ns per row", nanoseconds(split.total), String::new()),
                row("  boundary, in", nanoseconds(split.inwards), format!("{} columns", self.reads)),
                row("  boundary, out", nanoseconds(split.outwards), format!("{} columns", self.given)),
                row("  plugin", nanoseconds(split.plugin()), "what is left".to_owned()),
                row(
                    "the same again",
                    format!("{:>10.2}", split.floor),
                    "a ratio nearer to 1 says nothing".to_owned(),
                ),
                row(
                    "memory",
                    format!("{:>10.1}", self.memory as f64 / f64::from(1 << 20)),
                    "MiB of the instance".to_owned(),
                ),
            ],
            2,
        ));
        if self.rows < self.batch_rows {
            lines.push(format!(
                "fewer rows than one batch of {}: each call's own cost weighs more",
                self.batch_rows
            ));
        }
        lines
    }

    fn json(&self, setup: &Setup) -> serde_json::Value {
        let split = &self.split;
        json!({
            "plugin": &**setup.plugin.name(),
            "version": setup.plugin.version(),
            "sha256": setup.plugin.digest(),
            "rows": self.rows,
            "batch_rows": self.batch_rows,
            "turns": self.turns,
            "rows_per_second": 1e9 / split.total,
            "ns_per_row": {
                "total": split.total, "boundary_in": split.inwards, "boundary_out": split.outwards,
                "plugin": split.plugin(),
            },
            "floor": split.floor,
            "memory_bytes": self.memory,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_taken_off_the_whole() {
        let times = [1000, 100, 50, 90, 1010].map(Duration::from_nanos);
        let split = Split::of(&times, 2.0, 10);
        assert_eq!(split, Split { total: 100.0, inwards: 10.0, outwards: 8.0, floor: 1.01 });
        assert_eq!(split.plugin(), 82.0);
        let selects = Split::of(&[1000, 100, 1000].map(Duration::from_nanos), 1.0, 10);
        assert_eq!((selects.outwards, selects.plugin()), (0.0, 90.0));
        let lucky = Split::of(&[10, 100, 10].map(Duration::from_nanos), 1.0, 10);
        assert_eq!(lucky.plugin(), 0.0);
    }
}
