//! An aggregate that counts rows by id, and misbehaves as its configuration says: `{"behaviour": "…", "id": 5}`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use exports::sluicebox::plugin::aggregate::{Emission, Guest as Aggregate, Plan};
use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::state::{Delta, Fields, Guest as State};
use sluicebox::plugin::types::{Batch, ByteStrings, Column, Error, Field, Kind, Rejections, Values};

wit_bindgen::generate!({ world: "aggregate-plugin", path: "../../../wit" });

struct Hostile;
export!(Hostile);

#[derive(Default)]
struct Memory {
    behaviour: String,
    id: i64,
    counts: BTreeMap<i64, i64>,
    changed: BTreeSet<i64>,
    leaked: Vec<Vec<u8>>,
}

static MEMORY: Mutex<Memory> = Mutex::new(Memory {
    behaviour: String::new(),
    id: -1,
    counts: BTreeMap::new(),
    changed: BTreeSet::new(),
    leaked: Vec::new(),
});

fn with_memory<T>(work: impl FnOnce(&mut Memory) -> T) -> T {
    work(&mut MEMORY.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

impl Describe for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile-aggregate".into(),
            version: "0.1.0".into(),
            summary: "Counts rows by id, or misbehaves as it is told.".into(),
            config_schema: "{}".into(),
        }
    }
}

/// The host writes JSON without spaces.
fn setting<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    let rest = config.split_once(&format!("\"{key}\":"))?.1;
    rest.split([',', '}']).next().map(|value| value.trim_matches('"'))
}

fn int64(name: &str) -> Field {
    Field { name: name.into(), kind: Kind::Int64, nullable: false, children: 0 }
}

fn batch(columns: Vec<Vec<i64>>) -> Batch {
    let rows = columns.first().map_or(0, |column| column.len() as u32);
    let column = |values| Column { length: rows, validity: None, values: Values::Int64(values) };
    Batch { rows, columns: columns.into_iter().map(column).collect() }
}

fn int64s(column: &Column) -> &[i64] {
    match &column.values {
        Values::Int64(values) => values,
        _ => &[],
    }
}

impl Aggregate for Hostile {
    fn open(config: String, _input: Vec<Field>) -> Result<Plan, Error> {
        with_memory(|memory| {
            memory.behaviour = setting(&config, "behaviour").unwrap_or_default().to_owned();
            memory.id = setting(&config, "id").and_then(|id| id.parse().ok()).unwrap_or(-1);
        });
        Ok(Plan {
            reads: vec!["id".into()],
            output: vec![int64("id"), int64("count")],
            rules: vec!["unwanted".into()],
        })
    }

    /// Emits all counts when there is a watermark.
    fn update(input: Batch, watermark: Option<i64>) -> Result<Emission, Error> {
        with_memory(|memory| {
            if memory.behaviour == "spins-without-rows" && input.rows == 0 {
                spin();
            }
            if memory.behaviour == "leaks" {
                memory.leaked.push(vec![1; 1 << 20]);
            }
            let mut rejected = Rejections {
                rows: Vec::new(),
                rules: Vec::new(),
                reasons: ByteStrings { offsets: vec![0], data: Vec::new() },
            };
            for (row, id) in int64s(&input.columns[0]).iter().enumerate() {
                match memory.behaviour.as_str() {
                    "traps-on-id" if *id == memory.id => unreachable!(),
                    "data-error-on-id" if *id == memory.id => return Err(Error::Data("that id".into())),
                    "rejects-id" if *id == memory.id => {
                        rejected.rows.push(row as u32);
                        rejected.rules.push(0);
                        rejected.reasons.offsets.push(0);
                        continue;
                    }
                    _ => {}
                }
                *memory.counts.entry(*id).or_default() += 1;
                memory.changed.insert(*id);
            }
            let all = watermark.map(|_| {
                batch(vec![
                    memory.counts.keys().copied().collect(),
                    memory.counts.values().copied().collect(),
                ])
            });
            Ok(Emission { rejected: Some(rejected), batch: all })
        })
    }
}

fn spin() -> ! {
    let mut turns: u64 = 0;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

impl State for Hostile {
    fn layout() -> Result<Fields, Error> {
        with_memory(|memory| {
            Ok(match memory.behaviour.as_str() {
                "layout-without-key" => Fields { version: 1, key: vec![], value: vec![int64("count")] },
                "layout-overlaps" => Fields { version: 1, key: vec![int64("id")], value: vec![int64("id")] },
                "layout-traps" => unreachable!(),
                _ => Fields { version: 1, key: vec![int64("id")], value: vec![int64("count")] },
            })
        })
    }

    fn migrate(_: Fields) -> Result<(), Error> {
        with_memory(|memory| match memory.behaviour.as_str() {
            "migrate-traps" => unreachable!(),
            _ => Err(Error::Data("not my version".into())),
        })
    }

    fn changes() -> Result<Delta, Error> {
        with_memory(|memory| {
            let changed: Vec<i64> = std::mem::take(&mut memory.changed).into_iter().collect();
            let counts = changed.iter().map(|id| memory.counts[id]).collect();
            Ok(match memory.behaviour.as_str() {
                "changes-malformed" => Delta { upserts: Some(batch(vec![changed])), deletes: None },
                "changes-trap" => unreachable!(),
                "changes-spin" => spin(),
                _ => Delta { upserts: Some(batch(vec![changed, counts])), deletes: None },
            })
        })
    }

    fn restore(upserts: Batch) -> Result<(), Error> {
        with_memory(|memory| {
            if memory.behaviour == "restore-spins" {
                spin();
            }
            if memory.behaviour == "restore-fails" {
                return Err(Error::Data("not my state".into()));
            }
            let (ids, counts) = (int64s(&upserts.columns[0]), int64s(&upserts.columns[1]));
            memory.counts.extend(ids.iter().copied().zip(counts.iter().copied()));
            Ok(())
        })
    }
}
