//! The rows of a task between steps.

use std::collections::HashMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, FilterPredicate};
use arrow::datatypes::SchemaRef;

use super::select::compose;

/// Rows whose columns are lazy: dropping rows only notes a selection, and a column is filtered when it is
/// read, or at the end. A column that no step reads is thus copied at most once.
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Each selects among the rows that the one before it left.
    selections: Vec<BooleanBuffer>,
    /// From a number of applied selections to all of them.
    predicates: HashMap<usize, FilterPredicate>,
    count: usize,
}

#[derive(Clone)]
struct Column {
    array: ArrayRef,
    /// How many of the selections are applied to it already.
    applied: usize,
}

/// The columns are shared.
impl Clone for Rows {
    fn clone(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            columns: self.columns.clone(),
            selections: self.selections.clone(),
            predicates: HashMap::new(),
            count: self.count,
        }
    }
}

/// Where a column of the next schema comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnSource {
    Kept(usize),
    Made(usize),
}

impl Rows {
    pub fn new(batch: RecordBatch) -> Self {
        let count = batch.num_rows();
        let (schema, arrays, _) = batch.into_parts();
        let columns = arrays.into_iter().map(|array| Column { array, applied: 0 }).collect();
        Self { schema, columns, selections: Vec::new(), predicates: HashMap::new(), count }
    }

