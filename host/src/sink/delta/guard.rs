//! What a table must be, and what others may do to it, for entries to be applied.

use deltalake_core::kernel::{Metadata, Protocol, StructType};
use uuid::Uuid;

use super::log::{Commit, State, ledger_of, operation_of};
use super::row_key::Mode;
use super::schema::grow;
use super::{DeltaSettings, ledger_property};
use crate::ledger::entry::{DataFile, EntryNumber, SinkRecord};
use crate::sink::SinkError;
use crate::sink::rows::is_staged;

const RETENTION: &str = "delta.setTransactionRetentionDuration";
/// Features that ask nothing of a writer that only appends plain files, or nothing while unused:
/// what switches them on in the metadata is refused by [`check_metadata`].
const WRITABLE: [&str; 12] = [
    "appendOnly",
    "invariants",
    "checkConstraints",
    "changeDataFeed",
    "generatedColumns",
    "identityColumns",
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "domainMetadata",
    "v2Checkpoint",
    "vacuumProtocolCheck",
];
/// Properties that ask of each writer what this one does not do, with the values that switch them off.
const UNWRITABLE: [(&str, &str); 6] = [
    ("delta.columnMapping.mode", "none"),
    ("delta.enableInCommitTimestamps", "false"),
    ("delta.enableRowTracking", "false"),
    ("delta.enableIcebergCompatV1", "false"),
    ("delta.enableIcebergCompatV2", "false"),
    ("delta.randomizeFilePrefixes", "false"),
];
/// Properties that forbid to take rows out, or ask for more than that, of whoever merges.
const UNMERGEABLE: [&str; 3] =
    ["delta.appendOnly", "delta.enableChangeDataFeed", "delta.enableDeletionVectors"];
/// Marks in a column's metadata that ask each writer to compute or check its values.
const UNWRITABLE_COLUMNS: [&str; 4] = [
    "delta.invariants",
    "delta.generationExpression",
    "delta.identity.start",
    "delta.columnMapping.physicalName",
];

/// The judge of one table, for one sink.
pub(super) struct Guard {
    pub location: String,
    pub pipeline: String,
    pub sink: String,
    pub ledger: Uuid,
    pub accept_version: Option<u64>,
    pub partition_by: Vec<String>,
    /// Whether the sink takes rows out of the table, too.
    merges: bool,
}

impl Guard {
    pub fn new(location: String, settings: &DeltaSettings, partition_by: Vec<String>) -> Self {
        Self {
            location,
            pipeline: settings.pipeline.clone(),
            sink: settings.sink.clone(),
            ledger: settings.ledger,
            accept_version: settings.accept_version,
            partition_by,
            merges: settings.mode != Mode::Append,
        }
    }

    /// Whether the table can take our files at all.
    pub fn check_table(&self, protocol: &Protocol, metadata: &Metadata) -> Result<(), SinkError> {
        let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
        if reader > 3 || writer > 7 {
            return self.refuse(&format!(
                "the table requires version {reader}/{writer} of the Delta protocol, and this sink knows up to 3/7; write to another table"
            ));
        }
        for feature in protocol.writer_features().into_iter().chain(protocol.reader_features()).flatten() {
            if !WRITABLE.contains(&feature.to_string().as_str()) {
                return self.refuse(&format!(
                    "the table requires `{feature}`, which this sink does not write; drop the feature, or write to another table"
                ));
            }
        }
        self.check_metadata(metadata)
    }

