//! A row transform as one over typed columns.

use serde::Deserialize;

use crate::{
    Batch, Bitmap, ColumnWriter, Description, Error, Field, Kind, Outcome, Output, Reads, Rejections, Schema,
    State, Stateful, Transform, TransformPlan, field,
};

use super::output::sealed;
use super::reader::RowReader;
use super::{Fate, RowTransform, tracer};

/// Any [`RowTransform`] as a [`Transform`]: what is exported, and what the test kit opens.
pub struct Rowwise<P> {
    plugin: P,
    reader: RowReader,
    made: Made,
}

/// What is made of the rows.
enum Made {
    Nothing,
    /// Columns row for row; the field of a struct around them.
    Columns(Vec<Field>),
    /// Rows of their own; the field of a struct around their columns.
    Rows(Vec<Field>),
}

const UNREADABLE_ROW: &str = "unreadable_row";

impl<P: RowTransform> Transform for Rowwise<P> {
    const DESCRIPTION: Description = P::DESCRIPTION;
    type Config = P::Config;

    fn open(config: P::Config, input: &Schema) -> Result<(Rowwise<P>, TransformPlan), Error> {
        let fields = tracer::fields_of::<P::In<'static>>()
            .map_err(|error| Error::Config(format!("the plugin's input type has no columns: {error}")))?;
        let mut reads = Reads::default();
        let reader = RowReader::new(&fields, input, &mut reads)?;
        let output = <P::Out as sealed::RowOutput>::plan(P::DROPS.iter().map(ToString::to_string).collect())?;
        let made = match &output {
            Output::Select => Made::Nothing,
            Output::Columns { set, .. } => Made::Columns(in_a_struct(set)),
            Output::Rows(fields) => Made::Rows(in_a_struct(fields)),
        };
        let rules = P::RULES.iter().copied().chain([UNREADABLE_ROW]).map(str::to_owned).collect();
        let plugin = P::open(config)?;
        Ok((Rowwise { plugin, reader, made }, TransformPlan { reads: reads.names(), output, rules }))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let rows = batch.rows as usize;
        let mut keep = Bitmap::filled(rows, true);
        let mut rejected = Rejections::default();
        let mut made = self.made.writer()?;
        for row in 0..rows {
            let fate = match P::In::deserialize(self.reader.row(batch, row)) {
                Ok(read) => self.plugin.apply(read),
                Err(error) => Fate::reject(UNREADABLE_ROW, error.to_string()),
            };
            match fate {
                Fate::Keep(output) => {
                    sealed::RowOutput::write(output, &mut made)?;
                    continue;
                }
                Fate::Drop => {}
                Fate::Reject { rule, reason } => rejected.push(row, rule_index(P::RULES, rule)?, &reason),
            }
            keep.set(row, false);
            <P::Out as sealed::RowOutput>::fill(&mut made);
        }
        let made = without_struct(made);
        Ok(match self.made {
            Made::Nothing => Outcome { keep: Some(keep), rejected, batch: None },
            Made::Columns(_) => Outcome { keep: Some(keep), rejected, batch: Some(made) },
            Made::Rows(_) => Outcome { keep: None, rejected, batch: (made.rows > 0).then_some(made) },
        })
    }
}

impl<P: Stateful> Stateful for Rowwise<P> {
    fn state(&mut self) -> &mut dyn State {
        self.plugin.state()
    }
}

impl Made {
    fn writer(&self) -> Result<ColumnWriter, Error> {
        let writer = match self {
            Made::Nothing => ColumnWriter::new(&in_a_struct(&[])),
            Made::Columns(fields) | Made::Rows(fields) => ColumnWriter::new(fields),
        };
        writer
            .ok_or_else(|| Error::Data("the plugin's output type has columns that cannot be written".into()))
    }
}

/// The index of a rule in the plan, where the SDK's own comes last.
fn rule_index(rules: &[&str], rule: &str) -> Result<u16, Error> {
    let known = rules.iter().position(|known| *known == rule);
    match known.or((rule == UNREADABLE_ROW).then_some(rules.len())) {
        Some(index) => Ok(index as u16),
        None => Err(Error::Data(format!("the plugin rejects by the rule `{rule}`, which its RULES lack"))),
    }
}

/// Columns as the fields of a struct: so a row is one value to write.
fn in_a_struct(columns: &[Field]) -> Vec<Field> {
    let children = crate::schema::children(columns, 0, columns.len()).count() as u32;
    let row = Field { nullable: false, children, ..field("row", Kind::StructOf) };
    std::iter::once(row).chain(columns.iter().cloned()).collect()
}

fn without_struct(writer: ColumnWriter) -> Batch {
    let mut columns = writer.finish();
    let rows = columns.remove(0).length;
    Batch { rows, columns }
}
