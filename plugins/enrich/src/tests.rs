use std::collections::HashMap;

use proptest::prelude::*;
use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{OpenedReference, open_reference_transform, struct_field};
use sluicebox_plugin::{Error, Field, Kind, TimeUnit, TimestampType, field, timestamp_micros};

use crate::Enrich;

fn schema() -> Vec<Field> {
    let place = struct_field("place", vec![vec![field("country", Kind::Utf8)]]);
    let flat = [field("id", Kind::Int32), field("country", Kind::Utf8), field("name", Kind::Utf8)];
    flat.into_iter()
        .chain([field("at", timestamp_micros()), field("f", Kind::Float64)])
        .chain(place)
        .collect()
}

fn table() -> Vec<Field> {
    let size = struct_field("size", vec![vec![field("area", Kind::Float64)]]);
    let flat = [field("code", Kind::Utf8), field("number", Kind::Int64), field("name", Kind::Utf8)];
    flat.into_iter().chain(size).collect()
}

fn countries() -> Vec<Value> {
    vec![
        json!({"code": "DE", "number": 276, "name": "Germany", "size": {"area": 357.0}}),
        json!({"code": "FR", "number": 250, "name": null, "size": null}),
        json!({"code": null, "number": 0, "name": "nowhere"}),
    ]
}

fn open(config: Value, rows: &[Value]) -> Result<OpenedReference<Enrich>, Error> {
    open_reference_transform(config, &schema(), &table(), rows)
}

fn message(error: Error) -> String {
    match error {
        Error::Config(what) | Error::Schema(what) | Error::Data(what) => what,
    }
}

#[test]
fn columns_of_the_table_stand_beside_the_rows_that_match() {
    let config = json!({"on": {"country": "code"}, "select": {"country_name": "name", "extent": "size"}});
    let mut enrich = open(config, &countries()).unwrap();
    let names: Vec<&str> = enrich.table.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["code", "name", "size", "area"], "only what is needed crosses");
    let rows = ["DE", "XX", "FR"].map(|code| json!({"country": code}));
    let fates = enrich.apply(&[&rows[..], &[json!({"country": null})]].concat()).unwrap();
    let nothing = json!({"country_name": null, "extent": null});
    let kept: Vec<Value> = fates.kept.into_iter().map(|(_, row)| row).collect();
    let germany = json!({"country_name": "Germany", "extent": {"area": 357.0}});
    assert_eq!(kept, [germany, nothing.clone(), nothing.clone(), nothing]);
}

