//! Adds the column `fahrenheit`, over typed columns: the smallest component, and the fastest.

use schemars::JsonSchema;
use serde::Deserialize;
use sluicebox_plugin::{
    Batch, Bitmap, Column, Description, Error, Kind, Outcome, Output, Place, Reads, Rejections, Schema,
    Transform, TransformPlan, Values, field, map_values,
};

/// Configuration of the conversion.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Readings above it, in degrees Celsius, are rejected.
    hottest: f64,
}

pub struct Fahrenheit {
    hottest: f64,
    machine: Place,
    celsius: Place,
}

const TOO_HOT: u16 = 0;
const NO_READING: u16 = 1;

impl Transform for Fahrenheit {
    const DESCRIPTION: Description =
        Description { name: "fahrenheit-columns", version: "0.1.0", summary: "Converts degrees." };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Fahrenheit, TransformPlan), Error> {
        let mut reads = Reads::default();
        let (machine, celsius) = (reads.add(input, "machine")?, reads.add(input, "celsius")?);
        if (machine.kind(), celsius.kind()) != (&Kind::Utf8, &Kind::Float64) {
            return Err(Error::Schema("`machine` must be utf8 and `celsius` float64".into()));
        }
        let plan = TransformPlan {
            reads: reads.names(),
            output: Output::Columns { set: vec![field("fahrenheit", Kind::Float64)], drop: Vec::new() },
            rules: vec!["too_hot".into(), "no_reading".into()],
        };
        Ok((Fahrenheit { hottest: config.hottest, machine, celsius }, plan))
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let (celsius, has_reading) = (self.celsius.floats(batch)?, self.celsius.validity(batch));
        let (machines, has_machine) = (self.machine.strings(batch)?, self.machine.validity(batch));
        let keep = Bitmap::of_rows(batch.rows as usize, |row| has_machine.is_valid(row));
        let mut rejected = Rejections::default();
        for row in (0..batch.rows as usize).filter(|row| keep.get(*row)) {
            if !has_reading.is_valid(row) {
                rejected.push(row, NO_READING, "there is no temperature");
            } else if celsius[row] > self.hottest {
                rejected.push(row, TOO_HOT, &format!("of {}", machines.text(row)));
            }
        }
        let fahrenheit = Column {
            length: batch.rows,
            validity: has_reading.into_bytes(),
            values: Values::Float64(map_values(&celsius, |celsius| celsius * 1.8 + 32.0)),
        };
        let batch = Some(Batch { rows: batch.rows, columns: vec![fahrenheit] });
        Ok(Outcome { keep: Some(keep), rejected, batch })
    }
}

sluicebox_plugin::export!(Fahrenheit: Transform);

#[cfg(test)]
mod tests {
    use sluicebox_plugin::serde_json::json;
    use sluicebox_plugin::test_kit::{json_lines, open_transform};
    use sluicebox_plugin::{Kind, field};

    use super::Fahrenheit;

    #[test]
    fn converts_drops_and_rejects() {
        let columns = [field("machine", Kind::Utf8), field("celsius", Kind::Float64)];
        let mut plugin = open_transform::<Fahrenheit>(json!({"hottest": 150}), &columns).expect("it opens");
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
