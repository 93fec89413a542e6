//! The examples of a page: steps, and the rows that go in and come out.
//!
//! A block of YAML is a step, or, if it begins with `decode:`, the columns of the steps after it. Blocks `jsonl in`,
//! `jsonl out` and `jsonl rejected` after a step are the records that go in, the rows that come out and the rows that are
//! rejected, with rule and reason. A block `csv` after it is the file that its `reference` names.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow::json::LineDelimitedWriter;
use serde_json::{Map, Value, json};
use sluicebox::batch::{RawBatch, RawRecord};
use sluicebox::cli::reference_form;
use sluicebox::config;
use sluicebox::decode::{DecodeSettings, Decoded, Decoder, Policy};
use sluicebox::plugin::{Engine, HOST_COLUMNS, Limits, OnError, Rows, Step, StepSettings};
use sluicebox::progress::{OffsetRange, TopicPartition};
use sluicebox::reference::ReferenceSource;
use sluicebox::reference_table::ReferenceTable;
use sluicebox::schema::{Column, RecordSchema, parse_type};
use sluicebox::storage::StoreOptions;
use url::Url;

use super::{read, root};

/// The columns of records, by the block of YAML that declares them.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns(pub String);

/// A step, as it stands on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub columns: Columns,
    pub step: String,
    /// The text of the CSV file in which the step looks rows up.
    pub table: Option<String>,
    pub lines: Option<Lines>,
}

/// Lines of JSON. Rejections are `{"rule": …, "reason": …}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    pub input: Vec<Value>,
    pub output: Vec<Value>,
    pub rejected: Vec<Value>,
}

/// The steps of a page, over `columns` where it declares no others.
pub fn examples(page: &str, columns: &Columns) -> Result<Vec<Example>> {
    let mut columns = columns.clone();
    let mut examples: Vec<Example> = Vec::new();
    // Fences stand in pairs: every second piece is a block, with its kind in the first line.
    for block in page.split("\n```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').context("a block has a first line")?;
        match kind {
            "yaml" if text.starts_with("decode:") => columns = Columns(format!("{text}\n")),
            "yaml" => examples.push(Example {
                columns: columns.clone(),
                step: format!("{text}\n"),
                table: None,
                lines: None,
            }),
            "csv" => {
                let example = examples.last_mut().context("a table stands after its step")?;
                example.table = Some(format!("{text}\n"));
            }
            "jsonl in" | "jsonl out" | "jsonl rejected" => {
                let lines =
                    examples.last_mut().context("rows stand after their step")?.lines.get_or_insert_default();
                let values = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
                let values = values.with_context(|| format!("not lines of JSON:\n{text}"))?;
                match kind {
                    "jsonl in" => lines.input = values,
                    "jsonl out" => lines.output = values,
                    _ => lines.rejected = values,
                }
            }
            "" => {}
            other => bail!("a block of `{other}`: nothing checks it"),
        }
    }
    Ok(examples)
}

