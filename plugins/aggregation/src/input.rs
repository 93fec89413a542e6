//! The columns that an aggregation by event time reads.

use sluicebox_plugin::{
    Batch, Error, Field, Kind, Place, Reads, Scalar, Schema, TimeUnit, field, is_key_kind, kind_name,
};

use crate::config::{AggregateConfig, Aggregated};

/// A row's event time, its own watermark, its group, and its value for each aggregate.
pub struct Input {
    pub time: Place,
    pub watermark: Place,
    pub by: Vec<Place>,
    pub aggregates: Vec<Aggregated>,
    columns: Vec<Option<Place>>,
    reads: Reads,
    /// Of the results, with what is nested in them.
    results: Vec<Field>,
}

impl Input {
    /// Errors: [`Error::Config`], [`Error::Schema`].
    pub fn new(
        time: &str,
        by: &[String],
        aggregates: &[AggregateConfig],
        schema: &Schema,
    ) -> Result<Input, Error> {
        let mut reads = Reads::default();
        let time = event_time(time, schema, &mut reads)?;
        let watermark = reads.add(schema, "_watermark")?;
        let by = by.iter().map(|name| group(name, schema, &mut reads)).collect::<Result<_, _>>()?;
        if aggregates.is_empty() {
            return Err(Error::Config("`aggregates` must name at least one".into()));
        }
        let mut input = Input {
            time,
            watermark,
            by,
            aggregates: Vec::new(),
            columns: Vec::new(),
            reads: Reads::default(),
            results: Vec::new(),
        };
        for config in aggregates {
            let place = config.column.as_deref().map(|column| reads.add(schema, column)).transpose()?;
            let aggregated = config.aggregated(place.as_ref().map(Place::kind))?;
            input.results.extend(aggregated.fields(&config.name));
            input.aggregates.push(aggregated);
            input.columns.push(place);
        }
        Ok(Input { reads, ..input })
    }

    /// The plan's `reads`.
    pub fn reads(&self) -> Vec<String> {
        self.reads.names()
    }

    /// The columns of the group.
    pub fn group_fields(&self) -> Vec<Field> {
        self.by.iter().map(|place| field(&place.field().name, place.kind().clone())).collect()
    }

    /// The columns of the output: `edges`, the group and the results, with what is nested in them. [`Error::Config`] if
    /// two have one name.
    pub fn output(&self, edges: &[Field]) -> Result<Vec<Field>, Error> {
        let output: Vec<Field> =
            edges.iter().cloned().chain(self.group_fields()).chain(self.results.iter().cloned()).collect();
        let schema = Schema::new(output);
        let mut names = std::collections::HashSet::new();
        match schema.top_level().find(|field| !names.insert(field.name.as_str())) {
            Some(twice) => {
                let twice = &twice.name;
                Err(Error::Config(format!("two columns of the output would be named `{twice}`")))
            }
            None => Ok(schema.fields().to_vec()),
        }
    }

    /// The row's value for each aggregate; a `count` of rows gets one that is not null.
    pub fn values(&self, batch: &Batch, row: usize) -> Result<Vec<Scalar>, Error> {
        let value = |column: &Option<Place>| match column {
            Some(place) => place.scalar(batch, row),
            None => Ok(Scalar::Bool(true)),
        };
        self.columns.iter().map(value).collect()
    }
}

fn event_time(name: &str, schema: &Schema, reads: &mut Reads) -> Result<Place, Error> {
    let place = reads.add(schema, name)?;
    match place.kind() {
        Kind::Timestamp(timestamp) if timestamp.unit == TimeUnit::Microseconds => Ok(place),
        _ => Err(Error::Schema(format!("column `{name}` is not a timestamp in microseconds"))),
    }
}

fn group(name: &str, schema: &Schema, reads: &mut Reads) -> Result<Place, Error> {
    let place = reads.add(schema, name)?;
    if !is_key_kind(place.kind()) {
        let kind = kind_name(place.kind());
        return Err(Error::Schema(format!("column `{name}` is {kind}, which cannot be grouped by")));
    }
    Ok(place)
}
