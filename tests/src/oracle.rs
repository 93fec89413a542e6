//! What must be true of the tables once everything was processed, checked by position.
//!
//! The seed says what every record was, so the oracle knows the one place for each: a malformed record
//! is a dead letter; an implausible one is in bronze and in silver's quarantine; a repeated one is in
//! bronze and dropped by silver; every other is in bronze and silver. Each exactly once.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use iot_sensors::events::{Kind, Stream};

use crate::tables::{self, Table};

/// How many faults are listed; the others are only counted.
const LISTED: usize = 20;

/// What the oracle judges: `ends[p]` events of `stream` in each partition `p`.
#[derive(Debug)]
pub struct Oracle<'a> {
    pub stream: &'a Stream,
    pub ends: &'a [i64],
}

/// How the records were distributed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    pub dead_letters: u64,
    pub bronze: u64,
    pub quarantined: u64,
    pub silver: u64,
    pub repeated: u64,
    /// Of the rows in silver, those that gold must set aside.
    pub late: u64,
}

/// How often one position was found in each table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Found {
    dead_letters: u8,
    bronze: u8,
    quarantine: u8,
    silver: u8,
}

impl Found {
    fn expected(kind: Kind) -> Self {
        let nowhere = Self::default();
        match kind {
            Kind::Malformed => Self { dead_letters: 1, ..nowhere },
            Kind::Implausible => Self { bronze: 1, quarantine: 1, ..nowhere },
            Kind::Duplicate { .. } => Self { bronze: 1, ..nowhere },
            Kind::Plain | Kind::Late => Self { bronze: 1, silver: 1, ..nowhere },
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "dead letters {}, bronze {}, quarantine {}, silver {}",
            self.dead_letters, self.bronze, self.quarantine, self.silver
        )
    }
}

impl Oracle<'_> {
    /// Checks the tables `bronze`, `silver`, `silver_quarantine` and `dead_letters` under `lake`, and
    /// lists what is missing, double, misplaced or altered.
    pub fn check(&self, lake: &Path) -> Result<Tally> {
        let mut found: Vec<Vec<Found>> =
            self.ends.iter().map(|end| vec![Found::default(); *end as usize]).collect();
        let mut faults = Faults::default();

        self.count(lake, "bronze", &mut found, &mut faults, |found| &mut found.bronze)?;
        self.count(lake, "silver", &mut found, &mut faults, |found| &mut found.silver)?;
        self.count(lake, "silver_quarantine", &mut found, &mut faults, |found| &mut found.quarantine)?;
        self.count(lake, "dead_letters", &mut found, &mut faults, |found| &mut found.dead_letters)?;

        let mut tally = Tally::default();
        for (partition, found) in (0..).zip(&found) {
            for (offset, found) in (0..).zip(found) {
                let kind = self.stream.kind(partition, offset);
                let expected = Found::expected(kind);
                if *found != expected {
                    faults.add(format!(
                        "({partition}, {offset}), {kind:?}: found in {found}; expected {expected}"
                    ));
                }
                tally.add(kind);
            }
        }
        faults.none().with_context(|| format!("tables in {}", lake.display()))?;
        Ok(tally)
    }

    /// How the records must be distributed.
    pub fn expected(&self) -> Tally {
        let mut tally = Tally::default();
        for (partition, end) in (0..).zip(self.ends) {
            for offset in 0..*end {
                tally.add(self.stream.kind(partition, offset));
            }
        }
        tally
    }

    fn count(
        &self,
        lake: &Path,
        name: &str,
        found: &mut [Vec<Found>],
        faults: &mut Faults,
        counter: impl Fn(&mut Found) -> &mut u8,
    ) -> Result<()> {
        // A table without rows need not exist: if rows were expected, the counts tell.
        let Some(table) = Table::open(&lake.join(name))? else { return Ok(()) };
        table.scan(|batch| {
            let positions = tables::positions(batch)?;
            for &(partition, offset) in &positions {
                let slot = usize::try_from(partition).ok().and_then(|partition| found.get_mut(partition));
                let slot = slot.and_then(|slots| slots.get_mut(usize::try_from(offset).ok()?));
                match slot {
                    Some(found) => {
                        let count = counter(found);
                        *count = count.saturating_add(1);
                    }
                    None => faults.add(format!("({partition}, {offset}) in {name}: no such record")),
                }
            }
            self.compare_content(name, batch, &positions, faults)
        })
    }

    /// A row must hold what was at its position, not a neighbour's values.
    fn compare_content(
        &self,
        name: &str,
        batch: &RecordBatch,
        positions: &[(i32, i64)],
        faults: &mut Faults,
    ) -> Result<()> {
        match name {
            "bronze" | "silver" => {
                let ids = tables::strings(batch, "event_id")?;
                let ids = ids.as_string::<i32>();
                for (&(partition, offset), id) in positions.iter().zip(ids) {
                    let written_at = match self.stream.kind(partition, offset) {
                        Kind::Duplicate { of } => of,
                        Kind::Plain | Kind::Malformed | Kind::Late | Kind::Implausible => offset,
                    };
                    if id != Some(&format!("{partition}-{written_at}")) {
                        faults.add(format!("({partition}, {offset}) in {name}: has event id {id:?}"));
                    }
                }
            }
            "dead_letters" => {
                let payloads = tables::bytes(batch, "payload")?;
                let reasons = tables::strings(batch, "reason")?;
                let rows = payloads.as_binary::<i32>().iter().zip(reasons.as_string::<i32>());
                for (&(partition, offset), (payload, reason)) in positions.iter().zip(rows) {
                    let sent = self.stream.event(partition, offset).payload;
                    if payload != Some(sent.as_bytes()) {
                        faults
                            .add(format!("({partition}, {offset}) in {name}: payload is not what was sent"));
                    }
                    if reason.is_none_or(str::is_empty) {
                        faults.add(format!("({partition}, {offset}) in {name}: no reason"));
                    }
                }
            }
            "silver_quarantine" => {
                for column in ["layer", "step", "rule", "reason", "row"] {
                    let values = tables::strings(batch, column)?;
                    ensure!(values.null_count() == 0, "a quarantined row without `{column}`");
                }
            }
            other => bail!("the oracle does not know table `{other}`"),
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, kind: Kind) {
        let expected = Found::expected(kind);
        self.records += 1;
        self.dead_letters += u64::from(expected.dead_letters);
        self.bronze += u64::from(expected.bronze);
        self.quarantined += u64::from(expected.quarantine);
        self.silver += u64::from(expected.silver);
        self.repeated += u64::from(matches!(kind, Kind::Duplicate { .. }));
        self.late += u64::from(kind == Kind::Late);
    }
}

#[derive(Debug, Default)]
struct Faults {
    total: u64,
    listed: Vec<String>,
}

impl Faults {
    fn add(&mut self, fault: String) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(fault);
        }
    }

    fn none(&self) -> Result<()> {
        if self.total == 0 {
            return Ok(());
        }
        let more = match self.total - self.listed.len() as u64 {
            0 => String::new(),
            more => format!("\n… and {more} more"),
        };
        bail!("{} faults:\n{}{more}", self.total, self.listed.join("\n"))
    }
}