    pub fn num_rows(&self) -> usize {
        self.count
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The column of that name, with the rows that are left.
    pub fn column(&mut self, name: &str) -> Option<ArrayRef> {
        let index = self.schema.index_of(name).ok()?;
        Some(self.column_at(index))
    }

    pub(super) fn column_at(&mut self, index: usize) -> ArrayRef {
        let Column { array, applied } = &self.columns[index];
        let applied = *applied;
        if applied == self.selections.len() {
            return array.clone();
        }
        let selections = &self.selections;
        let predicate =
            self.predicates.entry(applied).or_insert_with(|| predicate(&composed(&selections[applied..])));
        let array = filtered(predicate, array);
        self.columns[index] = Column { array: array.clone(), applied: self.selections.len() };
        array
    }

    /// The rows that are left, as a batch.
    pub fn into_batch(mut self) -> RecordBatch {
        let arrays = (0..self.columns.len()).map(|index| self.column_at(index)).collect();
        to_batch(self.schema, arrays, self.count)
    }

    /// Takes the rows out that `mask` marks, and gives them back with all their columns.
    ///
    /// # Panics
    /// If `mask` has not one bit for each row.
    pub fn take_where(&mut self, mask: &BooleanBuffer) -> RecordBatch {
        let taken = self.copy_where(mask);
        self.keep_where(&!mask);
        taken
    }

    /// A copy of the rows that `mask` marks.
    ///
    /// # Panics
    /// If `mask` has not one bit for each row.
    pub fn copy_where(&self, mask: &BooleanBuffer) -> RecordBatch {
        assert_eq!(mask.len(), self.count, "a mask has one bit for each row");
        let mut selections = self.selections.clone();
        selections.push(mask.clone());
        let mut predicates = HashMap::new();
        let arrays = self
            .columns
            .iter()
            .map(|column| {
                let selections = &selections[column.applied..];
                let predicate =
                    predicates.entry(column.applied).or_insert_with(|| predicate(&composed(selections)));
                filtered(predicate, &column.array)
            })
            .collect();
        to_batch(self.schema.clone(), arrays, mask.count_set_bits())
    }

    /// Drops the rows that `mask` does not mark.
    pub(super) fn keep_where(&mut self, mask: &BooleanBuffer) {
        assert_eq!(mask.len(), self.count, "a mask has one bit for each row");
        let kept = mask.count_set_bits();
        if kept == self.count {
            return;
        }
        self.selections.push(mask.clone());
        self.predicates.clear();
        self.count = kept;
    }

    /// Rearranges the columns for `schema`; `made` are new ones, with a value for each row that is left.
    pub(super) fn splice(&mut self, schema: SchemaRef, sources: &[ColumnSource], made: &[ArrayRef]) {
        self.columns = sources
            .iter()
            .map(|source| match source {
                ColumnSource::Kept(index) => self.columns[*index].clone(),
                ColumnSource::Made(index) => {
                    Column { array: made[*index].clone(), applied: self.selections.len() }
                }
            })
            .collect();
        self.schema = schema;
    }
}

fn composed(selections: &[BooleanBuffer]) -> BooleanBuffer {
    let (last, before) = selections.split_last().expect("asked for only where selections are left to apply");
    before.iter().rev().fold(last.clone(), |then, first| compose(first, &then))
}

fn predicate(selection: &BooleanBuffer) -> FilterPredicate {
    FilterBuilder::new(&BooleanArray::new(selection.clone(), None)).optimize().build()
}

fn filtered(predicate: &FilterPredicate, array: &ArrayRef) -> ArrayRef {
    predicate.filter(array).expect("a column is as long as the selection that applies to it")
}

fn to_batch(schema: SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .expect("the columns were a batch before rows were dropped")
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("rows", &self.count)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, Int64Array, StringArray};
    use arrow::compute::filter_record_batch;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: usize) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("text", DataType::Utf8, true),
        ]);
        let ids = Int64Array::from_iter_values(0..rows as i64);
        let texts: StringArray = (0..rows).map(|row| (row % 3 > 0).then(|| format!("t{row}"))).collect();
        RecordBatch::try_new(schema.into(), vec![Arc::new(ids), Arc::new(texts)]).unwrap()
    }

    fn ids(batch: &RecordBatch) -> Vec<i64> {
        batch.column(0).as_primitive::<Int64Type>().values().to_vec()
    }

    proptest! {
        /// Whatever is dropped, read and replaced in between, the lazy rows are those of eager filtering.
        #[test]
        fn lazy_is_eager(rows in 0usize..200, masks in prop::collection::vec((any::<u64>(), 0u8..4), 0..6)) {
            let mut eager = batch(rows);
            let mut lazy = Rows::new(eager.clone());
            for (seed, what) in masks {
                let mask: BooleanBuffer =
                    (0..lazy.num_rows()).map(|row| seed.rotate_left(row as u32 * 13) & 3 > 0).collect();
                match what {
                    0 => prop_assert_eq!(&lazy.column("text").unwrap(), eager.column(1)),
                    1 => {
                        let marked = filter_record_batch(&eager, &BooleanArray::new(mask.clone(), None)).unwrap();
                        prop_assert_eq!(lazy.copy_where(&mask), marked);
                    }
                    2 => {
                        let made: ArrayRef = Arc::new(Int64Array::from_iter_values(
                            (0..lazy.num_rows() as i64).map(|row| row * 7)));
                        lazy.splice(eager.schema(), &[ColumnSource::Made(0), ColumnSource::Kept(1)], std::slice::from_ref(&made));
                        eager = RecordBatch::try_new(eager.schema(), vec![made, eager.column(1).clone()]).unwrap();
                    }
                    _ => {
                        lazy.keep_where(&mask);
                        eager = filter_record_batch(&eager, &BooleanArray::new(mask, None)).unwrap();
                    }
                }
                prop_assert_eq!(lazy.num_rows(), eager.num_rows());
            }
            prop_assert_eq!(lazy.into_batch(), eager);
        }
    }

    #[test]
    fn taken_rows_are_gone() {
        let mut rows = Rows::new(batch(5));
        let mask: BooleanBuffer = [false, true, false, false, true].into_iter().collect();
        assert_eq!(ids(&rows.take_where(&mask)), [1, 4]);
        assert_eq!(rows.column("text").unwrap().len(), 3);
        assert!(rows.column("nothing").is_none());
        assert_eq!(ids(&rows.into_batch()), [0, 2, 3]);
    }
}
