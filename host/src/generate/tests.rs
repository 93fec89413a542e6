//! What a stream is, whoever asks, and in whichever order.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::*;

fn field(value: Value) -> Field {
    Field { value, missing: Share::default(), null: Share::default(), count: None }
}

fn fields(all: impl IntoIterator<Item = (&'static str, Field)>) -> IndexMap<String, Field> {
    all.into_iter().map(|(name, field)| (name.to_owned(), field)).collect()
}

fn settings(fields: IndexMap<String, Field>) -> GeneratorSettings {
    GeneratorSettings {
        seed: 7,
        partitions: 3,
        records: None,
        start_us: 1_767_225_600_000_000,
        step_us: 250_000,
        malformed: Share::default(),
        duplicates: Share::default(),
        key: None,
        fields,
        changes: Vec::new(),
    }
}

fn all_kinds() -> IndexMap<String, Field> {
    let late = Value::Time { late: Share::new(0.2), late_by_us: 60_000_000 };
    fields([
        ("id", field(Value::Id)),
        ("at", field(late)),
        ("machine", field(Value::Name { pattern: "m-\"{}\"".to_owned(), of: 5, skew: 0.0 })),
        ("reading.temperature", field(Value::Number { min: -10.0, max: 90.0, decimals: 2 })),
        ("reading.count", field(Value::Integer { min: i64::MIN, max: i64::MAX })),
        ("ok", field(Value::Boolean { share: Share::new(0.9) })),
        ("status", field(Value::OneOf { values: vec![json!("up"), json!({"code": 3})], skew: 0.0 })),
        ("note", Field { null: Share::new(0.5), ..field(Value::Text { min: 0, max: 9 }) }),
        ("s_{}", Field { count: Some(3), missing: Share::new(0.5), ..field(Value::Sequence) }),
    ])
}

fn record(generator: &Generator, partition: u32, offset: u64) -> (String, String) {
    let mut out = Generated::default();
    generator.write(partition, offset, &mut out);
    (String::from_utf8(out.key).unwrap(), String::from_utf8(out.payload).unwrap())
}

fn objects(generator: &Generator, records: u64) -> Vec<Json> {
    (0..records).map(|offset| serde_json::from_str(&record(generator, 0, offset).1).unwrap()).collect()
}

#[test]
fn a_record_is_a_function_of_seed_partition_and_offset() {
    let key = Some("machine".to_owned());
    let one = Generator::new(GeneratorSettings { key, ..settings(all_kinds()) }).unwrap();
    let forwards: Vec<_> = (0..200).map(|offset| record(&one, 1, offset)).collect();
    let mut backwards: Vec<_> = (0..200).rev().map(|offset| record(&one, 1, offset)).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let other = Generator::new(GeneratorSettings { seed: 8, ..settings(all_kinds()) }).unwrap();
    assert!((0..200).all(|offset| record(&other, 1, offset).1 != forwards[offset as usize].1));
    for (key, payload) in &forwards {
        let object: Json = serde_json::from_str(payload).unwrap();
        assert_eq!(object["machine"], *key, "{payload}");
    }
}

#[test]
fn values_are_what_was_asked_for() {
    let generator = Generator::new(settings(all_kinds())).unwrap();
    let objects = objects(&generator, 2000);
    let count = |holds: &dyn Fn(&Json) -> bool| objects.iter().filter(|object| holds(object)).count();
    assert_eq!(
        objects.iter().map(|object| object["id"].as_str().unwrap()).collect::<HashSet<_>>().len(),
        2000
    );
    assert!((300..500).contains(&count(&|object| {
        let at = chrono::DateTime::parse_from_rfc3339(object["at"].as_str().unwrap()).unwrap();
        let offset = objects.iter().position(|other| std::ptr::eq(other, object)).unwrap();
        let time = generator.time_us(0, offset as u64);
        assert!((time - 60_000_000..=time).contains(&at.timestamp_micros()));
        at.timestamp_micros() < time
    })));
    let temperature = |object: &Json| object["reading"]["temperature"].as_f64().unwrap();
    assert!(objects.iter().all(|object| (-10.0..=90.0).contains(&temperature(object))));
    assert!(objects.iter().all(|object| object["reading"]["count"].is_i64()));
    assert!((1700..1900).contains(&count(&|object| object["ok"] == true)));
    assert!((900..1100).contains(&count(&|object| object["status"]["code"] == 3)));
    assert!((900..1100).contains(&count(&|object| object["note"].is_null())));
    assert!((900..1100).contains(&count(&|object| object.get("s_2").is_some())));
    let machines: HashSet<_> = objects.iter().map(|object| object["machine"].as_str().unwrap()).collect();
    assert_eq!(machines.len(), 5);
}

#[test]
fn a_skew_prefers_the_first() {
    let name = |skew| field(Value::Name { pattern: "{}".to_owned(), of: 100, skew });
    let generator = Generator::new(settings(fields([("even", name(0.0)), ("skewed", name(3.0))]))).unwrap();
    let objects = objects(&generator, 4000);
    let first_tenth = |field: &str| {
        let number = |object: &Json| object[field].as_str().unwrap().parse::<u32>().unwrap();
        objects.iter().filter(|object| number(object) <= 10).count()
    };
    assert!((300..500).contains(&first_tenth("even")), "{}", first_tenth("even"));
    assert!(first_tenth("skewed") > 2000, "{}", first_tenth("skewed"));
}

#[test]
fn some_are_repeated_and_some_cut_off_as_often_as_asked() {
    let generator = Generator::new(GeneratorSettings {
        malformed: Share::new(0.1),
        duplicates: Share::new(0.2),
        ..settings(fields([("id", field(Value::Id))]))
    });
    let generator = generator.unwrap();
    let payloads: Vec<String> = (0..4000).map(|offset| record(&generator, 2, offset).1).collect();
    let malformed = payloads.iter().filter(|text| serde_json::from_str::<Json>(text).is_err()).count();
    assert!((300..500).contains(&malformed), "{malformed}");
    let mut last_at = std::collections::HashMap::new();
    let mut repeated = 0;
    for (at, payload) in payloads.iter().enumerate().filter(|(_, payload)| payload.len() > 30) {
        if let Some(before) = last_at.insert(payload, at) {
            repeated += 1;
            assert!(at - before <= 200, "{at} repeats {before}");
        }
    }
    assert!((600..900).contains(&repeated), "{repeated}");
}

#[test]
fn fields_change_where_they_are_told_to() {
    let mut settings = settings(fields([("a", field(Value::Sequence)), ("b", field(Value::Sequence))]));
    let of = |name: &str, field: Option<Field>| [(name.to_owned(), field)].into();
    settings.partitions = 1;
    settings.changes = vec![
        Change { after: 10, fields: of("c.d", Some(field(Value::Sequence))) },
        Change { after: 20, fields: of("a", None) },
    ];
    let generator = Generator::new(settings).unwrap();
    let shown = |offset| record(&generator, 0, offset).1;
    assert_eq!(shown(9), r#"{"a":9,"b":9}"#);
    assert_eq!(shown(10), r#"{"a":10,"b":10,"c":{"d":10}}"#);
    assert_eq!(shown(20), r#"{"b":20,"c":{"d":20}}"#);
}

#[test]
fn the_records_are_spread_over_the_partitions() {
    let mut settings = settings(fields([("n", field(Value::Sequence))]));
    settings.records = Some(8);
    let generator = Generator::new(settings).unwrap();
    let counts = [0, 1, 2].map(|partition| generator.records_of(partition).unwrap());
    assert_eq!(counts, [3, 3, 2]);
    let numbers = (0..3).zip(counts).flat_map(|(partition, count)| (0..count).map(move |at| (partition, at)));
    let numbers: HashSet<String> =
        numbers.map(|(partition, at)| record(&generator, partition, at).1).collect();
    assert_eq!(numbers.len(), 8);
}

#[test]
fn what_cannot_be_generated_is_told_by_its_field() {
    let refused = |name: &'static str, of: Field| {
        Generator::new(settings(fields([("a.b", field(Value::Id)), (name, of)]))).unwrap_err().to_string()
    };
    assert!(refused("a", field(Value::Id)).contains("`a`: two fields have one name, or one is an object"));
    assert!(refused("a.b.c", field(Value::Id)).contains("`a.b.c`"));
    assert!(refused("c..d", field(Value::Id)).contains("at least one character"));
    assert!(refused("s", Field { count: Some(3), ..field(Value::Id) }).contains("`sensor_{}`"));
    assert!(refused("s", field(Value::Integer { min: 3, max: 2 })).contains("not above its end"));
    assert!(
        refused("s", field(Value::OneOf { values: Vec::new(), skew: 0.0 })).contains("at least one value")
    );
    let key = Some("nothing".to_owned());
    let refused = Generator::new(GeneratorSettings { key, ..settings(all_kinds()) }).unwrap_err().to_string();
    assert!(refused.contains("`nothing`"), "{refused}");
}
