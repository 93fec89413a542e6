//! Columns looked up in a reference table.

mod config;
mod index;
mod table;

use sluicebox_kernels::NULL;
use sluicebox_plugin::{
    Batch, Bitmap, Description, Error, Field, KeyReader, Kind, Outcome, Output, Place, Reads,
    ReferenceTransform, Rejections, Schema, TimeUnit, TransformPlan, host, is_key_kind, kind_name,
};

pub use config::Config;
use config::OnMiss;
use table::{Table, shown};

pub struct Enrich {
    /// The columns of the rows to look up by, in the order of the table's key.
    key: Vec<Place>,
    table: Table,
    on_miss: OnMiss,
    sets_columns: bool,
}

impl ReferenceTransform for Enrich {
    const DESCRIPTION: Description = Description {
        name: "enrich",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Adds columns looked up in a reference table.",
    };
    type Config = Config;

    fn columns(config: &Config, table: &Schema) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = Vec::new();
        for (_, name) in config.on()?.into_iter().chain(config.select()?) {
            let Some(column) = table.column(name) else {
                let there: Vec<&str> = table.top_level().map(|field| field.name.as_str()).collect();
                let there = there.join(", ");
                return Err(Error::Schema(format!(
                    "the reference table has no column `{name}`; it has {there}"
                )));
            };
            if !names.contains(&column[0].name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(config: Config, input: &Schema, table: &Schema) -> Result<(Enrich, TransformPlan), Error> {
        let gone = |name: &str| Error::Schema(format!("the reference table has no column `{name}`"));
        let mut reads = Reads::default();
        let (mut key, mut table_key) = (Vec::new(), Vec::new());
        for (column, table_column) in config.on()? {
            let (own, theirs) =
                (reads.add(input, column)?, table.place(table_column).ok_or_else(|| gone(table_column))?);
            check_comparable(column, &own, &theirs)?;
            key.push(own);
            table_key.push(theirs);
        }
        let (mut selected, mut set) = (Vec::new(), Vec::new());
        for (name, table_column) in config.select()? {
            if !config.replace && input.column(name).is_some() {
                return Err(Error::Schema(format!(
                    "the rows have a column `{name}` already: call the new one otherwise \
                     (`select: {{ {table_column}_found: {table_column} }}`), or set `replace: true`"
                )));
            }
            let place = table.place(table_column).ok_or_else(|| gone(table_column))?;
            let mut fields = place.fields().to_vec();
            fields[0] = Field { name: name.to_owned(), nullable: true, ..fields[0].clone() };
            set.append(&mut fields);
            selected.push(place);
        }
        let sets_columns = !set.is_empty();
        let output = match sets_columns {
            true => Output::Columns { set, drop: Vec::new() },
            false => Output::Select,
        };
        let rules = match config.on_miss {
            OnMiss::Reject => vec!["no_match".to_owned()],
            OnMiss::Keep | OnMiss::Drop => Vec::new(),
        };
        let table = Table::new(table_key, selected, config.on_duplicate);
        let enrich = Enrich { key, table, on_miss: config.on_miss, sets_columns };
        Ok((enrich, TransformPlan { reads: reads.names(), output, rules }))
    }

    fn load(&mut self, rows: Batch) -> Result<(), Error> {
        self.table.load(&rows)
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let found = self.table.find(&self.key, batch)?;
        let matched = Bitmap::of_values(&found, |row| row != NULL);
        let missed = found.len() - matched.count_set();
        if missed > 0 {
            host::count("misses", missed as u64);
        }
        let mut outcome = Outcome::default();
        match self.on_miss {
            OnMiss::Keep => {}
            OnMiss::Drop => outcome.keep = (missed > 0).then(|| matched.clone()),
            OnMiss::Reject => outcome.rejected = self.rejections(&matched, batch)?,
        }
        if self.sets_columns {
            outcome.batch = Some(Batch { rows: batch.rows, columns: self.table.pick(&found) });
        }
        Ok(outcome)
    }
}

impl Enrich {
    fn rejections(&self, matched: &Bitmap, batch: &Batch) -> Result<Rejections, Error> {
        let mut rejected = Rejections::default();
        let keys = KeyReader::new(&self.key, batch)?;
        let mut key = Vec::new();
        for row in matched.clear_rows() {
            key.clear();
            let reason = match keys.append(row, &mut key) {
                Some(null) => format!("`{}` is null", self.key[null].field().name),
                None => format!("the reference table has no row for {}", shown(&self.key, &key)),
            };
            rejected.push(row, 0, &reason);
        }
        Ok(rejected)
    }
}

/// Integers of all widths compare; other kinds with themselves.
fn check_comparable(name: &str, own: &Place, theirs: &Place) -> Result<(), Error> {
    for (whose, place) in [("column", own), ("the reference table's column", theirs)] {
        if !is_key_kind(place.kind()) {
            let (field, kind) = (&place.field().name, kind_name(place.kind()));
            return Err(Error::Schema(format!(
                "{whose} `{field}` is {kind}, by which nothing can be looked up"
            )));
        }
    }
    let same = match (own.kind(), theirs.kind()) {
        (Kind::Timestamp(own), Kind::Timestamp(theirs)) => {
            own.unit == theirs.unit && own.zone.is_some() == theirs.zone.is_some()
        }
        (own, theirs) => own == theirs || (is_integer(own) && is_integer(theirs)),
    };
    if same {
        return Ok(());
    }
    Err(Error::Schema(format!(
        "column `{name}` is {}, the reference table's `{}` is {}: they never compare; cast one of them before",
        described(own.kind()),
        theirs.field().name,
        described(theirs.kind())
    )))
}

fn is_integer(kind: &Kind) -> bool {
    use Kind::{Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32};
    matches!(kind, Int8 | Int16 | Int32 | Int64 | Uint8 | Uint16 | Uint32)
}

fn described(kind: &Kind) -> String {
    match kind {
        Kind::Timestamp(of) => {
            let zone = if of.zone.is_some() { "with" } else { "without" };
            let unit = match of.unit {
                TimeUnit::Seconds => "seconds",
                TimeUnit::Milliseconds => "milliseconds",
                TimeUnit::Microseconds => "microseconds",
                TimeUnit::Nanoseconds => "nanoseconds",
            };
            format!("timestamp in {unit} {zone} a time zone")
        }
        kind => kind_name(kind).to_owned(),
    }
}

sluicebox_plugin::export!(Enrich: ReferenceTransform);

#[cfg(test)]
mod tests;
