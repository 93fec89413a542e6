//! Formats of timestamps.

use sluicebox_plugin::{micros_from_civil, parse_rfc3339};

/// How a column writes time.
pub enum TimeFormat {
    Rfc3339,
    /// A number of units of so many microseconds.
    Unix(i64),
    Pattern(Vec<Item>),
}

pub enum Item {
    Literal(u8),
    Part(u8),
}

impl TimeFormat {
    pub fn new(written: &str) -> Result<TimeFormat, String> {
        match written {
            "rfc3339" => return Ok(TimeFormat::Rfc3339),
            "unix_s" => return Ok(TimeFormat::Unix(1_000_000)),
            "unix_ms" => return Ok(TimeFormat::Unix(1_000)),
            "unix_us" => return Ok(TimeFormat::Unix(1)),
            _ => {}
        }
        let mut items = Vec::new();
        let mut bytes = written.bytes();
        while let Some(byte) = bytes.next() {
            items.push(match byte {
                b'%' => match bytes.next() {
                    Some(part @ (b'Y' | b'm' | b'd' | b'H' | b'M' | b'S' | b'f' | b'z')) => Item::Part(part),
                    Some(b'%') => Item::Literal(b'%'),
                    _ => return Err(format!("`{written}`: after % comes one of Y m d H M S f z %")),
                },
                byte => Item::Literal(byte),
            });
        }
        let has = |wanted: u8| items.iter().any(|item| matches!(item, Item::Part(part) if *part == wanted));
        if has(b'Y') && has(b'm') && has(b'd') {
            return Ok(TimeFormat::Pattern(items));
        }
        Err(format!(
            "`{written}` is none of rfc3339, unix_s, unix_ms, unix_us, nor a pattern with %Y, %m and %d"
        ))
    }

    /// Whether it reads integers, and not texts.
    pub fn is_number(&self) -> bool {
        matches!(self, TimeFormat::Unix(_))
    }

    /// Microseconds since the epoch.
    pub fn of_number(&self, number: i64) -> Option<i64> {
        match self {
            TimeFormat::Unix(unit) => number.checked_mul(*unit),
            _ => None,
        }
    }

    /// Microseconds since the epoch.
    pub fn of_text(&self, text: &[u8]) -> Option<i64> {
        match self {
            TimeFormat::Rfc3339 => parse_rfc3339(text),
            TimeFormat::Pattern(items) => parse(items, text),
            TimeFormat::Unix(_) => None,
        }
    }
}

fn parse(items: &[Item], mut text: &[u8]) -> Option<i64> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    let (mut hour, mut minute, mut second, mut micros) = (0, 0, 0, 0);
    let mut offset_minutes = 0;
    for item in items {
        match item {
            Item::Literal(byte) => text = text.strip_prefix(std::slice::from_ref(byte))?,
            Item::Part(b'Y') => year = i64::from(digits(&mut text, 4, 4)?),
            Item::Part(b'm') => month = digits(&mut text, 1, 2)?,
            Item::Part(b'd') => day = digits(&mut text, 1, 2)?,
            Item::Part(b'H') => hour = digits(&mut text, 1, 2)?,
            Item::Part(b'M') => minute = digits(&mut text, 1, 2)?,
            Item::Part(b'S') => second = digits(&mut text, 1, 2)?,
            Item::Part(b'f') => {
                let before = text.len();
                let value = digits(&mut text, 1, 6)?;
                micros = value * 10u32.pow(6 - (before - text.len()) as u32);
                // Past the sixth digit they are cut off.
                text = &text[text.iter().take_while(|byte| byte.is_ascii_digit()).count()..];
            }
            Item::Part(_) => offset_minutes = offset(&mut text)?,
        }
    }
    if !text.is_empty() {
        return None;
    }
    micros_from_civil((year, month, day), (hour, minute, second), micros)?
        .checked_sub(offset_minutes * 60_000_000)
}

fn digits(text: &mut &[u8], least: usize, most: usize) -> Option<u32> {
    let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    if count < least {
        return None;
    }
    let (digits, rest) = text.split_at(count);
    *text = rest;
    Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

/// `Z`, `+01:00` or `+0100`, in minutes.
fn offset(text: &mut &[u8]) -> Option<i64> {
    let (sign, rest) = text.split_first()?;
    *text = rest;
    let sign = match sign {
        b'Z' => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(text, 2, 2)?;
    *text = text.strip_prefix(b":").unwrap_or(text);
    let minutes = digits(text, 2, 2)?;
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::TimeFormat;

    #[test]
    fn reads_patterns() {
        let read = |format: &str, text: &str| TimeFormat::new(format).unwrap().of_text(text.as_bytes());
        let noon = 1_709_208_000_000_000;
        assert_eq!(read("%Y-%m-%d %H:%M:%S", "2024-02-29 12:00:00"), Some(noon));
        assert_eq!(read("%d/%m/%Y %H:%M", "29/2/2024 12:00"), Some(noon));
        assert_eq!(read("%Y%m%dT%H%M%S.%f%z", "20240229T130000.0010009+01:00"), Some(noon + 1_000));
        assert_eq!(read("%Y-%m-%d%%", "2024-02-29%"), Some(noon - 43_200_000_000));
        assert_eq!(read("%Y-%m-%d", "2024-02-30"), None);
        assert_eq!(read("%Y-%m-%d", "2024-02-29 "), None);
        assert_eq!(read("%Y-%m-%d", "2024-02"), None);
    }

    #[test]
    fn refuses_patterns_without_a_date() {
        for written in ["", "iso", "%H:%M", "%Y-%m-%q", "%Y-%m-%d %"] {
            assert!(TimeFormat::new(written).is_err(), "{written}");
        }
    }
}
