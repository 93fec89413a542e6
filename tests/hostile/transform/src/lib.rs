//! A transform that misbehaves as its configuration says: `{"behaviour": "…", "id": 5}`.

mod columns;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use columns::{Shape, fields, malform, well};
use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::transform::{Guest as Transform, Outcome, Plan};
use sluicebox::plugin::types::{
    Batch, ByteStrings, ColumnChanges, Error, Field, Kind, Rejections, TransformOutput as Output, Values,
};
use sluicebox::plugin::{log, metrics};

wit_bindgen::generate!({ world: "transform-plugin", path: "../../../wit" });

struct Hostile;
export!(Hostile);

static BEHAVIOUR: OnceLock<String> = OnceLock::new();
static ID: AtomicI64 = AtomicI64::new(-1);

impl Describe for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile-transform".into(),
            version: "0.1.0".into(),
            summary: "Misbehaves as it is told.".into(),
            config_schema: r#"{"type": "object", "required": ["behaviour"], "additionalProperties": false,
                "properties": {"behaviour": {"type": "string"}, "id": {"type": "integer"}}}"#
                .into(),
        }
    }
}

/// The host writes JSON without spaces.
fn setting<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    let rest = config.split_once(&format!("\"{key}\":"))?.1;
    rest.split([',', '}']).next().map(|value| value.trim_matches('"'))
}

fn field(name: &str, kind: Kind, children: u32) -> Field {
    Field { name: name.into(), kind, nullable: true, children }
}

impl Transform for Hostile {
    fn open(config: String, _input: Vec<Field>) -> Result<Plan, Error> {
        let behaviour = setting(&config, "behaviour").unwrap_or("well").to_owned();
        if let Some(id) = setting(&config, "id").and_then(|id| id.parse().ok()) {
            ID.store(id, Ordering::Relaxed);
        }
        let mut reads = vec!["id".to_owned()];
        let mut rules = vec!["odd".to_owned(), "even".to_owned()];
        let (mut set, mut drop) = (fields(), Vec::new());
        match behaviour.as_str() {
            "open-spins" => spin(),
            "open-traps" => unreachable!(),
            "config-error" => return Err(Error::Config("no such setting\nas this".into())),
            "schema-error" => return Err(Error::Schema("no such column".into())),
            "data-error-in-open" => return Err(Error::Data("no data yet".into())),
            "reads-unknown" => reads.push("no_such_column".into()),
            "reads-twice" => reads.push("id".into()),
            "sets-twice" => set.push(field("text", Kind::Utf8, 0)),
            "replaces-offset" => set.push(field("_offset", Kind::Int64, 0)),
            "drops-offset" => drop.push("_offset".to_owned()),
            "nests-deep" => {
                set.extend((0..1000).map(|_| field("deeper", Kind::ListOf, 1)));
                set.push(field("end", Kind::Int64, 0));
            }
            "claims-children" => set.push(field("struct", Kind::StructOf, u32::MAX)),
            "many-fields" => set.extend((0..100_000).map(|n| field(&format!("f{n}"), Kind::Int64, 0))),
            "empty-struct" => set.push(field("struct", Kind::StructOf, 0)),
            "unnamed-field" => set.push(field("", Kind::Int64, 0)),
            "rule-names" => rules.push("a rule\nof two lines".into()),
            "many-rules" => rules.extend((0..100_000).map(|n| format!("r{n}"))),
            _ => {}
        }
        let output = match behaviour.as_str() {
            "keep-short" | "keep-long" | "select-gives-columns" => Output::Select,
            "rows-with-offset" => Output::Rows(vec![field("_offset", Kind::Int64, 0)]),
            "many-rows" | "rows-that-keep" | "doubles-rows" => {
                Output::Rows(vec![field("bit", Kind::Boolean, 0)])
            }
            _ => Output::Columns(ColumnChanges { set, drop }),
        };
        BEHAVIOUR.get_or_init(|| behaviour);
        Ok(Plan { reads, output, rules })
    }

