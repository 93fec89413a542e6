//! Adds the column `fahrenheit`, row by row. The same plugin over typed columns and over record batches is beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sluicebox_plugin::rows::{Fate, RowTransform, Set};
use sluicebox_plugin::{Description, Error};

/// Configuration of the conversion.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fahrenheit {
    /// Readings above it, in degrees Celsius, are rejected.
    hottest: f64,
}

#[derive(Deserialize)]
pub struct Reading<'a> {
    machine: Option<&'a str>,
    celsius: Option<f64>,
}

#[derive(Serialize, Deserialize)]
pub struct Converted {
    fahrenheit: f64,
}

impl RowTransform for Fahrenheit {
    const DESCRIPTION: Description =
        Description { name: "fahrenheit-rows", version: "0.1.0", summary: "Converts degrees, row by row." };
    const RULES: &[&str] = &["too_hot", "no_reading"];
    type Config = Fahrenheit;
    type In<'row> = Reading<'row>;
    type Out = Set<Converted>;

    fn open(config: Fahrenheit) -> Result<Fahrenheit, Error> {
        Ok(config)
    }

    fn apply(&mut self, row: Reading<'_>) -> Fate<Set<Converted>> {
        match (row.machine, row.celsius) {
            (None, _) => Fate::Drop,
            (_, None) => Fate::reject("no_reading", "there is no temperature"),
            (Some(machine), Some(celsius)) if celsius > self.hottest => {
                Fate::reject("too_hot", format!("of {machine}"))
            }
            (_, Some(celsius)) => Fate::Keep(Set(Converted { fahrenheit: celsius * 1.8 + 32.0 })),
        }
    }
}

sluicebox_plugin::export!(Fahrenheit: RowTransform);

#[cfg(test)]
mod tests {
    use sluicebox_plugin::rows::Rowwise;
    use sluicebox_plugin::serde_json::json;
    use sluicebox_plugin::test_kit::{json_lines, open_transform};
    use sluicebox_plugin::{Kind, field};

    use super::Fahrenheit;

    #[test]
    fn converts_drops_and_rejects() {
        let columns = [field("machine", Kind::Utf8), field("celsius", Kind::Float64)];
        let mut plugin =
            open_transform::<Rowwise<Fahrenheit>>(json!({"hottest": 150}), &columns).expect("it opens");
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