    fn check_metadata(&self, metadata: &Metadata) -> Result<(), SinkError> {
        let properties = metadata.configuration();
        if properties.contains_key(RETENTION) {
            return self.refuse(&format!(
                "the table has `{RETENTION}`, by which its readers forget the sink's mark, and rows would be applied twice; run `ALTER TABLE ... UNSET TBLPROPERTIES ('{RETENTION}')` and start again"
            ));
        }
        for (property, off) in UNWRITABLE {
            if properties.get(property).is_some_and(|value| !value.eq_ignore_ascii_case(off)) {
                return self.refuse(&format!(
                    "the table has `{property}`, which this sink does not write; switch it off, or write to another table"
                ));
            }
        }
        let is_on = |property: &&&str| {
            properties.get(**property).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
        };
        if let Some(property) = UNMERGEABLE.iter().filter(|_| self.merges).find(is_on) {
            return self.refuse(&format!(
                "the table has `{property}`, with which `mode: upsert` cannot merge; run `ALTER TABLE ... SET TBLPROPERTIES ('{property}' = 'false')`, or write to another table"
            ));
        }
        if let Some(constraint) = properties.keys().find(|key| key.starts_with("delta.constraints.")) {
            return self.refuse(&format!(
                "the table has the constraint `{constraint}`, which this sink does not check; drop it, and reject such rows in a step instead"
            ));
        }
        if metadata.partition_columns() != self.partition_by {
            return self.refuse(&format!(
                "the table is partitioned by {:?}, and the sink by {:?}; set `partition_by` to the table's columns, or write to another table",
                metadata.partition_columns(),
                self.partition_by
            ));
        }
        let schema = self.schema_of(metadata)?;
        for field in schema.fields() {
            if let Some(mark) = UNWRITABLE_COLUMNS.iter().find(|&&mark| field.metadata().contains_key(mark)) {
                return self.refuse(&format!(
                    "column `{}` of the table has `{mark}`, which this sink does not write; drop the column, or write to another table",
                    field.name()
                ));
            }
        }
        Ok(())
    }

    /// The schema after rows of `rows` (see [`grow`]); rows that may lack a column which the table requires are refused.
    pub fn grown(&self, metadata: &Metadata, rows: &StructType) -> Result<StructType, SinkError> {
        let table = self.schema_of(metadata)?;
        if let Some(required) = table.fields().find(|field| !field.is_nullable()) {
            return self.refuse(&format!(
                "column `{}` of the table is NOT NULL, which this sink does not check; run `ALTER TABLE ... ALTER COLUMN {} DROP NOT NULL`",
                required.name(),
                required.name()
            ));
        }
        grow(&table, rows).or_else(|error| self.refuse(&error.to_string()))
    }

    /// Files lie where the partition columns were when they were written, which may have changed since.
    pub fn check_partitions(&self, number: EntryNumber, files: &[DataFile]) -> Result<(), SinkError> {
        let fits =
            |file: &&DataFile| file.partition_values.iter().map(|(column, _)| column).eq(&self.partition_by);
        match files.iter().find(|file| !fits(file)) {
            None => Ok(()),
            Some(file) => self.refuse(&format!(
                "file `{}` of entry {number} is not partitioned by {:?}, as the table is; let the pipeline apply all entries before `partition_by` is changed",
                file.path, self.partition_by
            )),
        }
    }

    /// Files lie where the sink's mode had them, which may have changed since.
    pub fn other_mode<T>(&self, number: EntryNumber, path: &str) -> Result<T, SinkError> {
        self.refuse(&format!(
            "file `{path}` of entry {number} was written for another `mode` of the sink; let the pipeline apply all entries before `mode` is changed"
        ))
    }

    pub fn gone<T>(&self, number: EntryNumber, path: &str) -> Result<T, SinkError> {
        let by = match is_staged(path) {
            true => "though VACUUM passes over its folder: somebody removed it",
            false => "most likely by a VACUUM with a shorter retention than the entry's age",
        };
        self.refuse(&format!(
            "file `{path}` of entry {number} is gone before the entry was applied, {by}; restore it from a copy, or skip the rows by giving the sink another name"
        ))
    }

    pub fn schema_of(&self, metadata: &Metadata) -> Result<StructType, SinkError> {
        metadata
            .parse_schema()
            .or_else(|error| self.refuse(&format!("the table's schema cannot be read: {error}")))
    }

    /// The ledger that the table says our mark belongs to must be ours.
    pub fn check_ledger(&self, metadata: &Metadata) -> Result<(), SinkError> {
        let property = ledger_property(&self.pipeline, &self.sink);
        match metadata.configuration().get(&property) {
            Some(ledger) if *ledger == self.ledger.to_string() => Ok(()),
            Some(ledger) => self.other_ledger(ledger),
            None => self.refuse(&format!(
                "the table holds this sink's mark, but its property `{property}` is gone: the table was replaced or restored; {}",
                self.way_on()
            )),
        }
    }

