//! A trial for the terminal: each row before and after the plugin, in one line.

use serde_json::Value;

use super::json_rows::Row;
use super::text_table::aligned;
use super::trial::{Fate, Trial};
use crate::plugin::sanitised;

const MAX_CELL: usize = 40;
/// Bytes of a reason.
const MAX_NOTE: usize = 300;

/// How a line is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    /// Of rows that do not go on.
    Faint,
    Warning,
}

/// A line of the terminal.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub tone: Tone,
    pub text: String,
}

/// The rows with their fates. A cell that the plugin changed is `before → after`; columns that it adds are headed `+`,
/// those that it drops `-`. `input` are the rows as they came in, `numbers` what they are called, one for each fate.
pub fn side_by_side(input: &[Row], numbers: &[usize], trial: &Trial) -> Vec<Line> {
    let columns = Columns::of(input, trial);
    let mut header = vec!["row".to_owned(), "fate".to_owned()];
    header.extend(columns.names());
    let mut table = vec![header];
    let mut tones = vec![Tone::Plain];
    let mut notes = vec![None];
    for ((row, number), fate) in input.iter().zip(numbers).zip(&trial.fates) {
        let after = match fate {
            Fate::Kept(after) => Some(after),
            _ => None,
        };
        let mut line = vec![number.to_string(), fate_name(fate).to_owned()];
        line.extend(columns.cells(row, after));
        table.push(line);
        tones.push(tone(fate));
        notes.push(note(fate));
    }
    let lines = aligned(&table, 2);
    let mut told = Vec::with_capacity(lines.len());
    for ((text, tone), note) in lines.into_iter().zip(tones).zip(notes) {
        told.push(Line { tone, text });
        told.extend(note.map(|text| Line { tone, text: format!("     {text}") }));
    }
    told
}

/// New rows, under the names of their columns.
pub fn new_rows(rows: &[Row]) -> Vec<Line> {
    let Some(first) = rows.first() else { return Vec::new() };
    let names: Vec<&String> = first.keys().collect();
    let header = std::iter::once("new".to_owned()).chain(names.iter().map(|name| shown_text(name)));
    let mut table: Vec<Vec<String>> = vec![header.collect()];
    for (number, row) in rows.iter().enumerate() {
        let cells = names.iter().map(|name| row.get(*name).map_or_else(String::new, shown));
        table.push(std::iter::once(number.to_string()).chain(cells).collect());
    }
    aligned(&table, 2).into_iter().map(|text| Line { tone: Tone::Plain, text }).collect()
}

/// The columns of the input, then those that are added.
struct Columns<'a> {
    before: Vec<&'a String>,
    added: Vec<&'a String>,
    dropped: Vec<&'a String>,
}

impl<'a> Columns<'a> {
    fn of(input: &'a [Row], trial: &'a Trial) -> Self {
        let before: Vec<&String> = input.first().into_iter().flat_map(Row::keys).collect();
        let kept = trial.fates.iter().find_map(|fate| match fate {
            Fate::Kept(row) => Some(row),
            _ => None,
        });
        let added = kept.into_iter().flat_map(Row::keys).filter(|name| !before.contains(name)).collect();
        let is_dropped = |name: &&&String| kept.is_some_and(|row| !row.contains_key(**name));
        let dropped = before.iter().filter(is_dropped).copied().collect();
        Self { before, added, dropped }
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let before = self.before.iter().map(|name| match self.dropped.contains(name) {
            true => format!("-{}", shown_text(name)),
            false => shown_text(name),
        });
        before.chain(self.added.iter().map(|name| format!("+{}", shown_text(name))))
    }

    fn cells(&self, row: &Row, after: Option<&Row>) -> impl Iterator<Item = String> {
        let before = self.before.iter().map(move |name| {
            let old = row.get(*name).unwrap_or(&Value::Null);
            match after.and_then(|after| after.get(*name)) {
                Some(new) if new != old => format!("{} → {}", shown(old), shown(new)),
                _ => shown(old),
            }
        });
        let added = self
            .added
            .iter()
            .map(move |name| after.and_then(|after| after.get(*name)).map_or_else(String::new, shown));
        before.chain(added)
    }
}

/// Text that could be taken for something else is quoted.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => shown_text(text),
        other => cut(other.to_string()),
    }
}

fn shown_text(text: &str) -> String {
    let is_odd = text.is_empty()
        || text.trim() != text
        || text.chars().any(char::is_control)
        || serde_json::from_str::<Value>(text).is_ok();
    cut(if is_odd { Value::from(text).to_string() } else { text.to_owned() })
}

fn cut(text: String) -> String {
    if text.chars().count() <= MAX_CELL {
        return text;
    }
    text.chars().take(MAX_CELL - 1).chain(['…']).collect()
}

pub fn fate_name(fate: &Fate) -> &'static str {
    match fate {
        Fate::Kept(_) => "kept",
        Fate::Dropped => "dropped",
        Fate::Rejected { .. } => "rejected",
        Fate::Failed { .. } => "failed",
        Fate::Late => "late",
        Fate::Used => "used",
    }
}

fn tone(fate: &Fate) -> Tone {
    match fate {
        Fate::Kept(_) | Fate::Used => Tone::Plain,
        Fate::Dropped => Tone::Faint,
        Fate::Rejected { .. } | Fate::Failed { .. } | Fate::Late => Tone::Warning,
    }
}

fn note(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Rejected { rule, reason } => Some(format!("{rule}: {}", sanitised(reason, MAX_NOTE))),
        Fate::Failed { reason } => Some(sanitised(reason, MAX_NOTE)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn each_row_is_a_line_with_what_changed() {
        let input = [
            row(json!({"machine": "m-1", "status": " ok", "n": 1})),
            row(json!({"machine": "m-2", "status": "", "n": null})),
            row(json!({"machine": "m-3", "status": "7", "n": 3})),
        ];
        let trial = Trial {
            fates: vec![
                Fate::Kept(row(json!({"machine": "m-1", "status": "OK", "f": 1.5}))),
                Fate::Dropped,
                Fate::Rejected { rule: "odd".into(), reason: "3 is odd".into() },
            ],
            made: Vec::new(),
        };
        let lines = side_by_side(&input, &[0, 1, 5], &trial);
        assert_eq!(
            texts(&lines),
            [
                "row  fate      machine  status      -n    +f",
                "0    kept      m-1      \" ok\" → OK  1     1.5",
                "1    dropped   m-2      \"\"          null",
                "5    rejected  m-3      \"7\"         3",
                "     odd: 3 is odd",
            ]
        );
        assert_eq!((lines[2].tone, lines[4].tone), (Tone::Faint, Tone::Warning));
    }

    #[test]
    fn what_is_shown_is_short_and_harmless() {
        assert_eq!(shown(&json!("a\u{1b}[31m")), r#""a\u001b[31m""#);
        assert_eq!(shown(&json!("x".repeat(100))).chars().count(), MAX_CELL);
        assert_eq!(shown(&json!("null")), "\"null\"");
        assert_eq!(shown(&json!({"a": [1]})), "{\"a\":[1]}");
    }

    #[test]
    fn new_rows_have_their_own_columns() {
        let rows = [row(json!({"start": "s", "sum": 3})), row(json!({"start": "t", "sum": null}))];
        assert_eq!(texts(&new_rows(&rows)), ["new  start  sum", "0    s      3", "1    t      null"]);
        assert_eq!(new_rows(&[]), []);
    }
}
