//! Dates and timestamps from text, and from numbers. The years 1 to 9999 only: what tables and engines hold.

use std::fmt::Write;

const NANOS: i64 = 1_000_000_000;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, in seconds since the epoch.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// 0001-01-01 and 9999-12-31, in days since the epoch.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeFault {
    Format,
    /// Digits below the unit that are not zero.
    TooFine,
    OutOfRange,
}

/// A point in time, or a local time: seconds since the epoch, and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub seconds: i64,
    pub nanos: u32,
}

impl Moment {
    /// From RFC 3339: `2026-01-31T12:00:00.5+01:00`. The offset is required; a `t`, a `z` and a blank instead of `T`
    /// are fine, a leap second (`:60`) is not.
    pub(crate) fn from_instant(text: &str) -> Result<Self, TimeFault> {
        let (local, zone) = date_and_clock(text)?;
        let offset_minutes = match *zone {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let minutes = two_digits(h1, h2, 23)? * 60 + two_digits(m1, m2, 59)?;
                if sign == b'-' { -minutes } else { minutes }
            }
            _ => return Err(TimeFault::Format),
        };
        let seconds = local.seconds - offset_minutes * 60;
        if SECONDS.contains(&seconds) {
            Ok(Self { seconds, nanos: local.nanos })
        } else {
            Err(TimeFault::OutOfRange)
        }
    }

    /// The same without an offset.
    pub(crate) fn from_local(text: &str) -> Result<Self, TimeFault> {
        match date_and_clock(text)? {
            (local, []) => Ok(local),
            _ => Err(TimeFault::Format),
        }
    }

    /// `count` units since the epoch, of which a second has `per_second` (a power of ten up to 10⁹). `None` outside of
    /// the years 1 to 9999.
    pub(crate) fn from_units(count: i64, per_second: i64) -> Option<Self> {
        let seconds = count.div_euclid(per_second);
        let nanos = u32::try_from(count.rem_euclid(per_second) * (NANOS / per_second)).ok()?;
        SECONDS.contains(&seconds).then_some(Self { seconds, nanos })
    }

    pub(crate) fn in_units(self, per_second: i64) -> Result<i64, TimeFault> {
        let unit = NANOS / per_second;
        if i64::from(self.nanos) % unit != 0 {
            return Err(TimeFault::TooFine);
        }
        let count =
            i128::from(self.seconds) * i128::from(per_second) + i128::from(i64::from(self.nanos) / unit);
        i64::try_from(count).map_err(|_| TimeFault::OutOfRange)
    }

    /// Appends `2026-01-31T12:00:00.5` with as many digits of the second as a unit of `per_second` needs.
    pub(crate) fn write(self, per_second: i64, out: &mut String) {
        write_civil(self.seconds.div_euclid(86_400), out);
        let second = self.seconds.rem_euclid(86_400);
        let _ = write!(out, "T{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
        if let digits @ 1.. = per_second.ilog10() as usize {
            let _ = write!(out, ".{:0digits$}", i64::from(self.nanos) / (NANOS / per_second));
        }
    }
}

/// Microseconds since the epoch from RFC 3339, as for [`Moment::from_instant`].
pub(crate) fn timestamp_from_text(text: &str) -> Result<i64, TimeFault> {
    Moment::from_instant(text)?.in_units(1_000_000)
}

/// Microseconds since the epoch from a whole number of **milliseconds**.
pub(crate) fn timestamp_from_millis(millis: i64) -> Result<i64, TimeFault> {
    match Moment::from_units(millis, 1_000) {
        Some(_) => Ok(millis * 1_000),
        None => Err(TimeFault::OutOfRange),
    }
}

/// Days since the epoch from `2026-01-31`.
pub(crate) fn date_from_text(text: &str) -> Result<i32, TimeFault> {
    days_from_bytes(text.as_bytes())
}

