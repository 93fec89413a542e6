//! Single values in configurations.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A text, number or boolean that stands in a configuration; with it a component is 20 KB smaller than with
/// `serde_json::Value`.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Bool(bool),
    Int(i64),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
    Text(String),
}

impl Literal {
    pub fn as_bool(&self) -> Option<bool> {
        if let Literal::Bool(value) = self { Some(*value) } else { None }
    }

    pub fn as_i64(&self) -> Option<i64> {
        if let Literal::Int(value) = self { Some(*value) } else { None }
    }

    /// Any number; integers past 2^53 lose their last digits.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Literal::Int(value) => Some(*value as f64),
            Literal::Float(value) => Some(*value),
            Literal::Bool(_) | Literal::Text(_) => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Literal::Text(value) = self { Some(value) } else { None }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Int(value) => write!(f, "{value}"),
            Literal::Float(value) => write!(f, "{value}"),
            Literal::Text(value) => write!(f, "\"{value}\""),
        }
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Literal, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Literal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number or a boolean")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Literal, E> {
                Ok(Literal::Bool(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Literal, E> {
                Ok(Literal::Int(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Literal, E> {
                Ok(i64::try_from(value).map_or(Literal::Float(value as f64), Literal::Int))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Literal, E> {
                Ok(Literal::Float(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Literal, E> {
                Ok(Literal::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Literal {
    fn schema_name() -> Cow<'static, str> {
        "Literal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

#[cfg(test)]
mod tests {
    use super::Literal;

    #[test]
    fn is_read_from_single_values_only() {
        let read = |json: &str| serde_json::from_str::<Literal>(json).ok();
        assert_eq!(read("true"), Some(Literal::Bool(true)));
        assert_eq!(read("-7"), Some(Literal::Int(-7)));
        assert_eq!(read("9223372036854775807"), Some(Literal::Int(i64::MAX)));
        assert_eq!(read("9223372036854775808"), Some(Literal::Float(9_223_372_036_854_775_808.0)));
        assert_eq!(read("2.50"), Some(Literal::Float(2.5)));
        assert_eq!(read(r#""\u0041""#), Some(Literal::Text("A".to_owned())));
        assert_eq!((read("null"), read("[1]"), read("{}")), (None, None, None));
    }
}