    /// Whether we may go on from `state` over a commit. Others may add, delete, update and rewrite rows.
    pub fn check_commit(&self, state: &State, commit: &Commit) -> Result<(), SinkError> {
        if let Some(metadata) = &commit.metadata {
            self.check_same_table(state.metadata.id(), metadata.id())?;
        }
        if let Some(mark) = commit.mark {
            self.check_own(state, commit, mark)?;
        } else {
            self.check_foreign(commit)?;
        }
        if let Some(metadata) = &commit.metadata {
            self.check_metadata(metadata)?;
            self.check_ledger(metadata)?;
        }
        match &commit.protocol {
            Some(protocol) => self.check_table(protocol, commit.metadata.as_ref().unwrap_or(&state.metadata)),
            None => Ok(()),
        }
    }

    fn check_own(&self, state: &State, commit: &Commit, mark: i64) -> Result<(), SinkError> {
        if let Some(ledger) = ledger_of(commit).filter(|ledger| *ledger != self.ledger) {
            return self.other_ledger(&ledger.to_string());
        }
        match state.mark {
            Some(before) if mark <= before => self.refuse(&format!(
                "version {} sets the sink's mark from entry {before} back to {mark}: another pipeline writes under the id `{}`; stop it, or give it another id",
                commit.version, self.pipeline
            )),
            _ => Ok(()),
        }
    }

    /// What another writer's commit did, judged by the operation that it says it was.
    pub fn check_foreign(&self, commit: &Commit) -> Result<(), SinkError> {
        if self.accept_version.is_some_and(|accepted| commit.version <= accepted) {
            return Ok(());
        }
        let operation = operation_of(commit);
        let mode = commit.info.as_ref().and_then(|info| info.pointer("/operationParameters/mode")?.as_str());
        let what = match operation.as_deref() {
            Some("RESTORE") => "RESTORE",
            Some("CLONE") => "CLONE",
            Some(name) if name.contains("REPLACE TABLE") => name,
            Some("WRITE")
                if commit.removes_rows && mode.is_some_and(|mode| mode.eq_ignore_ascii_case("overwrite")) =>
            {
                "overwrite"
            }
            None if commit.removes_rows => "operation without a name that removed rows",
            _ => return Ok(()),
        };
        let before = commit.version.saturating_sub(1);
        self.refuse(&format!(
            "version {} is a {what} by another writer: rows that the ledger says are in the table may be gone. To get them back, restore the table to version {before}; to keep it as it is, do nothing to it. Then set `accept_version` of the sink to the table's version and start again",
            commit.version
        ))
    }

    pub fn check_same_table(&self, known: &str, found: &str) -> Result<(), SinkError> {
        if known == found {
            return Ok(());
        }
        self.refuse(&format!(
            "this is another table than before (its id is {found}, it was {known}): it was deleted and created again, or replaced; {}",
            self.way_on()
        ))
    }

    /// Compares the table with what was last known of it.
    pub fn check_not_backwards(&self, record: &SinkRecord, state: &State) -> Result<(), SinkError> {
        if let Some(known) = &record.table.id {
            self.check_same_table(known, state.metadata.id())?;
        }
        let version = record.table.version.unwrap_or_default();
        let mark = state.mark.and_then(|mark| u64::try_from(mark).ok()).unwrap_or_default();
        if state.version >= version && mark >= record.mark {
            return Ok(());
        }
        self.refuse(&format!(
            "the table went backwards: it was at version {version} with the mark {}, and is now at version {} with the mark {mark}; {}",
            record.mark,
            state.version,
            self.way_on()
        ))
    }

    fn way_on(&self) -> &'static str {
        "put the former table back, or give the sink another name, under which it starts at the ledger's newest entry"
    }

    fn other_ledger<T>(&self, ledger: &str) -> Result<T, SinkError> {
        self.refuse(&format!(
            "the table's mark belongs to the ledger {ledger}, and the pipeline's is {}: the state location was deleted or swapped, or another pipeline has the id `{}`; point `state` at the former location, or give the sink another name, under which it starts at the ledger's newest entry",
            self.ledger, self.pipeline
        ))
    }

    pub fn refuse<T>(&self, what: &str) -> Result<T, SinkError> {
        Err(SinkError::Refused(format!("{}: {what}", self.location)))
    }
}