/// Appends `2026-01-31`; `false`, and nothing, for days outside of the years 1 to 9999.
pub(crate) fn write_date(days: i32, out: &mut String) -> bool {
    let is_in_range = DAYS.contains(&i64::from(days));
    if is_in_range {
        write_civil(days.into(), out);
    }
    is_in_range
}

/// The inverse of [`days_from_bytes`], for days in [`DAYS`].
fn write_civil(days: i64, out: &mut String) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}");
}

/// A local time, and what follows it.
fn date_and_clock(text: &str) -> Result<(Moment, &[u8]), TimeFault> {
    let (date, rest) = text.as_bytes().split_at_checked(10).ok_or(TimeFault::Format)?;
    let days = i64::from(days_from_bytes(date)?);
    let (clock, rest) = rest.split_at_checked(9).ok_or(TimeFault::Format)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = *clock else {
        return Err(TimeFault::Format);
    };
    let hours = two_digits(h1, h2, 23)?;
    let minutes = two_digits(m1, m2, 59)?;
    let seconds = two_digits(s1, s2, 59)?;
    let (nanos, rest) = fraction(rest)?;
    Ok((Moment { seconds: days * 86_400 + hours * 3_600 + minutes * 60 + seconds, nanos }, rest))
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

/// The nanoseconds of a fraction of a second, if there is one, and what follows it.
fn fraction(rest: &[u8]) -> Result<(u32, &[u8]), TimeFault> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Ok((0, rest));
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length).ok_or(TimeFault::Format)?;
    if digits.is_empty() {
        return Err(TimeFault::Format);
    }
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + digits.get(place).map_or(0, |digit| u32::from(digit - b'0'));
    }
    if digits.iter().skip(9).any(|digit| *digit != b'0') {
        return Err(TimeFault::TooFine);
    }
    Ok((nanos, rest))
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
            ("9999-12-31T23:59:59.999999Z", Ok(253_402_300_799_999_999)),
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

    #[test]
    fn the_ends_of_the_years_are_kept() {
        for (days, expected) in
            [(-719_163, ""), (-719_162, "0001-01-01"), (2_932_896, "9999-12-31"), (2_932_897, "")]
        {
            let mut text = String::new();
            assert_eq!(write_date(days, &mut text), !expected.is_empty());
            assert_eq!(text, expected);
        }
        assert_eq!(Moment::from_units(i64::MIN, 1), None);
        assert!(Moment::from_units(i64::MIN, NANOS).is_some());
        let late = Moment::from_instant("2263-01-01T00:00:00Z").unwrap();
        assert_eq!(late.in_units(NANOS), Err(TimeFault::OutOfRange));
        let fine = Moment::from_instant("2026-01-01T00:00:00.001Z").unwrap();
        assert_eq!(fine.in_units(1), Err(TimeFault::TooFine));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in SECONDS, nanos in 0..1_000_000_000u32, place in 0..4u32) {
            let per_second = 1000i64.pow(place);
            let nanos = nanos - nanos % (NANOS / per_second) as u32;
            let (moment, mut text) = (Moment { seconds, nanos }, String::new());
            moment.write(per_second, &mut text);
            prop_assert_eq!(Moment::from_local(&text), Ok(moment));
            prop_assert_eq!(Moment::from_instant(&text), Err(TimeFault::Format));
            prop_assert_eq!(Moment::from_instant(&(text + "Z")), Ok(moment));
            if let Ok(count) = moment.in_units(per_second) {
                prop_assert_eq!(Moment::from_units(count, per_second), Some(moment));
            }
        }

        #[test]
        fn dates_that_are_written_are_read(days in DAYS) {
            let mut text = String::new();
            prop_assert!(write_date(days as i32, &mut text));
            prop_assert_eq!(date_from_text(&text), Ok(days as i32));
        }

        #[test]
        fn timestamps_agree_with_chrono(
            micros in SECONDS.start() * 1_000_000..SECONDS.end() * 1_000_000,
            offset in -1439..1440i32,
        ) {
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
