//! Base and changes as one base.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{OwnedRow, RowConverter, SortField};

use crate::changes::{StateChanges, StateLayout};

use super::StateError;
use super::segment::decode;

/// Folds `changes`, in their order, into `base`: for each key the last row that was not deleted later. Within
/// one change deletes happen first. The result is sorted by key, so the same state is always the same rows.
pub fn compact(
    layout: &StateLayout,
    base: Option<RecordBatch>,
    changes: impl IntoIterator<Item = StateChanges>,
) -> Result<RecordBatch, StateError> {
    let row_schema = layout.row();
    let mut fold = Fold::new(layout, &row_schema)?;
    if let Some(base) = base {
        fold.upsert(base)?;
    }
    for change in changes {
        if let Some(deletes) = change.deletes {
            fold.delete(&deletes)?;
        }
        if let Some(upserts) = change.upserts {
            fold.upsert(upserts)?;
        }
    }
    fold.finish()
}

/// The base that segments come to, in their order, and its layout; `None` without any. Each is given by its bytes and its
/// SHA-256.
pub fn fold<'a>(
    segments: impl IntoIterator<Item = (&'a [u8], &'a str)>,
) -> Result<Option<(StateLayout, RecordBatch)>, StateError> {
    let mut layout: Option<StateLayout> = None;
    let mut changes = Vec::new();
    for (bytes, sha256) in segments {
        let (found, change) = decode(bytes, sha256)?;
        let expected = layout.get_or_insert_with(|| found.clone());
        if *expected != found {
            return Err(StateError::Layout { expected: expected.to_string(), found: found.to_string() });
        }
        changes.push(change);
    }
    let Some(layout) = layout else { return Ok(None) };
    let base = compact(&layout, None, changes)?;
    Ok(Some((layout, base)))
}

struct Fold<'a> {
    layout: &'a StateLayout,
    row_schema: &'a SchemaRef,
    converter: RowConverter,
    batches: Vec<RecordBatch>,
    /// For each key the batch and the row in it.
    rows: BTreeMap<OwnedRow, (usize, usize)>,
}

impl<'a> Fold<'a> {
    fn new(layout: &'a StateLayout, row_schema: &'a SchemaRef) -> Result<Self, StateError> {
        let fields = layout.key.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { layout, row_schema, converter, batches: Vec::new(), rows: BTreeMap::new() })
    }

    fn upsert(&mut self, batch: RecordBatch) -> Result<(), StateError> {
        check_columns(self.row_schema, batch.schema_ref())?;
        let keys = &batch.columns()[..self.layout.key.fields().len()];
        let keys = self.converter.convert_columns(keys)?;
        let index = self.batches.len();
        self.rows.extend(keys.iter().enumerate().map(|(row, key)| (key.owned(), (index, row))));
        self.batches.push(batch);
        Ok(())
    }

    fn delete(&mut self, batch: &RecordBatch) -> Result<(), StateError> {
        check_columns(&self.layout.key, batch.schema_ref())?;
        for key in &self.converter.convert_columns(batch.columns())? {
            self.rows.remove(&key.owned());
        }
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch, StateError> {
        let places: Vec<(usize, usize)> = self.rows.into_values().collect();
        if places.is_empty() {
            return Ok(RecordBatch::new_empty(self.row_schema.clone()));
        }
        Ok(interleave_record_batch(&self.batches.iter().collect::<Vec<_>>(), &places)?)
    }
}

fn check_columns(expected: &Schema, found: &Schema) -> Result<(), StateError> {
    if expected.fields() == found.fields() {
        return Ok(());
    }
    Err(StateError::Layout {
        expected: format!("{:?}", expected.fields()),
        found: format!("{:?}", found.fields()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type};
    use proptest::prelude::*;

    use super::*;
    use crate::state::encode;

    type Key = (Option<String>, i64);

    fn layout() -> StateLayout {
        StateLayout {
            version: 1,
            key: Schema::new(vec![
                Field::new("name", DataType::Utf8, true),
                Field::new("number", DataType::Int64, false),
            ])
            .into(),
            value: Schema::new(vec![Field::new("value", DataType::Int64, true)]).into(),
        }
    }

    fn keys(keys: &[Key]) -> [Arc<dyn Array>; 2] {
        let names: StringArray = keys.iter().map(|(name, _)| name.as_deref()).collect();
        [Arc::new(names), Arc::new(Int64Array::from_iter_values(keys.iter().map(|(_, number)| *number)))]
    }

    fn upserts(rows: &[(Key, Option<i64>)]) -> RecordBatch {
        let [names, numbers] = keys(&rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
        let values: Int64Array = rows.iter().map(|(_, value)| *value).collect();
        RecordBatch::try_new(layout().row(), vec![names, numbers, Arc::new(values)]).unwrap()
    }

    fn rows(batch: &RecordBatch) -> Vec<(Key, Option<i64>)> {
        let names = batch.column(0).as_string::<i32>();
        let numbers = batch.column(1).as_primitive::<Int64Type>();
        let values = batch.column(2).as_primitive::<Int64Type>();
        let row = |i: usize| {
            let name = names.is_valid(i).then(|| names.value(i).to_owned());
            ((name, numbers.value(i)), values.is_valid(i).then(|| values.value(i)))
        };
        (0..batch.num_rows()).map(row).collect()
    }

    fn key() -> impl Strategy<Value = Key> {
        (prop::option::of("[ab]{0,2}"), 0i64..3)
    }

    proptest! {
        #[test]
        fn compacting_is_what_a_map_does(
            base in prop::collection::btree_map(key(), prop::option::of(0i64..100), 0..10),
            changes in prop::collection::vec(
                (
                    prop::option::of(prop::collection::vec((key(), prop::option::of(0i64..100)), 0..10)),
                    prop::option::of(prop::collection::vec(key(), 0..5)),
                ),
                0..6,
            ),
        ) {
            let mut model = base.clone();
            for (upserted, deleted) in &changes {
                for key in deleted.iter().flatten() {
                    model.remove(key);
                }
                model.extend(upserted.iter().flatten().cloned());
            }
            let base_batch = upserts(&base.into_iter().collect::<Vec<_>>());
            let changes = changes.iter().map(|(upserted, deleted)| StateChanges {
                upserts: upserted.as_deref().map(upserts),
                deletes: deleted.as_deref().map(|deleted| {
                    RecordBatch::try_new(layout().key, keys(deleted).to_vec()).unwrap()
                }),
            });
            let compacted = compact(&layout(), Some(base_batch), changes).unwrap();
            prop_assert_eq!(rows(&compacted), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_of_another_layout_are_refused() {
        let other = RecordBatch::new_empty(layout().key);
        let refused = compact(&layout(), Some(other), []).unwrap_err();
        assert!(matches!(refused, StateError::Layout { .. }), "{refused}");
    }

    #[test]
    fn segments_of_two_layouts_are_not_mixed() {
        let rows = StateChanges { upserts: Some(upserts(&[((None, 1), Some(1))])), deletes: None };
        let first = encode(&layout(), &rows).unwrap();
        let other = encode(&StateLayout { version: 2, ..layout() }, &rows).unwrap();
        let segments = [&first, &first, &other].map(|segment| (&*segment.bytes, &*segment.sha256));
        let (found, base) = fold(segments[..2].iter().copied()).unwrap().unwrap();
        assert_eq!((found, base.num_rows()), (layout(), 1));
        assert!(matches!(fold(segments), Err(StateError::Layout { .. })));
        assert!(fold([]).unwrap().is_none());
    }
}
