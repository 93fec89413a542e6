//! Standard plugins as components, where the host decides with them: errors, the search for rows, metrics, limits.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{Array, AsArray, Int64Array, Int64Builder, ListBuilder, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use serde_json::{Value, json};
use sluicebox::plugin::{Engine, EngineSettings, Limits, Metric, OnError, Rows, Step, StepSettings};
use sluicebox_tests::fixed_batch::component;

fn open(plugin: &str, config: Value, limits: Limits, on_error: OnError, schema: &SchemaRef) -> Result<Step> {
    let engine = Engine::new(&EngineSettings::default())?;
    let (layer, step, grants) = ("silver".into(), plugin.into(), Arc::default());
    let settings = StepSettings { layer, step, config, limits, on_error, grants };
    Ok(Step::open(engine.load(&component(plugin), None)?, settings, schema)?)
}

/// Rows with the ids `0..count`, at the offsets `1000..`.
fn ids(count: i64) -> Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("_offset", DataType::Int64, false),
        Field::new("id", DataType::Int64, true),
    ]);
    let offsets = Int64Array::from_iter_values(1000..1000 + count);
    let ids = Int64Array::from_iter_values(0..count);
    Ok(RecordBatch::try_new(schema.into(), vec![Arc::new(offsets), Arc::new(ids)])?)
}

fn rules() -> Value {
    json!({"rules": [
        {"name": "small", "check": {"column": "id", "lt": 90}, "on_failure": "warn"},
        {"name": "allowed", "check": {"not": {"column": "id", "in": [17, 95]}}, "on_failure": "fail"},
    ]})
}

/// A row that fails a rule of `fail` stops the pipeline where the step's `on_error` says so, and is named by its offset.
#[test]
fn a_rule_that_must_hold_stops_the_pipeline_at_the_row() -> Result<()> {
    let batch = ids(100)?;
    let mut step = open("validate", rules(), Limits::default(), OnError::Stop, &batch.schema())?;
    let error = step.run(Rows::new(batch), None).expect_err("row 17 is not allowed").to_string();
    for part in ["layer `silver`, step `validate`", "it failed allowed", "at offset 1017"] {
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}

/// Where `on_error` sets such rows aside, the others go on; and although the host looks for them by sending the batch again
/// in pieces, each failure of each rule is counted once.
#[test]
fn failures_are_counted_once_however_often_rows_are_sent() -> Result<()> {
    let batch = ids(100)?;
    let mut step = open("validate", rules(), Limits::default(), OnError::SetAside, &batch.schema())?;
    let outcome = step.run(Rows::new(batch), None)?;
    assert_eq!((outcome.counts.kept, outcome.counts.failed), (98, 2));
    let failed = outcome.failed.expect("two rows were set aside");
    let found = failed.rows.column_by_name("id").expect("the id").as_primitive::<Int64Type>();
    assert_eq!(found.values(), &[17, 95]);
    assert!(failed.reasons.value(1).ends_with("it failed small; allowed"), "{}", failed.reasons.value(1));
    let counts: Vec<(&str, Metric)> =
        step.metrics().iter().map(|(name, metric)| (name.as_str(), *metric)).collect();
    assert_eq!(counts, [("allowed", Metric::Count(2)), ("small", Metric::Count(10))]);
    Ok(())
}

/// More new rows than a call may give: the batch is sent in pieces, and only a row that has too many elements by itself is
/// set aside.
#[test]
fn a_list_that_is_too_long_costs_its_own_row_alone() -> Result<()> {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for length in [5, 40, 7, 5] {
        lists.append_value((0..length).map(Some));
    }
    let lists = lists.finish();
    let schema: SchemaRef = Schema::new(vec![Field::new("values", lists.data_type().clone(), true)]).into();
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(lists)])?;
    let limits = Limits { output_rows: 10, ..Limits::default() };
    let config = json!({"list": "values", "element": "value", "index": "at"});
    let mut step = open("explode", config, limits, OnError::SetAside, &schema)?;
    let outcome = step.run(Rows::new(batch), None)?;
    assert_eq!((outcome.counts.failed, outcome.counts.consumed, outcome.counts.made), (1, 3, 17));
    let rows = outcome.rows.into_batch();
    assert_eq!(rows.column(0), rows.column(1), "the values are their positions");
    assert_eq!(rows.num_rows(), 17);
    Ok(())
}
