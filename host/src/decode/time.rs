//! Dates and timestamps from text, and from numbers. The years 1 to 9999 only: what tables and engines hold.

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z, in microseconds since the epoch.
const MICROSECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Why a text is no timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeFault {
    Format,
    /// Digits below a microsecond that are not zero.
    TooFine,
    OutOfRange,
}

/// Microseconds since the epoch from RFC 3339: `2026-01-31T12:00:00.5+01:00`. The offset is required; a `t`, a
/// `z` and a blank instead of `T` are fine, a leap second (`:60`) is not.
pub(super) fn timestamp_from_text(text: &str) -> Result<i64, TimeFault> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10).ok_or(TimeFault::Format)?;
    let days = i64::from(days_from_bytes(date)?);
    let (clock, rest) = rest.split_at_checked(9).ok_or(TimeFault::Format)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = *clock else {
        return Err(TimeFault::Format);
    };
    let hours = two_digits(h1, h2, 23)?;
    let minutes = two_digits(m1, m2, 59)?;
    let seconds = two_digits(s1, s2, 59)?;
    let (micros, zone) = fraction(rest)?;
    let offset_minutes = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = two_digits(h1, h2, 23)? * 60 + two_digits(m1, m2, 59)?;
            if sign == b'-' { -minutes } else { minutes }
        }
        _ => return Err(TimeFault::Format),
    };
    let seconds = days * 86_400 + hours * 3_600 + (minutes - offset_minutes) * 60 + seconds;
    in_range(seconds * 1_000_000 + micros)
}

/// Microseconds since the epoch from a whole number of **milliseconds**.
pub(super) fn timestamp_from_millis(millis: i64) -> Result<i64, TimeFault> {
    in_range(millis.checked_mul(1_000).ok_or(TimeFault::OutOfRange)?)
}

/// Days since the epoch from `2026-01-31`.
pub(super) fn date_from_text(text: &str) -> Result<i32, TimeFault> {
    days_from_bytes(text.as_bytes())
}

fn in_range(micros: i64) -> Result<i64, TimeFault> {
    if MICROSECONDS.contains(&micros) { Ok(micros) } else { Err(TimeFault::OutOfRange) }
}

fn days_from_bytes(date: &[u8]) -> Result<i32, TimeFault> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return Err(TimeFault::Format);
    };
    let year = two_digits(y1, y2, 99)? * 100 + two_digits(y3, y4, 99)?;
    let month = two_digits(m1, m2, 12)?;
    let day = two_digits(d1, d2, 31)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year == 0 || month == 0 || day == 0 || day > length {
        return Err(TimeFault::Format);
    }
    // Howard Hinnant's days_from_civil: years start in March, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).map_err(|_| TimeFault::OutOfRange)
}

/// The microseconds of a fraction of a second, if there is one, and what follows it.
fn fraction(rest: &[u8]) -> Result<(i64, &[u8]), TimeFault> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Ok((0, rest));
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length).ok_or(TimeFault::Format)?;
    if digits.is_empty() {
        return Err(TimeFault::Format);
    }
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    if digits.iter().skip(6).any(|digit| *digit != b'0') {
        return Err(TimeFault::TooFine);
    }
    Ok((micros, rest))
}

fn two_digits(tens: u8, ones: u8, max: i64) -> Result<i64, TimeFault> {
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return Err(TimeFault::Format);
    }
    let number = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    if number <= max { Ok(number) } else { Err(TimeFault::Format) }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_read_strictly() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Ok(0)),
            ("1970-01-01t00:00:00.5z", Ok(500_000)),
            ("1970-01-01 01:00:00.000001+01:00", Ok(1)),
            ("1969-12-31T23:59:59.9999990-00:00", Ok(-1)),
            ("1970-01-01T00:00:00.0000001Z", Err(TimeFault::TooFine)),
            ("1970-01-01T00:00:00", Err(TimeFault::Format)),
            ("1970-01-01T00:00Z", Err(TimeFault::Format)),
            ("1970-01-01", Err(TimeFault::Format)),
            ("1970-02-29T00:00:00Z", Err(TimeFault::Format)),
            ("1970-01-01T24:00:00Z", Err(TimeFault::Format)),
            ("1970-01-01T00:00:60Z", Err(TimeFault::Format)),
            ("1970-01-01T00:00:00.Z", Err(TimeFault::Format)),
            ("1970-01-01T00:00:00+0100", Err(TimeFault::Format)),
            ("0000-01-01T00:00:00Z", Err(TimeFault::Format)),
            ("0001-01-01T00:00:00+00:01", Err(TimeFault::OutOfRange)),
            ("9999-12-31T23:59:59.999999Z", Ok(*MICROSECONDS.end())),
            ("", Err(TimeFault::Format)),
        ] {
            assert_eq!(timestamp_from_text(text), expected, "{text}");
        }
        assert_eq!(date_from_text("1970-01-02"), Ok(1));
        assert_eq!(date_from_text("1970-1-2"), Err(TimeFault::Format));
        assert_eq!(timestamp_from_millis(-1), Ok(-1000));
        // Microseconds where milliseconds are due are found out.
        assert_eq!(timestamp_from_millis(1_763_000_000_000_000), Err(TimeFault::OutOfRange));
    }

    proptest! {
        #[test]
        fn timestamps_agree_with_chrono(micros in MICROSECONDS, offset in -1439..1440i32) {
            let zone = chrono::FixedOffset::east_opt(offset * 60).unwrap();
            let time = DateTime::from_timestamp_micros(micros).unwrap().with_timezone(&zone);
            prop_assume!((1..=9999).contains(&time.year()));
            prop_assert_eq!(timestamp_from_text(&time.to_rfc3339()), Ok(micros));
        }

        #[test]
        fn dates_agree_with_chrono(year in 0..=9999i32, month in 0..=13u32, day in 0..=32u32) {
            let expected = NaiveDate::from_ymd_opt(year, month, day)
                .filter(|_| year > 0)
                .map(|date| date.num_days_from_ce() - 719_163);
            prop_assert_eq!(date_from_text(&format!("{year:04}-{month:02}-{day:02}")).ok(), expected);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = (timestamp_from_text(&text), date_from_text(&text));
        }
    }
}
