//! One line that says how far the worker is: rewritten on a terminal, else printed now and then.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::metrics::Metrics;

const PRINT_EVERY: Duration = Duration::from_secs(2);

pub struct Display {
    terminal: bool,
    printed_at: Option<Instant>,
    last: Option<(Instant, u64)>,
    records_per_second: f64,
}

impl Default for Display {
    fn default() -> Self {
        Self { terminal: stdout().is_terminal(), printed_at: None, last: None, records_per_second: 0.0 }
    }
}

impl Display {
    /// `produced` records are in the topic by now.
    pub fn show(&mut self, metrics: &Metrics, produced: u64) {
        self.measure(metrics.entered_records());
        if !self.terminal && self.printed_at.is_some_and(|at| at.elapsed() < PRINT_EVERY) {
            return;
        }
        self.printed_at = Some(Instant::now());
        let line = self.line(metrics, produced);
        if self.terminal {
            // Back to the start of the line, and clear it.
            print!("\r\x1b[2K{line}");
            let _ = stdout().flush();
        } else {
            println!("{line}");
        }
    }

    pub fn end(&self) {
        println!();
    }

    fn measure(&mut self, entered: u64) {
        let now = Instant::now();
        if let Some((at, before)) = self.last.replace((now, entered)) {
            let seconds = now.duration_since(at).as_secs_f64().max(0.001);
            let current = entered.saturating_sub(before) as f64 / seconds;
            // Smoothed, because batches come in bursts.
            self.records_per_second = 0.7 * self.records_per_second + 0.3 * current;
        }
    }

    fn line(&self, metrics: &Metrics, produced: u64) -> String {
        let watermark = match metrics.watermark().and_then(|at| DateTime::<Utc>::from_timestamp(at as i64, 0))
        {
            Some(at) => at.format("%H:%M:%S").to_string(),
            None => "none".to_owned(),
        };
        format!(
            "{:>6.0} records/s, lag {:>6} | bronze {} silver {} gold {} | rejected {} late {} dead {} | watermark {watermark}",
            self.records_per_second,
            produced.saturating_sub(metrics.entered_records()),
            metrics.rows("bronze"),
            metrics.rows("silver"),
            metrics.rows("gold"),
            metrics.rejected_rows(),
            metrics.late_rows(),
            metrics.rows("dead_letters"),
        )
    }
}
