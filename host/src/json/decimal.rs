//! Exact decimals from text.

/// The number `text` (JSON's grammar, no blanks) times ten to the power of `scale`, if that is a whole
/// number of at most 38 digits. Nothing is rounded: digits that the scale has no room for must be zero.
pub(crate) fn scaled_integer(text: &str, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (digits, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let all = || whole.bytes().chain(fraction.bytes());
    if !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let zeros = all().rev().take_while(|byte| *byte == b'0').count();
    let significant = whole.len() + fraction.len() - zeros;
    let mut value: i128 = 0;
    for byte in all().take(significant) {
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if value == 0 {
        return Some(0);
    }
    let shift = exponent
        .checked_add(i64::from(scale))?
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(zeros).ok()?)?;
    let value = value.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    (value < 10i128.pow(38)).then_some(if negative { -value } else { value })
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_exact_numbers_are_taken() {
        for (text, scale, expected) in [
            ("12.34", 2, Some(1234)),
            ("12.34", 4, Some(123_400)),
            ("12.34", 1, None),
            ("12.3400", 2, Some(1234)),
            ("-0.5", 1, Some(-5)),
            ("1.0", 0, Some(1)),
            ("1e3", 0, Some(1000)),
            ("1500e-2", 0, Some(15)),
            ("15e-2", 1, None),
            ("0e999999999", 0, Some(0)),
            ("1e-999999999999999999999", 0, None),
            ("99999999999999999999999999999999999999", 0, Some(10i128.pow(38) - 1)),
            ("100000000000000000000000000000000000000", 0, None),
            ("", 0, None),
            ("-", 0, None),
            ("1.", 0, None),
            (".5", 1, None),
            ("+1", 0, None),
            ("01", 0, None),
            ("1e", 0, None),
            ("1e+-2", 0, None),
            ("0x1", 0, None),
            (" 1", 0, None),
        ] {
            assert_eq!(scaled_integer(text, scale), expected, "{text} with scale {scale}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_read(value in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0..=38u32) {
            let (whole, fraction) = (value.unsigned_abs() / 10u128.pow(scale), value.unsigned_abs() % 10u128.pow(scale));
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction:0width$}0", width = scale as usize);
            prop_assert_eq!(scaled_integer(&text, scale as i8), Some(value));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.eE]{0,60}", scale in 0..=38i8) {
            let _ = scaled_integer(&text, scale);
        }
    }
}
