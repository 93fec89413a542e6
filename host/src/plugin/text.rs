//! Text that comes from a plugin: cut to a length, without control characters, before anybody sees it.

use std::borrow::Cow;

/// At most `limit` bytes of `text`, with control characters replaced.
pub fn sanitised(text: &str, limit: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(limit));
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if clean.len() + c.len_utf8() > limit {
            clean.push('…');
            break;
        }
        clean.push(c);
    }
    clean
}

/// At most `limit` bytes of `text`, and a mark where more was.
pub(super) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)]).into()
}

/// A name fit for a metric: a lower-case letter, then lower-case letters, digits and `_`.
pub(super) fn is_metric_name(name: &str, limit: usize) -> bool {
    name.len() <= limit
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_holds_no_line_breaks() {
        assert_eq!(sanitised("a\nb\u{1b}[31m", 100), "a b [31m");
        assert_eq!(sanitised("ééé", 3), "é…");
        assert_eq!((cut("ééé", 3), cut("a\nb", 3)), ("é…".into(), "a\nb".into()));
    }

    #[test]
    fn metric_names() {
        assert!(is_metric_name("range_celsius_2", 64));
        for bad in ["", "1a", "_a", "A", "a b", "a-b", "a{x=\"1\"}", "é"] {
            assert!(!is_metric_name(bad, 64), "{bad}");
        }
        assert!(!is_metric_name("aaaa", 3));
    }
}
