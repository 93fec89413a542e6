//! Parts of timestamps, in UTC and the Gregorian calendar.

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// To what a timestamp is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

impl Unit {
    pub const NAMES: &str = "'second', 'minute', 'hour', 'day', 'month' or 'year'";

    pub fn parse(name: &str) -> Option<Unit> {
        Some(match name {
            "second" => Unit::Second,
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            "month" => Unit::Month,
            "year" => Unit::Year,
            _ => return None,
        })
    }

    /// The start of the unit that a time in microseconds is in. Before the first unit that has a start, the time itself.
    pub fn truncate(self, micros: i64) -> i64 {
        let length = match self {
            Unit::Second => SECOND,
            Unit::Minute => MINUTE,
            Unit::Hour => HOUR,
            Unit::Day | Unit::Month | Unit::Year => DAY,
        };
        let days = micros.div_euclid(DAY);
        let (year, month, _) = civil(days);
        let start = match self {
            Unit::Month => days_until(year, month).checked_mul(DAY),
            Unit::Year => days_until(year, 1).checked_mul(DAY),
            _ => micros.div_euclid(length).checked_mul(length),
        };
        start.unwrap_or(micros)
    }
}

/// A number that a timestamp has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl Part {
    pub fn parse(name: &str) -> Option<Part> {
        Some(match name {
            "year" => Part::Year,
            "month" => Part::Month,
            "day" => Part::Day,
            "hour" => Part::Hour,
            "minute" => Part::Minute,
            "second" => Part::Second,
            _ => return None,
        })
    }

    /// Of a time in microseconds.
    pub fn of(self, micros: i64) -> i64 {
        let (year, month, day) = civil(micros.div_euclid(DAY));
        match self {
            Part::Year => year,
            Part::Month => month,
            Part::Day => day,
            Part::Hour => micros.rem_euclid(DAY) / HOUR,
            Part::Minute => micros.rem_euclid(HOUR) / MINUTE,
            Part::Second => micros.rem_euclid(MINUTE) / SECOND,
        }
    }
}

const DAYS_OF_400_YEARS: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;

/// Year, month and day of a day since 1970-01-01, by years that begin in March: leap days are their last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_EPOCH;
    let era = days.div_euclid(DAYS_OF_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_OF_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Days from 1970-01-01 to the first day of a month.
fn days_until(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * DAYS_OF_400_YEARS + day_of_era - DAYS_TO_EPOCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluicebox_plugin::micros_from_civil;

    use super::{Part, Unit};

    proptest! {
        /// What a time is made of is what it is taken apart to, and a truncation keeps the larger parts.
        #[test]
        fn parts_are_what_a_time_is_made_of(
            date in (-9999i64..=9999, 1u32..=12, 1u32..=31), time in (0u32..24, 0u32..60, 0u32..60), micros in 0u32..1_000_000,
        ) {
            let Some(at) = micros_from_civil(date, time, micros) else { return Ok(()) };
            let of = |at: i64| [Part::Year, Part::Month, Part::Day, Part::Hour, Part::Minute, Part::Second].map(|part| part.of(at));
            let numbers = [date.1, date.2, time.0, time.1, time.2].map(i64::from);
            prop_assert_eq!(of(at), [date.0, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]]);
            let units = [Unit::Year, Unit::Month, Unit::Day, Unit::Hour, Unit::Minute, Unit::Second];
            for (kept, unit) in (1..).zip(units) {
                let start = unit.truncate(at);
                let mut expected = [date.0, 1, 1, 0, 0, 0];
                expected[..kept].copy_from_slice(&of(at)[..kept]);
                prop_assert_eq!(of(start), expected);
                prop_assert!(start <= at && start.rem_euclid(1_000_000) == 0);
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for at in [i64::MIN, i64::MIN + 1, i64::MAX] {
            for name in ["second", "minute", "hour", "day", "month", "year"] {
                let unit = Unit::parse(name).unwrap();
                assert!(unit.truncate(at) <= at, "{name} of {at}");
                assert!(Part::parse(name).is_some_and(|part| part.of(at) < 400_000));
            }
        }
    }
}
