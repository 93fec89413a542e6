//! Timestamps as text.

/// Microseconds since 1970-01-01T00:00:00Z. `None` if there is no such day or time of day (second 60 included), or
/// the microseconds do not fit.
pub fn micros_from_civil(date: (i64, u32, u32), time: (u32, u32, u32), micros: u32) -> Option<i64> {
    let ((year, month, day), (hour, minute, second)) = (date, time);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    if day == 0 || day > days_of_month || hour > 23 || minute > 59 || second > 59 || micros > 999_999 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    (days_since_epoch(year, month, day)? * 86_400 + seconds)
        .checked_mul(1_000_000)?
        .checked_add(i64::from(micros))
}

/// Days since 1970-01-01 of a day of the Gregorian calendar, counted in years that begin in March.
fn days_since_epoch(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(-9999..=9999).contains(&year) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Microseconds since 1970-01-01T00:00:00Z of an RFC 3339 timestamp. Digits past the sixth of a second's
/// fraction are cut off.
pub fn parse_rfc3339(text: &[u8]) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.iter().try_fold(0, |number: u32, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let is = |at: usize, any: &[u8]| text.get(at).is_some_and(|byte| any.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let date = (i64::from(number(0..4)?), number(5..7)?, number(8..10)?);
    let time = (number(11..13)?, number(14..16)?, number(17..19)?);
    let (mut at, mut micros) = (19, 0);
    if is(at, b".") {
        let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let kept = digits.min(6);
        micros = number(at + 1..at + 1 + kept)? * 10u32.pow(6 - kept as u32);
        at += 1 + digits;
    }
    let local = micros_from_civil(date, time, micros)?;
    let rest = text.get(at..)?;
    let offset_minutes = match rest {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = i64::from(hours * 60 + minutes);
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    Some(local - offset_minutes * 60_000_000)
}

#[cfg(test)]
mod tests {
    use super::parse_rfc3339;

    #[test]
    fn reads_zones_and_fractions() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:34:56.789Z", 1_709_210_096_789_000),
            ("2024-02-29T13:34:56.7890001+01:00", 1_709_210_096_789_000),
            ("1969-12-31 23:59:59.999999-00:00", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ];
        for (text, micros) in cases {
            assert_eq!(parse_rfc3339(text.as_bytes()), Some(micros), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_timestamp() {
        for text in [
            "",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01",
            "2024-01-01T00:00:00.Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00Zx",
            "2024-01-01T00:00:00+0100",
        ] {
            assert_eq!(parse_rfc3339(text.as_bytes()), None, "{text}");
        }
    }
}
