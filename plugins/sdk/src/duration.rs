//! Durations as text in configurations: `500ms`, `1s`, `10m`, `2h`, `7d`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};

/// A positive duration in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub i64);

const UNITS: [(&str, i64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

impl Micros {
    /// A whole number and a unit, without a space.
    pub fn parse(text: &str) -> Option<Micros> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let micros = number.parse::<i64>().ok()?.checked_mul(*scale)?;
        (micros > 0).then_some(Micros(micros))
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Micros::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a duration; write a whole number and us, ms, s, m, h or d, as in `10m`"
            ))
        })
    }
}

impl JsonSchema for Micros {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A whole number above 0 and a unit: us, ms, s, m, h or d.",
            "pattern": "^[0-9]+(us|ms|s|m|h|d)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Micros;

    #[test]
    fn reads_whole_numbers_with_units() {
        assert_eq!(Micros::parse("10m"), Some(Micros(600_000_000)));
        assert_eq!(Micros::parse("500ms"), Some(Micros(500_000)));
        for wrong in ["", "10", "m", "0s", "1.5s", "-1s", "10 m", "1w", "99999999999999d"] {
            assert_eq!(Micros::parse(wrong), None, "{wrong}");
        }
    }
}