#[test]
fn rows_without_a_match_are_dropped_or_rejected_with_their_key() {
    let rows = [json!({"id": 276}), json!({"id": 1}), json!({"id": null})];
    let config = json!({"on": {"id": "number"}, "on_miss": "drop"});
    let fates = open(config, &countries()).unwrap().apply(&rows).unwrap();
    assert_eq!((fates.kept_rows(), fates.dropped), (vec![0], vec![1, 2]), "int32 against int64");
    let config = json!({"on": {"id": "number", "place.country": "code"}, "on_miss": "reject"});
    let row = |id, country| json!({"id": id, "place": {"country": country}});
    let rows = [row(json!(276), json!("DE")), row(json!(276), json!("FR")), row(json!(1), Value::Null)];
    let fates = open(config, &countries()).unwrap().apply(&rows).unwrap();
    let reasons: Vec<&str> = fates.rejected.iter().map(|(.., reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["the reference table has no row for `id` = 276, `country` = \"FR\"", "`country` is null"]
    );
    assert_eq!(fates.rejected[0].1, "no_match");
    assert_eq!(fates.kept_rows(), [0]);
}

#[test]
fn duplicates_are_refused_or_chosen_between_across_chunks() {
    let row = |name| json!({"code": "DE", "number": 1, "name": name});
    let config =
        |choice: &str| json!({"on": {"country": "code"}, "select": {"n": "name"}, "on_duplicate": choice});
    let mut refusing = open(config("error"), &[row("one")]).unwrap();
    let refused = message(refusing.load(&[row("two")]).unwrap_err());
    assert!(refused.contains("more than one row with `code` = \"DE\""), "{refused}");
    for (choice, expected) in [("first", "one"), ("last", "two")] {
        let mut enrich = open(config(choice), &[row("one")]).unwrap();
        enrich.load(&[row("two")]).unwrap();
        let fates = enrich.apply(&[json!({"country": "DE"})]).unwrap();
        assert_eq!(fates.kept[0].1, json!({"n": expected}));
    }
    let nulls = json!({"code": null, "number": 1, "name": "x"});
    assert!(open(config("error"), &[nulls.clone(), nulls]).is_ok(), "a null equals nothing");
}

#[test]
fn an_empty_table_has_no_row_for_anything() {
    let config = json!({"on": {"country": "code"}, "select": ["number", "size"]});
    let fates = open(config, &[]).unwrap().apply(&[json!({"country": "DE"})]).unwrap();
    assert_eq!(fates.kept[0].1, json!({"number": null, "size": null}));
}

#[test]
fn what_does_not_fit_is_refused() {
    let on = json!({"country": "code"});
    let select = json!(["number"]);
    for (config, says) in [
        (json!({"on": {}, "select": select}), "no column to look up by"),
        (json!({"on": on}), "nothing to do"),
        (json!({"on": on, "select": ["number", "number"]}), "names `number` twice"),
        (
            json!({"on": {"country": "kode"}, "select": select}),
            "no column `kode`; it has code, number, name, size",
        ),
        (json!({"on": {"land": "code"}, "select": select}), "no column `land`"),
        (
            json!({"on": {"id": "code"}, "select": select}),
            "`id` is int32, the reference table's `code` is utf8",
        ),
        (json!({"on": {"f": "number"}, "select": select}), "column `f` is float64, by which nothing"),
        (json!({"on": {"country": "size"}, "select": select}), "column `size` is struct, by which nothing"),
        (json!({"on": on, "select": ["name"]}), "have a column `name` already"),
        (json!({"on": on, "select": select, "on_mis": "drop"}), "on_mis"),
    ] {
        let refused = message(open(config.clone(), &[]).err().unwrap());
        assert!(refused.contains(says), "{config}: {refused} does not say {says}");
    }
    assert!(open(json!({"on": on, "select": ["name"], "replace": true}), &[]).is_ok());
    let local = Kind::Timestamp(TimestampType { unit: TimeUnit::Microseconds, zone: None });
    let config = json!({"on": ["at"], "on_miss": "drop"});
    let refused = open_reference_transform::<Enrich>(config, &schema(), &[field("at", local)], &[]);
    let refused = message(refused.err().unwrap());
    assert!(
        refused.contains("with a time zone, the reference table's `at` is timestamp in microseconds without")
    );
}

proptest! {
    /// Against a map of JSON values, whatever the chunks of the table and of the rows.
    #[test]
    fn looks_up_what_a_map_does(
        table in prop::collection::vec((prop::option::of("[ab]{0,2}"), prop::option::of(0..4)), 0..60),
        chunk in 1usize..20,
        rows in prop::collection::vec((prop::option::of("[ab]{0,2}"), prop::option::of(0..4)), 1..60),
    ) {
        let columns = [field("code", Kind::Utf8), field("number", Kind::Int64), field("row", Kind::Int64)];
        let config = json!({"on": {"country": "code", "id": "number"}, "select": ["row"], "on_duplicate": "last"});
        let mut enrich = open_reference_transform::<Enrich>(config, &schema(), &columns, &[]).unwrap();
        let mut map = HashMap::new();
        for (number, row) in table.iter().enumerate() {
            if let (Some(code), Some(id)) = row {
                map.insert((code, id), number);
            }
        }
        let numbered: Vec<Value> = table.iter().enumerate()
            .map(|(row, (code, number))| json!({"code": code, "number": number, "row": row}))
            .collect();
        numbered.chunks(chunk).for_each(|chunk| enrich.load(chunk).unwrap());
        let input: Vec<Value> = rows.iter().map(|(code, id)| json!({"country": code, "id": id})).collect();
        let fates = enrich.apply(&input).unwrap();
        for ((code, id), (_, found)) in rows.iter().zip(fates.kept) {
            let expected = code.as_ref().zip(id.as_ref()).and_then(|key| map.get(&key));
            prop_assert_eq!(&found["row"], &json!(expected));
        }
    }
}