impl Columns {
    /// Those with which the index begins.
    pub fn of_index() -> Result<Columns> {
        let index = read(&root().join("docs/plugins.md"))?;
        let block = index.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```"));
        Ok(Columns(block.context("docs/plugins.md begins with columns")?.0.to_owned()))
    }

    fn decoder(&self) -> Result<Decoder> {
        let declared: Value = serde_saphyr::from_str(&self.0)?;
        let declared = declared["decode"]["schema"].as_object().context("`decode` has a `schema`")?;
        let column = |(name, written): (&String, &Value)| -> Result<Column> {
            let data_type = parse_type(written.as_str().context("a type is a text")?)?;
            Ok(Column { name: name.clone(), data_type })
        };
        let schema = RecordSchema::new(declared.iter().map(column).collect::<Result<_>>()?)?;
        let settings = DecodeSettings {
            policy: Policy::Strict,
            max_columns: 100,
            max_depth: 8,
            max_record_bytes: 1 << 20,
        };
        Ok(Decoder::new(settings, schema)?)
    }
}

impl Example {
    /// What the step makes of the lines that go in, in batches of at most so many rows.
    pub fn run(&self, plugin: &str, engine: &Engine, batch: usize) -> Result<Lines> {
        let input = &self.lines.as_ref().context("the example has rows")?.input;
        let steps: Value = serde_saphyr::from_str(&self.step)?;
        let [step] = steps.as_array().map_or(&[][..], Vec::as_slice) else { bail!("an example is one step") };
        ensure!(step["plugin"] == plugin, "the example is of another plugin");
        let mut decoder = self.columns.decoder()?;
        let path = crate::fixed_batch::component(plugin);
        let settings = StepSettings {
            layer: "silver".into(),
            step: plugin.into(),
            config: step["config"].clone(),
            limits: Limits::default(),
            on_error: OnError::Stop,
            grants: Default::default(),
        };
        let table = self.table.as_ref().map(|text| reference(&step["reference"], text)).transpose()?;
        let plugin = engine.load(&path, None)?;
        let mut step = Step::open_with_reference(plugin, settings, decoder.output_schema(), table)?;
        let mut lines = Lines { input: input.clone(), ..Lines::default() };
        for records in input.chunks(batch) {
            let rows = match decoder.decode(&raw(records)) {
                Decoded::Rows(rows) if rows.dead.is_empty() => rows.batch,
                _ => bail!("the records of the example are not of its columns"),
            };
            let outcome = step.run(Rows::new(rows), None)?;
            lines.output.extend(to_json(&outcome.rows.into_batch())?);
            if let Some(rejected) = outcome.rejected {
                let told = rejected.rules.iter().zip(rejected.reasons.iter());
                lines.rejected.extend(told.map(|(rule, reason)| json!({"rule": rule, "reason": reason})));
            }
        }
        Ok(lines)
    }
}

/// The table that a step names, in a file with this text.
fn reference(step: &Value, text: &str) -> Result<Arc<ReferenceTable>> {
    let given: config::TableReference = serde_json::from_value(step.clone())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("table.csv");
    std::fs::write(&file, text)?;
    let location = Url::from_file_path(&file).map_err(|()| anyhow!("{} is no path", file.display()))?;
    let source = ReferenceSource::new(
        reference_form(&given)?,
        location,
        &StoreOptions::default(),
        given.max_bytes.as_usize(),
    )?;
    let (_, table) = tokio::runtime::Runtime::new()?.block_on(source.read())?;
    Ok(Arc::new(table))
}

fn raw(records: &[Value]) -> RawBatch {
    let mut data = Vec::new();
    let mut raw = Vec::with_capacity(records.len());
    for (offset, record) in (0..).zip(records) {
        let start = data.len();
        data.extend_from_slice(record.to_string().as_bytes());
        raw.push(RawRecord { offset, timestamp_ms: None, key: None, payload: Some(start..data.len()) });
    }
    let range = OffsetRange { from: 0, to: records.len() as i64 };
    RawBatch { partition: TopicPartition::new("example", 0), range, lost: false, records: raw, data }
}

/// The rows without what the host made, and without nulls.
fn to_json(batch: &arrow::array::RecordBatch) -> Result<Vec<Value>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())?;
    let row = |line: &str| -> Result<Value> {
        let row: Map<String, Value> = serde_json::from_str(line)?;
        Ok(row
            .into_iter()
            .filter(|(name, _)| !HOST_COLUMNS.contains(&name.as_str()) && name != "_rescued")
            .collect())
    };
    text.lines().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{Columns, examples};

    #[test]
    fn a_step_has_the_columns_and_rows_around_it() {
        let page = "a\n```yaml\n- one\n```\nb\n```yaml\ndecode:\n  x\n```\n```yaml\n- two\n```\n```jsonl in\n{}\n1\n```\n";
        let before = Columns("before".to_owned());
        let found = examples(page, &before).unwrap();
        assert_eq!((&found[0].columns, found[0].lines.is_none()), (&before, true));
        assert_eq!((found[1].columns.0.as_str(), found[1].step.as_str()), ("decode:\n  x\n", "- two\n"));
        assert_eq!(found[1].lines.as_ref().unwrap().input.len(), 2);
        assert!(examples("\n```rust\nx\n```\n", &before).is_err());
    }
}
