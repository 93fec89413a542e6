//! The same plugin and the same work around it, without a sandbox.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Float64Type, Schema};
use serde_json::Value;
use sluicebox_plugin::{Batch, Bitmap, ByteStrings, Column, Kind, Output, Transform, Values, export, field};

pub struct Native<P> {
    plugin: P,
    /// The columns that the plugin reads, in its terms.
    reads: Batch,
    output: Arc<Schema>,
    /// For each column of the output: the input's, or the plugin's.
    sources: Vec<Source>,
}

enum Source {
    Kept(usize),
    Made(usize),
}

impl<P: Transform> Native<P> {
    pub fn open(config: &Value, batch: &RecordBatch) -> Native<P> {
        let input = batch.schema();
        let fields =
            input.fields().iter().map(|column| field(column.name(), kind(column.data_type()))).collect();
        let config = export::config(&config.to_string()).expect("the configuration is the plugin's");
        let (plugin, plan) =
            P::open(config, &sluicebox_plugin::Schema::new(fields)).expect("the plugin opens");
        let read = |name: &String| column(batch.column_by_name(name).expect("the plan reads what is there"));
        let reads = Batch { rows: batch.num_rows() as u32, columns: plan.reads.iter().map(read).collect() };
        let mut fields = input.fields().to_vec();
        let mut sources: Vec<Source> = (0..fields.len()).map(Source::Kept).collect();
        let set = match plan.output {
            Output::Select => Vec::new(),
            Output::Columns { set, .. } => set,
            Output::Rows(_) => panic!("neither plugin makes new rows"),
        };
        for (made, set) in set.iter().enumerate() {
            match input.index_of(&set.name) {
                Ok(index) => sources[index] = Source::Made(made),
                Err(_) => {
                    fields.push(Arc::new(arrow::datatypes::Field::new(&set.name, DataType::Float64, true)));
                    sources.push(Source::Made(made));
                }
            }
        }
        Native { plugin, reads, output: Arc::new(Schema::new(fields)), sources }
    }

    pub fn run(&mut self, batch: &RecordBatch) -> RecordBatch {
        let outcome = self.plugin.apply(&self.reads).expect("the plugin processes the batch");
        assert!(outcome.rejected.is_empty(), "the configuration rejects nothing");
        let made: Vec<ArrayRef> =
            outcome.batch.into_iter().flat_map(|batch| batch.columns).map(array).collect();
        let columns = self.sources.iter().map(|source| match source {
            Source::Kept(index) => batch.column(*index).clone(),
            Source::Made(index) => made[*index].clone(),
        });
        let batch = RecordBatch::try_new(self.output.clone(), columns.collect()).expect("the columns fit");
        match outcome.keep.map(Bitmap::into_bytes) {
            None => batch,
            Some(keep) => {
                let keep = BooleanArray::new(bits(keep, batch.num_rows()), None);
                filter_record_batch(&batch, &keep).expect("the bitmap has a bit for each row")
            }
        }
    }
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Boolean,
        DataType::Int64 => Kind::Int64,
        DataType::Float64 => Kind::Float64,
        DataType::Utf8 => Kind::Utf8,
        other => panic!("the fixed batch has no {other}"),
    }
}

fn column(array: &ArrayRef) -> Column {
    let values = match array.data_type() {
        DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values().to_vec()),
        DataType::Utf8 => {
            let strings = array.as_string::<i32>();
            Values::Bytes(ByteStrings {
                offsets: strings.offsets().to_vec(),
                data: strings.values().to_vec(),
            })
        }
        other => panic!("neither plugin reads {other}"),
    };
    let validity = array.nulls().map(|nulls| nulls.inner().sliced().to_vec());
    Column { length: array.len() as u32, validity, values }
}

/// Takes the plugin's word for everything, and its memory without a copy.
fn array(column: Column) -> ArrayRef {
    let rows = column.length as usize;
    let nulls = column.validity.map(|validity| NullBuffer::new(bits(validity, rows)));
    match column.values {
        Values::Float64(values) => Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls)),
        Values::Bytes(ByteStrings { offsets, data }) => {
            let offsets = ScalarBuffer::from(offsets);
            // SAFETY: the plugin's offsets ascend, end with its data, and cut its valid UTF-8 between characters;
            // that both sides gave equal rows, and the host checked the component's, was asserted before.
            let strings = unsafe {
                StringArray::new_unchecked(
                    OffsetBuffer::new_unchecked(offsets),
                    Buffer::from_vec(data),
                    nulls,
                )
            };
            Arc::new(strings)
        }
        other => panic!("neither plugin makes {other:?}"),
    }
}

fn bits(bytes: Vec<u8>, rows: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows)
}
