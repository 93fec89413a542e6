//! One value.

use std::io::Write;

use super::random::Chances;
use super::settings::Value;
use crate::json::rows::write_timestamp;

const LONGEST_TEXT: u32 = 1_000_000;

/// A value, compiled.
#[derive(Debug, Clone)]
pub(super) enum Writer {
    Id,
    Sequence,
    Time {
        late: f64,
        late_by_us: i64,
    },
    Integer {
        min: i64,
        span: u128,
    },
    Number {
        min: f64,
        max: f64,
        decimals: usize,
    },
    Boolean {
        share: f64,
    },
    /// As JSON, and as the text of a key.
    OneOf {
        values: Vec<(String, String)>,
        skew: f64,
    },
    Name {
        before: String,
        after: String,
        of: u64,
        skew: f64,
    },
    Text {
        min: u64,
        span: u64,
    },
}

impl Writer {
    pub fn new(value: &Value) -> Result<Self, &'static str> {
        Ok(match value {
            Value::Id => Self::Id,
            Value::Sequence => Self::Sequence,
            Value::Time { late, late_by_us } => Self::Time { late: late.get(), late_by_us: *late_by_us },
            Value::Integer { min, max } if min <= max => {
                Self::Integer { min: *min, span: (i128::from(*max) - i128::from(*min)).unsigned_abs() + 1 }
            }
            Value::Number { min, max, decimals } if min <= max && (max - min).is_finite() => {
                Self::Number { min: *min, max: *max, decimals: (*decimals).min(15) as usize }
            }
            Value::Integer { .. } | Value::Number { .. } => {
                return Err("gives a range whose beginning is not above its end");
            }
            Value::Boolean { share } => Self::Boolean { share: share.get() },
            Value::OneOf { values, .. } if values.is_empty() => return Err("gives at least one value"),
            Value::OneOf { values, skew } => {
                let values = values.iter().map(|value| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    (value.to_string(), text)
                });
                Self::OneOf { values: values.collect(), skew: *skew }
            }
            Value::Name { pattern, of, skew } => {
                let Some((before, after)) = pattern.split_once("{}").filter(|_| *of > 0) else {
                    return Err("gives a pattern with `{}` for the number, and how many there are");
                };
                Self::Name { before: before.to_owned(), after: after.to_owned(), of: *of, skew: *skew }
            }
            Value::Text { min, max } if min <= max && *max <= LONGEST_TEXT => {
                Self::Text { min: u64::from(*min), span: u64::from(max - min) + 1 }
            }
            Value::Text { .. } => {
                return Err("gives a length of at most 1000000 whose beginning is not above its end");
            }
        })
    }

    /// As JSON.
    pub fn write(&self, chances: &mut Chances, number: u64, time_us: i64, out: &mut Vec<u8>) {
        match self {
            Self::Id | Self::Time { .. } | Self::Text { .. } => {
                out.push(b'"');
                self.write_plain(chances, number, time_us, out);
                out.push(b'"');
            }
            Self::Name { .. } => {
                let mut text = Vec::new();
                self.write_plain(chances, number, time_us, &mut text);
                // Writing to a vector does not fail.
                let _ = serde_json::to_writer(out, &String::from_utf8_lossy(&text));
            }
            Self::OneOf { values, skew } => {
                out.extend(
                    chosen(values, *skew, chances).map(|(json, _)| json.bytes()).into_iter().flatten(),
                );
            }
            _ => self.write_plain(chances, number, time_us, out),
        }
    }

    /// The same value as the text of a key.
    pub fn write_text(&self, mut chances: Chances, number: u64, time_us: i64, out: &mut Vec<u8>) {
        match self {
            Self::OneOf { values, skew } => {
                let chosen = chosen(values, *skew, &mut chances);
                out.extend(chosen.map(|(_, text)| text.bytes()).into_iter().flatten());
            }
            _ => self.write_plain(&mut chances, number, time_us, out),
        }
    }

    /// Without quotes.
    fn write_plain(&self, chances: &mut Chances, number: u64, time_us: i64, out: &mut Vec<u8>) {
        // Writing to a vector does not fail.
        let _ = match self {
            Self::Id => write!(out, "{:016x}{:016x}", chances.next(), chances.next()),
            Self::Sequence => write!(out, "{number}"),
            Self::Time { late, late_by_us } => {
                let by = if chances.share() < *late { chances.share() * *late_by_us as f64 } else { 0.0 };
                let mut text = String::new();
                let at = time_us.saturating_sub(by as i64) / 1000 * 1000;
                if !write_timestamp(at, 1_000_000, true, &mut text) {
                    text = at.to_string();
                }
                out.write_all(text.as_bytes())
            }
            Self::Integer { min, span } => {
                let above = (u128::from(chances.next()) * span) >> 64;
                write!(out, "{}", i128::from(*min) + above.cast_signed())
            }
            Self::Number { min, max, decimals } => {
                write!(out, "{:.decimals$}", min + chances.share() * (max - min))
            }
            Self::Boolean { share } => write!(out, "{}", chances.share() < *share),
            Self::OneOf { .. } => Ok(()),
            Self::Name { before, after, of, skew } => {
                write!(out, "{before}{}{after}", chances.below(*of, *skew) + 1)
            }
            Self::Text { min, span } => {
                let length = min + chances.below(*span, 0.0);
                out.extend((0..length).map(|_| b'a' + (chances.next() % 26) as u8));
                Ok(())
            }
        };
    }
}

fn chosen<'a, T>(values: &'a [T], skew: f64, chances: &mut Chances) -> Option<&'a T> {
    usize::try_from(chances.below(values.len() as u64, skew)).ok().and_then(|chosen| values.get(chosen))
}
