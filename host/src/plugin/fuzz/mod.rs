//! Whatever a plugin gives back: sound values are drawn, damaged, and sent through the checks. Nothing panics, and what the
//! checks accept is sound Arrow data within the limits, on which everything behind them works.
//!
//! `SLUICEBOX_FUZZ_SECONDS=600 cargo test --workspace --lib plugin::fuzz -- --nocapture --test-threads 1` runs each target
//! for ten minutes.

mod columns;
mod records;
#[path = "../../../tests/fuzzing/seeds.rs"]
mod seeds;
mod state;
mod stated;

use arrow::array::{Array, ArrayData, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::round_trip::Dice;
use super::rows::Rows;

/// Columns that the host makes, and some of any type.
fn input(dice: &mut Dice, rows: usize) -> RecordBatch {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("_offset", DataType::Int64, false),
        Field::new("_key", DataType::Binary, true),
        Field::new("_watermark", utc, true),
    ];
    for name in ["a", "b", "c"] {
        fields.push(dice.field(name, 2));
    }
    drawn(dice, &Schema::new(fields).into(), rows)
}

fn drawn(dice: &mut Dice, schema: &SchemaRef, rows: usize) -> RecordBatch {
    let arrays: Vec<ArrayRef> = schema.fields().iter().map(|field| dice.array(field, rows)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options).unwrap()
}

/// What Arrow itself says of the data, with all that it trusts otherwise.
fn assert_sound(batch: &RecordBatch) {
    for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
        assert_data_sound(&column.to_data());
        assert_eq!(column.data_type(), field.data_type());
        assert_eq!(column.len(), batch.num_rows());
        assert!(field.is_nullable() || column.null_count() == 0, "nulls in `{}`", field.name());
    }
}

/// Arrow's check takes the offset of the values for that of the validity, which may have another.
fn assert_data_sound(data: &ArrayData) {
    let validity = data.nulls().map_or(data.len(), |nulls| nulls.len());
    assert_eq!(validity, data.len(), "a validity of another length");
    let children: Vec<ArrayData> = data.child_data().iter().map(without_nulls).collect();
    children.iter().for_each(|child| child.validate_full().unwrap());
    data.child_data().iter().for_each(assert_data_sound);
    without_nulls(data).validate_full().unwrap();
}

fn without_nulls(data: &ArrayData) -> ArrayData {
    let children = data.child_data().iter().map(without_nulls).collect();
    // SAFETY: it is used for nothing but the check of what it is made of.
    unsafe { data.clone().into_builder().nulls(None).child_data(children).build_unchecked() }
}

/// The kernels that rows go through between steps and on their way into files.
fn use_up(batch: RecordBatch) {
    let every_other = (0..batch.num_rows()).map(|row| row % 2 == 0).collect();
    let mut rows = Rows::new(batch);
    assert_sound(&rows.copy_where(&every_other));
    rows.keep_where(&every_other);
    let rest = rows.into_batch();
    assert_sound(&rest);
    let joined = arrow::compute::concat_batches(rest.schema_ref(), [&rest, &rest]).unwrap();
    assert_sound(&joined);
    super::records::write_all(&joined);
    drop(super::lower::lower(joined.columns()));
}
