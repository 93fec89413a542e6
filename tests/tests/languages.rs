//! Plugins in C, JavaScript and Python in one pipeline, over typed columns and over rows as JSON.

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray};
use serde_json::{Value, json};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::tables::{positions, strings};

const FILE: &str = include_str!("../pipelines/languages.yaml");
const SETTINGS: Settings = Settings { batch_rows: 256, epoch_ms: 500, epoch_rows: 1_000_000 };

const PARTITIONS: usize = 2;
/// In each partition.
const RECORDS: usize = 1200;

/// Records that make a plugin of each language raise an exception: the position, the step, and what the reason says.
const BROKEN: [(usize, usize, &str, &str); 4] = [
    (0, 13, "unit-price", "integer divide by zero"),
    (0, 700, "attributes", "SyntaxError"),
    (1, 255, "due-date", "ValueError: not enough values to unpack"),
    (1, 256, "due-date", "ValueError: not enough values to unpack"),
];

/// What becomes of an order.
enum Fate {
    Gold(Value),
    Dropped,
    /// By the rule.
    Rejected(&'static str),
    /// Of [`BROKEN`].
    Broken,
}

/// The order at a position, and what the plugins must make of it.
fn order(partition: usize, offset: usize) -> (Value, Fate) {
    let breaks =
        BROKEN.iter().find(|(of, at, ..)| (*of, *at) == (partition, offset)).map(|(_, _, step, _)| *step);
    let day = offset % 28 + 1;
    let mut order = json!({
        "order_id": format!("{partition}-{offset}"),
        "ordered": format!("2026-02-{day:02}T23:59:59.999Z"),
        "quantity": offset % 5 + 1,
        "amount_cents": 1000 + offset,
        "weight_kg": 0.25 * (offset % 7) as f64,
        "country": "de",
        "attributes": format!("{{\"colour\": \"re\\\"d №{offset}\", \"size\": {}}}", offset % 3),
        "due": format!("{day:02}.03.2026"),
    });
    let mut gold = json!({
        "order_id": order["order_id"],
        "unit_cents": (1000 + offset) / (offset % 5 + 1),
        "shipment_kg": 0.25 * (offset % 7) as f64 * (offset % 5 + 1) as f64,
        "colour": format!("re\"d №{offset}"),
        "size": (offset % 3).to_string(),
        // 2026-02-01 was a Sunday.
        "weekday": (day + 5) % 7 + 1,
        "due_on": format!("2026-03-{day:02}"),
    });
    match breaks {
        Some("unit-price") => order["quantity"] = 0.into(),
        Some("attributes") => order["attributes"] = "{colour}".into(),
        Some(_) => order["due"] = "tomorrow".into(),
        None => {}
    }
    if breaks.is_some() {
        return (order, Fate::Broken);
    }
    let fate = match offset % 50 {
        10 => {
            order["country"] = "countries".into();
            Fate::Dropped
        }
        20 => {
            order["country"] = Value::Null;
            Fate::Rejected("no_country")
        }
        30 => {
            order["attributes"] = Value::Null;
            Fate::Rejected("no_colour")
        }
        40 => {
            order["due"] = Value::Null;
            Fate::Rejected("no_due_date")
        }
        45 => {
            (order["quantity"], order["ordered"]) = (Value::Null, Value::Null);
            for name in ["unit_cents", "shipment_kg", "weekday"] {
                gold[name] = Value::Null;
            }
            Fate::Gold(gold)
        }
        _ => Fate::Gold(gold),
    };
    (order, fate)
}

fn each_order() -> impl Iterator<Item = (usize, usize, Fate)> {
    (0..PARTITIONS)
        .flat_map(|partition| (0..RECORDS).map(move |offset| (partition, offset, order(partition, offset).1)))
}

/// Each row of gold is as expected; dropped, rejected and broken rows are where they belong, and only they.
#[test]
fn plugins_of_three_languages_work_on_one_topic() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("languages", PARTITIONS)?;
    for partition in 0..PARTITIONS {
        let payloads: Vec<_> = (0..RECORDS).map(|offset| order(partition, offset).0.to_string()).collect();
        broker.send(&topic, partition as i32, payloads.iter().map(String::as_str))?;
    }
    let pipeline = Pipeline::with_file(FILE, "languages", broker, &topic, SETTINGS)?;
    // Compiles what no run before has compiled, which a worker would have less patience for.
    pipeline.check()?;
    pipeline.catch_up("worker")?;
    check_gold(&pipeline)?;
    check_quarantine(&pipeline)?;
    check_dead_letters(&pipeline)?;
    pipeline.audit()?;
    pipeline.close()
}

