//! A transform that misbehaves with its reference table as its configuration says: `{"behaviour": "…"}`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

use exports::sluicebox::plugin::describe::{Description, Guest as Describe};
use exports::sluicebox::plugin::reference::Guest as Reference;
use exports::sluicebox::plugin::transform::{Guest as Transform, Outcome, Plan};
use sluicebox::plugin::types::{
    Batch, Column, ColumnChanges, Error, Field, Kind, TransformOutput as Output, Values,
};
use wasi::clocks::monotonic_clock::subscribe_duration;

wit_bindgen::generate!({
    inline: "
        package hostile:reference;

        world probe {
            include sluicebox:plugin/reference-transform-plugin@0.3.0;
            import wasi:clocks/monotonic-clock@0.2.3;
            import wasi:io/poll@0.2.3;
        }

        package wasi:io@0.2.3 {
            interface poll {
                resource pollable { block: func(); }
            }
        }

        package wasi:clocks@0.2.3 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.3.{pollable};
                subscribe-duration: func(when: u64) -> pollable;
            }
        }
    ",
    path: "../../../wit",
    generate_all,
});

struct Hostile;
export!(Hostile);

static BEHAVIOUR: OnceLock<String> = OnceLock::new();
/// Rows that it got; -1 before the first call.
static LOADED: AtomicI64 = AtomicI64::new(-1);

impl Describe for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile-reference".into(),
            version: "0.1.0".into(),
            summary: "Misbehaves with its table.".into(),
            config_schema: r#"{"type": "object", "required": ["behaviour"], "additionalProperties": false,
                "properties": {"behaviour": {"type": "string"}}}"#
                .into(),
        }
    }
}

fn behaviour() -> &'static str {
    BEHAVIOUR.get().map_or("well", String::as_str)
}

fn spin() -> ! {
    loop {
        lag();
    }
}

/// About a second of CPU time.
fn lag() {
    let mut turns = 0_u64;
    while turns < 500_000_000 {
        turns = std::hint::black_box(turns + 1);
    }
}

impl Reference for Hostile {
    fn columns(config: String, table: Vec<Field>) -> Result<Vec<String>, Error> {
        let behaviour = config.split('"').nth(3).unwrap_or("well").to_owned();
        let mut names: Vec<String> = table.into_iter().map(|field| field.name).collect();
        match behaviour.as_str() {
            "columns-traps" => unreachable!(),
            "columns-spins" => spin(),
            "columns-unknown" => names.push("no such\ncolumn".into()),
            "columns-twice" => names.push(names[0].clone()),
            "columns-many" => names = (0..10_000).map(|n| format!("c{n}")).collect(),
            "columns-none" => names.clear(),
            "columns-data-error" => return Err(Error::Data("no table yet".into())),
            _ => {}
        }
        BEHAVIOUR.get_or_init(|| behaviour);
        Ok(names)
    }

    fn load(rows: Batch) -> Result<(), Error> {
        match behaviour() {
            "load-traps" => unreachable!(),
            "load-spins" => spin(),
            "load-lags" => lag(),
            "load-naps" => subscribe_duration(50_000_000).block(),
            "load-grows" => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
            "load-refuses" => return Err(Error::Data("two rows\nof one key".into())),
            _ => {}
        }
        LOADED.store(LOADED.load(Ordering::Relaxed).max(0) + i64::from(rows.rows), Ordering::Relaxed);
        Ok(())
    }
}

impl Transform for Hostile {
    fn open(_config: String, _input: Vec<Field>) -> Result<Plan, Error> {
        let rows = Field { name: "table_rows".into(), kind: Kind::Int64, nullable: false, children: 0 };
        let output = Output::Columns(ColumnChanges { set: vec![rows], drop: Vec::new() });
        Ok(Plan { reads: vec!["id".to_owned()], output, rules: Vec::new() })
    }

    /// Says of each row how many rows the table has; traps at the id 666.
    fn apply(batch: Batch) -> Result<Outcome, Error> {
        let Values::Int64(ids) = &batch.columns[0].values else { return Err(Error::Data("no ids".into())) };
        assert!(!ids.contains(&666));
        let rows = vec![LOADED.load(Ordering::Relaxed); ids.len()];
        let column = Column { length: batch.rows, validity: None, values: Values::Int64(rows) };
        let batch = Some(Batch { rows: batch.rows, columns: vec![column] });
        Ok(Outcome { keep: None, rejected: None, batch })
    }
}
