//! Durations, sizes and times as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is not a duration, a size or a time. The text itself is left out: it may be a secret put
/// in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error(
        "not a duration: write a whole number and a unit, `ms`, `s`, `m`, `h` or `d`, as in `500ms` or `10m`"
    )]
    Period,
    #[error(
        "not a size: write a whole number and a unit, `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`, as in `64MiB`"
    )]
    Size,
    #[error("not a time: write it as in `2026-11-21T00:00:00Z`")]
    Timestamp,
    #[error("too large")]
    TooLarge,
}

/// A duration, in whole milliseconds: `500ms`, `10s`, `10m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[0-9]+ ?(ms|s|m|h|d)$"))]
pub struct Period {
    milliseconds: u64,
}

const PERIOD_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Period {
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self { milliseconds }
    }

    pub const fn seconds(seconds: u64) -> Self {
        Self { milliseconds: seconds * 1000 }
    }

    pub const fn as_milliseconds(self) -> u64 {
        self.milliseconds
    }

    /// At most as many as fit.
    pub fn as_microseconds(self) -> i64 {
        i64::try_from(self.milliseconds).map_or(i64::MAX, |milliseconds| milliseconds.saturating_mul(1000))
    }

    pub const fn is_zero(self) -> bool {
        self.milliseconds == 0
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        Self::from_millis(period.milliseconds)
    }
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = number_and_unit(text).ok_or(UnitError::Period)?;
        let scale = scale_of(unit, &PERIOD_UNITS).ok_or(UnitError::Period)?;
        let milliseconds = scaled(number, scale).ok_or(UnitError::TooLarge)?;
        Ok(Self { milliseconds })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_largest_unit(f, self.milliseconds, &PERIOD_UNITS, "0s")
    }
}

/// A size in bytes: `4MiB`, `64MB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)$"))]
pub struct ByteSize {
    bytes: u64,
}

const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    pub const fn kibibytes(kibibytes: u64) -> Self {
        Self { bytes: kibibytes << 10 }
    }

    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self { bytes: mebibytes << 20 }
    }

    pub const fn as_bytes(self) -> u64 {
        self.bytes
    }

    /// Bytes of memory; more than there can be is as much as there can be.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = number_and_unit(text).ok_or(UnitError::Size)?;
        let scale = scale_of(unit, &SIZE_UNITS).ok_or(UnitError::Size)?;
        let bytes = scaled(number, scale).ok_or(UnitError::TooLarge)?;
        Ok(Self { bytes })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_in_largest_unit(f, self.bytes, &SIZE_UNITS, "0B")
    }
}

/// A moment, as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Milliseconds since the Unix epoch.
    pub fn as_milliseconds(self) -> i64 {
        self.0.timestamp_millis()
    }
}

impl FromStr for Timestamp {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| UnitError::Timestamp)?;
        Ok(Self(moment.to_utc()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

macro_rules! serde_as_text {
    ($($unit:ty),+) => {$(
        impl TryFrom<String> for $unit {
            type Error = UnitError;

            fn try_from(text: String) -> Result<Self, UnitError> {
                text.parse()
            }
        }

        impl From<$unit> for String {
            fn from(value: $unit) -> Self {
                value.to_string()
            }
        }
    )+};
}

serde_as_text!(Period, ByteSize, Timestamp);

/// The digits and the unit, one space between them allowed. The digits are not empty.
fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (digits > 0).then(|| (number, unit.strip_prefix(' ').unwrap_or(unit)))
}

fn scale_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

fn scaled(number: &str, scale: u64) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn write_in_largest_unit(
    f: &mut fmt::Formatter<'_>,
    value: u64,
    units: &[(&str, u64)],
    zero: &str,
) -> fmt::Result {
    match units.iter().find(|(_, scale)| value != 0 && value.is_multiple_of(*scale)) {
        Some((unit, scale)) => write!(f, "{}{unit}", value / scale),
        None => f.write_str(zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_and_written_in_the_largest_whole_unit() {
        for (text, milliseconds, written) in [
            ("500ms", 500, "500ms"),
            ("10s", 10_000, "10s"),
            ("10m", 600_000, "10m"),
            ("24h", 86_400_000, "1d"),
            ("90 s", 90_000, "90s"),
            ("0ms", 0, "0s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.as_milliseconds(), period.to_string().as_str()), (milliseconds, written));
        }
        for (text, bytes, written) in [
            ("4MiB", 4 << 20, "4MiB"),
            ("64MB", 64_000_000, "64MB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1024KiB", 1 << 20, "1MiB"),
            ("17B", 17, "17B"),
            ("0B", 0, "0B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.as_bytes(), size.to_string().as_str()), (bytes, written));
        }
        let moment: Timestamp = "2026-11-21T01:00:00+01:00".parse().unwrap();
        assert_eq!(moment.as_milliseconds(), 1_795_219_200_000);
        assert_eq!(moment.to_string(), "2026-11-21T00:00:00Z");
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for text in ["", "10", "s", "-1s", "1.5s", "10 minutes", "10  s", "10S", "é"] {
            assert_eq!(text.parse::<Period>(), Err(UnitError::Period), "{text}");
        }
        for text in ["", "10", "MiB", "4mib", "4M", "-4MiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(UnitError::Size), "{text}");
        }
        assert_eq!("18446744073709551615GiB".parse::<ByteSize>(), Err(UnitError::TooLarge));
        assert!("99999999999999999999s".parse::<Period>().is_err());
        assert!("2026-11-21".parse::<Timestamp>().is_err());
    }
}