fn check_gold(pipeline: &Pipeline) -> Result<()> {
    let mut found = Vec::new();
    for row in pipeline.table("gold")?.rows_as_text()? {
        let row: Value = serde_json::from_str(&row)?;
        let of_gold = ["order_id", "unit_cents", "shipment_kg", "colour", "size", "weekday", "due_on"];
        found.push(of_gold.map(|name| (name.to_owned(), row[name].clone())).into_iter().collect::<Value>());
    }
    let expected = each_order().filter_map(|(_, _, fate)| match fate {
        Fate::Gold(row) => Some(row),
        _ => None,
    });
    let by_id = |row: &Value| row["order_id"].to_string();
    let mut expected: Vec<Value> = expected.collect();
    expected.sort_by_key(by_id);
    found.sort_by_key(by_id);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    Ok(())
}

fn check_quarantine(pipeline: &Pipeline) -> Result<()> {
    let mut found = Vec::new();
    for table in ["quarantine", "gold_quarantine"] {
        pipeline.table(table)?.scan(|batch| {
            let rules = strings(batch, "rule")?;
            for (at, rule) in positions(batch)?.into_iter().zip(rules.as_string::<i32>()) {
                found.push((at, rule.context("no rule")?.to_owned()));
            }
            Ok(())
        })?;
    }
    found.sort_unstable();
    let expected = each_order().filter_map(|(partition, offset, fate)| match fate {
        Fate::Rejected(rule) => Some(((partition as i32, offset as i64), rule.to_owned())),
        _ => None,
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    Ok(())
}

/// The reasons say what the languages say of their exceptions.
fn check_dead_letters(pipeline: &Pipeline) -> Result<()> {
    let mut found = Vec::new();
    pipeline.table("dead_letters")?.scan(|batch| {
        let (steps, reasons) = (strings(batch, "step")?, strings(batch, "reason")?);
        for (row, at) in positions(batch)?.into_iter().enumerate() {
            let text = |array: &dyn Array| array.as_string::<i32>().value(row).to_owned();
            found.push((at, text(&steps), text(&reasons)));
        }
        Ok(())
    })?;
    found.sort_unstable();
    assert_eq!(found.len(), BROKEN.len(), "{found:?}");
    for ((at, step, reason), (partition, offset, expected, says)) in found.iter().zip(BROKEN) {
        assert_eq!((*at, step.as_str()), ((partition as i32, offset as i64), expected));
        assert!(reason.contains(says), "{reason}");
    }
    Ok(())
}

/// The pipelines beside the examples pass their check: plugins, configurations and columns fit each other.
#[test]
fn the_pipelines_of_the_examples_are_sound() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("orders", 1)?;
    for (language, file, column) in [
        ("c", include_str!("../../examples/plugins/c/pipeline.yaml"), "unit_cents int64"),
        ("javascript", include_str!("../../examples/plugins/javascript/pipeline.yaml"), "colour utf8"),
        ("python", include_str!("../../examples/plugins/python/pipeline.yaml"), "due_on date"),
    ] {
        let pipeline = Pipeline::with_file(file, language, broker, &topic, SETTINGS)?;
        pipeline.rewrite(|file| file.replace("topics: [orders]", "topics: [\"${TOPIC}\"]"))?;
        let printed = pipeline.check()?;
        assert!(printed.contains(column), "{printed}");
        pipeline.close()?;
    }
    Ok(())
}
