//! Adds the column `fahrenheit`, over record batches.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use sluicebox_plugin::record_batch::arrow_array::{
    Array, BooleanArray, Float64Array, RecordBatch, cast::AsArray, types::Float64Type,
};
use sluicebox_plugin::record_batch::arrow_schema::{DataType, Field, Schema};
use sluicebox_plugin::record_batch::{BatchOutcome, BatchOutput, BatchPlan, BatchTransform};
use sluicebox_plugin::{Description, Error, Rejections};

/// Configuration of the conversion.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fahrenheit {
    /// Readings above it, in degrees Celsius, are rejected.
    hottest: f64,
}

const TOO_HOT: u16 = 0;
const NO_READING: u16 = 1;

fn made() -> Field {
    Field::new("fahrenheit", DataType::Float64, true)
}

impl BatchTransform for Fahrenheit {
    const DESCRIPTION: Description =
        Description { name: "fahrenheit-arrow", version: "0.1.0", summary: "Converts degrees." };
    type Config = Fahrenheit;

    fn open(config: Fahrenheit, input: &Schema) -> Result<(Fahrenheit, BatchPlan), Error> {
        let is = |name: &str, of| input.field_with_name(name).is_ok_and(|field| *field.data_type() == of);
        if !is("machine", DataType::Utf8) || !is("celsius", DataType::Float64) {
            return Err(Error::Schema("there must be `machine`, utf8, and `celsius`, float64".into()));
        }
        let output = BatchOutput::Columns { set: vec![made()], drop: Vec::new() };
        let rules = vec!["too_hot".into(), "no_reading".into()];
        Ok((config, BatchPlan { reads: vec!["machine".into(), "celsius".into()], output, rules }))
    }

    fn apply(&mut self, batch: &RecordBatch) -> Result<BatchOutcome, Error> {
        let (machines, celsius) = (batch.column(0).as_string::<i32>(), batch.column(1));
        let celsius = celsius.as_primitive::<Float64Type>();
        let keep: BooleanArray = (0..batch.num_rows()).map(|row| Some(machines.is_valid(row))).collect();
        let mut rejected = Rejections::default();
        for row in (0..batch.num_rows()).filter(|row| keep.value(*row)) {
            if celsius.is_null(row) {
                rejected.push(row, NO_READING, "there is no temperature");
            } else if celsius.value(row) > self.hottest {
                rejected.push(row, TOO_HOT, &format!("of {}", machines.value(row)));
            }
        }
        let fahrenheit: Float64Array = celsius.unary(|celsius| celsius * 1.8 + 32.0);
        let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![made()])), vec![Arc::new(fahrenheit)])
            .map_err(|error| Error::Data(error.to_string()))?;
        Ok(BatchOutcome { keep: Some(keep), rejected, batch: Some(batch) })
    }
}

sluicebox_plugin::export!(Fahrenheit: BatchTransform);

#[cfg(test)]
mod tests {
    use sluicebox_plugin::record_batch::Batchwise;
    use sluicebox_plugin::serde_json::json;
    use sluicebox_plugin::test_kit::{json_lines, open_transform};
    use sluicebox_plugin::{Kind, field};

    use super::Fahrenheit;

    #[test]
    fn converts_drops_and_rejects() {
        let columns = [field("machine", Kind::Utf8), field("celsius", Kind::Float64)];
        let mut plugin =
            open_transform::<Batchwise<Fahrenheit>>(json!({"hottest": 150}), &columns).expect("it opens");
        let rows = json_lines(
            r#"{"machine": "a", "celsius": 100}
               {"celsius": 20}
               {"machine": "b", "celsius": 151}
               {"machine": "c"}"#,
        );
        let fates = plugin.apply(&rows).expect("a batch");
        assert_eq!(fates.kept, [(0, json!({"fahrenheit": 212.0}))]);
        assert_eq!(fates.dropped, [1]);
        assert_eq!(fates.rejected[0], (2, "too_hot".into(), "of b".into()));
        assert_eq!(fates.rejected[1], (3, "no_reading".into(), "there is no temperature".into()));
    }
}
