//! Makes the most of what it is granted, and tries more. `{"tries": [["open", "file"], …]}` says what; each gives a row that
//! tells what came of it.

#![expect(clippy::unwrap_used, reason = "a trap is an answer, too")]

mod files;
mod http;

use std::sync::OnceLock;

use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::records::{Guest as Records, Outcome, Plan};
use serde_json::{Value, json};
use sluicebox::plugin::types::{Error, Field, Kind, TransformOutput};
use wasi::cli::environment::get_environment;
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::random::random::get_random_u64;

wit_bindgen::generate!({
    path: ["../../../wit", "wasi.wit"],
    world: "hostile:grants/probe",
    generate_all,
});

struct Probe;
export!(Probe);

static TRIES: OnceLock<Vec<Vec<String>>> = OnceLock::new();

impl Describe for Probe {
    fn describe() -> Description {
        Description {
            name: "hostile-grants".into(),
            version: "0.1.0".into(),
            summary: "Tells what it can reach.".into(),
            config_schema: r#"{"type": "object", "properties": {"tries": {"type": "array"}}}"#.into(),
        }
    }
}

impl Records for Probe {
    fn open(config: String, _input: Vec<Field>) -> Result<Plan, Error> {
        let wrong = |error: serde_json::Error| Error::Config(error.to_string());
        let config: Value = serde_json::from_str(&config).map_err(wrong)?;
        let tries = serde_json::from_value(config["tries"].clone()).map_err(wrong)?;
        TRIES.get_or_init(|| tries);
        let seen = Field { name: "seen".into(), kind: Kind::Utf8, nullable: false, children: 0 };
        Ok(Plan { reads: Vec::new(), output: TransformOutput::Rows(vec![seen]), rules: Vec::new() })
    }

    fn apply(_rows: String) -> Result<Outcome, Error> {
        let tries = TRIES.get().map_or(&[][..], Vec::as_slice);
        let rows: Vec<Value> = tries.iter().map(|words| json!({ "seen": attempt(words) })).collect();
        Ok(Outcome { keep: None, rejected: Vec::new(), rows: Some(Value::Array(rows).to_string()) })
    }
}

fn attempt(words: &[String]) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["clock"] => {
            let now = wall_clock::now();
            format!("{}.{:09} {}", now.seconds, now.nanoseconds, monotonic_clock::now())
        }
        ["sleep", milliseconds] => {
            let milliseconds: u64 = milliseconds.parse().unwrap_or_default();
            monotonic_clock::subscribe_duration(milliseconds * 1_000_000).block();
            "slept".to_owned()
        }
        ["random"] => format!("{:016x}", get_random_u64()),
        ["env"] => format!("{:?}", get_environment()),
        ["folders"] => format!("{:?}", files::names()),
        ["list", path] => files::list(path),
        ["open", path] => files::open(path),
        ["stat", path] => files::stat(path),
        ["change", path] => files::change(path),
        ["hoard", path] => files::hoard(path),
        ["http", url, rest @ ..] => http::get(url, rest),
        ["post", url, length] => http::post(url, length.parse().unwrap_or_default(), 4096),
        ["post-at-once", url, length] => {
            let length = length.parse().unwrap_or_default();
            http::post(url, length, length)
        }
        ["echo", from, to] => http::echo(from, to),
        ["hoard-requests", what, length] => http::hoard(what, length.parse().unwrap_or_default()),
        ["header", name] => http::header(name),
        ["never-sends", url] => http::never_sends(url),
        other => format!("cannot try {other:?}"),
    }
}
