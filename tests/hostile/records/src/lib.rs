//! A transform over rows as JSON that misbehaves as its configuration says: `{"behaviour": "…", "id": 5, "rows": "…"}`.

use std::sync::OnceLock;

use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::records::{Guest as Records, Outcome, Plan, Rejection};
use serde_json::{Value, json};
use sluicebox::plugin::metrics;
use sluicebox::plugin::types::{ColumnChanges, Error, Field, Kind, TransformOutput};

wit_bindgen::generate!({ world: "records-plugin", path: "../../../wit" });

struct Hostile;
export!(Hostile);

static CONFIG: OnceLock<Value> = OnceLock::new();

impl Describe for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile-records".into(),
            version: "0.1.0".into(),
            summary: "Misbehaves as it is told.".into(),
            config_schema:
                r#"{"type": "object", "required": ["behaviour"], "additionalProperties": false, "properties":
                {"behaviour": {"type": "string"}, "id": {"type": "integer"}, "rows": {"type": "string"}}}"#
                    .into(),
        }
    }
}

fn setting(name: &str) -> &'static Value {
    CONFIG.get().map_or(&Value::Null, |config| &config[name])
}

impl Records for Hostile {
    fn open(config: String, _input: Vec<Field>) -> Result<Plan, Error> {
        let config = serde_json::from_str(&config).map_err(|error| Error::Config(error.to_string()))?;
        CONFIG.get_or_init(|| config);
        let text = Field { name: "text".into(), kind: Kind::Utf8, nullable: true, children: 0 };
        let output = match setting("behaviour").as_str() {
            Some("selects" | "keeps-few" | "selects-rows") => TransformOutput::Select,
            Some("makes-rows" | "makes-rows-and-keeps") => TransformOutput::Rows(vec![text]),
            _ => TransformOutput::Columns(ColumnChanges { set: vec![text], drop: Vec::new() }),
        };
        Ok(Plan { reads: vec!["id".into(), "name".into()], output, rules: vec!["odd".into(), "even".into()] })
    }

    fn apply(rows: String) -> Result<Outcome, Error> {
        metrics::count("calls", 1);
        let rows: Vec<Value> = serde_json::from_str(&rows).map_err(|error| Error::Data(error.to_string()))?;
        let has_id = rows.iter().any(|row| row["id"] == *setting("id"));
        let text = |row: &Value| json!({"text": format!("№{}", row["id"])});
        let well = Value::Array(rows.iter().map(text).collect()).to_string();
        let said = || Some(setting("rows").as_str().map_or_else(|| well.clone(), str::to_owned));
        let mut outcome = Outcome { keep: None, rejected: Vec::new(), rows: Some(well.clone()) };
        let reject =
            |row: usize, rule: &str| Rejection { row: row as u32, rule: rule.into(), reason: "why".into() };
        match setting("behaviour").as_str().unwrap_or_default() {
            "traps-on-id" if has_id => unreachable!(),
            "spins-on-id" if has_id => spin(),
            "grows-on-id" if has_id => grow(),
            "data-error-on-id" if has_id => return Err(Error::Data("an id\nthat it does not like".into())),
            "malformed-on-id" if has_id => outcome.rows = Some("[{".into()),
            "drops-odd" => {
                let even = |row: &Value| row["id"].as_u64().is_some_and(|id| id % 2 == 0);
                let rows = rows.iter().map(|row| if even(row) { text(row) } else { Value::Null });
                outcome.rows = Some(Value::Array(rows.collect()).to_string());
            }
            "is-slow" => {
                for turn in 0..rows.len() * 10_000 {
                    std::hint::black_box(turn);
                }
            }
            "rejects-id" if has_id => {
                let row = rows.iter().position(|row| row["id"] == *setting("id")).unwrap_or(0);
                outcome.rejected = vec![reject(row, "even")];
            }
            "rejects-by-unknown-rule" => outcome.rejected = vec![reject(0, "no\nrule")],
            "rejects-out-of-range" => outcome.rejected = vec![reject(rows.len(), "odd")],
            "rejects-twice" => outcome.rejected = vec![reject(0, "odd"), reject(0, "odd")],
            "selects" => {
                outcome.rows = None;
                outcome.keep = Some(rows.iter().map(|row| row["name"].is_string()).collect());
            }
            "keeps-few" => (outcome.rows, outcome.keep) = (None, Some(vec![true; rows.len() - 1])),
            "selects-rows" => {}
            "keeps" => outcome.keep = Some(vec![true; rows.len()]),
            "makes-rows-and-keeps" => outcome.keep = Some(vec![true; rows.len()]),
            "no-rows" => outcome.rows = None,
            "gigantic" => outcome.rows = Some(" ".repeat(48 << 20)),
            "says" | "makes-rows" => outcome.rows = said(),
            _ => {}
        }
        Ok(outcome)
    }
}

fn spin() {
    let mut turns: u64 = 0;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn grow() {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}