    fn apply(batch: Batch) -> Result<Outcome, Error> {
        let behaviour = BEHAVIOUR.get().map_or("well", String::as_str);
        let rows = batch.rows;
        let Values::Int64(ids) = &batch.columns[0].values else { return Err(Error::Data("no ids".into())) };
        let has_id = ids.contains(&ID.load(Ordering::Relaxed));
        let mut outcome = Outcome { keep: None, rejected: None, batch: Some(well(ids)) };
        match behaviour {
            "spins" => spin(),
            "grows" => grow(),
            "traps-on-id" if has_id => unreachable!(),
            "spins-on-id" if has_id => spin(),
            "grows-on-id" if has_id => grow(),
            "malformed-on-id" if has_id => outcome.batch = None,
            "data-error-on-id" if has_id => return Err(Error::Data("an id\nthat it does not like".into())),
            // Nothing for several rows, and megabytes for each by itself.
            "gives-much-alone" if rows > 1 => unreachable!(),
            "gives-much-alone" => outcome.batch = Some(columns::with_text(well(ids), 3 << 20)),
            "gives-much-on-id" if has_id => outcome.batch = Some(columns::with_text(well(ids), 3 << 20)),
            "claims-gigabytes" => claim_gigabytes(&mut outcome),
            "floods-the-log" => {
                (0..100_000).for_each(|_| log::log(log::Level::Error, "a flood\nof \u{1b}[31m messages"))
            }
            "logs-megabytes" => log::log(log::Level::Info, &"x".repeat(16 << 20)),
            "invents-metrics" => {
                metrics::count("rows_seen", rows.into());
                (0..100_000).for_each(|n| metrics::count(&format!("invented_{n}"), 1));
                metrics::gauge("evil{name=\"x\"}\n", f64::NAN);
            }
            "keep-short" => {
                outcome = Outcome { keep: Some(vec![0xff; rows as usize / 8]), rejected: None, batch: None }
            }
            "keep-long" => {
                outcome = Outcome { keep: Some(vec![0xff; rows as usize + 1]), rejected: None, batch: None }
            }
            "many-rows" => {
                outcome.batch =
                    Some(Batch { rows: u32::MAX, columns: vec![columns::bits(u32::MAX, vec![0; 8])] })
            }
            "doubles-rows" => {
                let bits = columns::bits(rows * 2, vec![0xff; rows.div_ceil(4) as usize]);
                outcome.batch = Some(Batch { rows: rows * 2, columns: vec![bits] });
            }
            "rows-that-keep" => {
                outcome =
                    Outcome { keep: Some(vec![0xff; rows.div_ceil(8) as usize]), rejected: None, batch: None }
            }
            "no-columns" => outcome.batch = None,
            "rejects-id" if has_id => {
                let row = ids.iter().position(|id| *id == ID.load(Ordering::Relaxed)).unwrap_or(0);
                outcome.rejected = Some(rejections(vec![row as u32], vec![1], vec![0, 3], b"why".to_vec()));
                outcome.keep = Some(vec![0xff; rows.div_ceil(8) as usize]);
            }
            "rejects-out-of-range" => {
                outcome.rejected = Some(rejections(vec![rows], vec![0], vec![0, 0], Vec::new()))
            }
            "rejects-out-of-order" => {
                outcome.rejected = Some(rejections(vec![1, 0], vec![0, 0], vec![0, 0, 0], Vec::new()))
            }
            "rejects-twice" => {
                outcome.rejected = Some(rejections(vec![0, 0], vec![0, 0], vec![0, 0, 0], Vec::new()))
            }
            "rejects-by-unknown-rule" => {
                outcome.rejected = Some(rejections(vec![0], vec![2], vec![0, 0], Vec::new()))
            }
            "rejects-without-rules" => {
                outcome.rejected = Some(rejections(vec![0], vec![], vec![0, 0], Vec::new()))
            }
            "rejects-with-bad-reasons" => {
                outcome.rejected = Some(rejections(vec![0], vec![0], vec![0, 1], vec![0xff]))
            }
            "rejects-with-few-reasons" => {
                outcome.rejected = Some(rejections(vec![0], vec![0], vec![], Vec::new()))
            }
            "rejects-at-length" => {
                const LENGTH: usize = 1 << 20;
                let offsets = (0..=rows).map(|row| (row as usize * LENGTH) as i32).collect();
                let reasons = vec![b'x'; rows as usize * LENGTH];
                outcome.rejected =
                    Some(rejections((0..rows).collect(), vec![0; rows as usize], offsets, reasons));
            }
            "a-million-rejections" => {
                let (all, offsets) = ((0..1_000_000).collect(), (0..=1_000_000).collect());
                outcome.rejected = Some(rejections(all, vec![0; 1_000_000], offsets, vec![b'x'; 1_000_000]))
            }
            shape => {
                let shape = Shape { name: shape, rows: rows as usize };
                outcome.batch = outcome.batch.map(|batch| malform(batch, &shape));
            }
        }
        Ok(outcome)
    }
}

fn rejections(rows: Vec<u32>, rules: Vec<u16>, offsets: Vec<i32>, data: Vec<u8>) -> Rejections {
    Rejections { rows, rules, reasons: ByteStrings { offsets, data } }
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

/// A list whose length was never allocated.
fn claim_gigabytes(outcome: &mut Outcome) {
    let mut bits = std::mem::ManuallyDrop::new(vec![0u8; 8]);
    // SAFETY: none: that is the point. The list is only handed to the host, as a pointer and a length.
    outcome.keep = Some(unsafe { Vec::from_raw_parts(bits.as_mut_ptr(), 3 << 30, 3 << 30) });
}
