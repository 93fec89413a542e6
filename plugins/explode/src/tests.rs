use proptest::prelude::*;
use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::{Opened, batch, open_transform, struct_field};
use sluicebox_plugin::{Batch, Column, Error, Field, Kind, Scalar, Transform, Values, field, siblings};

use crate::Explode;

fn list_field(name: &str, element: Vec<Field>) -> Vec<Field> {
    std::iter::once(Field { children: 1, ..field(name, Kind::ListOf) }).chain(element).collect()
}

fn sku() -> Vec<Field> {
    struct_field("element", vec![vec![field("sku", Kind::Utf8)], vec![field("qty", Kind::Int64)]])
}

fn schema() -> Vec<Field> {
    let mut fields = vec![field("_offset", Kind::Int64), field("id", Kind::Int64)];
    fields.extend(list_field("items", sku()));
    fields.extend(list_field("tags", vec![field("element", Kind::Utf8)]));
    let inner = struct_field("at", vec![vec![field("lat", Kind::Float64)]]);
    fields.extend(struct_field("place", vec![vec![field("city", Kind::Utf8)], inner]));
    fields
}

/// A value with all that is nested in it.
fn value(fields: &[Field], columns: &[Column], row: usize) -> Value {
    let column = &columns[0];
    if column.validity.as_ref().is_some_and(|bits| bits[row / 8] >> (row % 8) & 1 == 0) {
        return Value::Null;
    }
    match &column.values {
        Values::None => {
            let mut at = 1;
            let members = siblings(&fields[1..]).map(|child| {
                let member = value(child, &columns[at..], row);
                at += child.len();
                (child[0].name.clone(), member)
            });
            Value::Object(members.collect())
        }
        Values::Offsets(offsets) => {
            let elements = offsets[row] as usize..offsets[row + 1] as usize;
            Value::Array(elements.map(|element| value(&fields[1..], &columns[1..], element)).collect())
        }
        _ => match Scalar::read(column, &fields[0].kind, row).unwrap() {
            Scalar::Int(value) => json!(value),
            Scalar::Float(value) => json!(value),
            Scalar::Text(text) => json!(text),
            other => panic!("{other:?}"),
        },
    }
}

/// The rows that come out, of the columns that the plugin sets or makes.
fn rows_of(explode: &mut Opened<Explode>, input: &[Value]) -> Vec<Value> {
    let made = explode.plugin.apply(&batch(&explode.reads, input)).unwrap().batch.unwrap();
    assert_eq!(made.columns.len(), explode.output.len());
    let row = |row: usize| {
        let mut at = 0;
        let members = siblings(&explode.output).map(|fields| {
            let member = value(fields, &made.columns[at..], row);
            assert!(made.columns[at].length == made.rows);
            at += fields.len();
            (fields[0].name.clone(), member)
        });
        Value::Object(members.collect())
    };
    (0..made.rows as usize).map(row).collect()
}

fn open(config: Value) -> Opened<Explode> {
    open_transform::<Explode>(config, &schema()).unwrap()
}

fn error(config: Value) -> Error {
    open_transform::<Explode>(config, &schema()).err().expect("it must not open")
}

fn orders() -> [Value; 4] {
    [
        json!({"id": 1, "items": [{"sku": "a", "qty": 2}, {"sku": "b", "qty": null}], "tags": ["x"], "place": {"city": "Bonn", "at": {"lat": 50.7}}}),
        json!({"id": 2, "items": [], "tags": [], "place": {"city": "Ulm", "at": null}}),
        json!({"id": 3, "items": null, "tags": null, "place": null}),
        json!({"id": 4, "items": [null], "tags": ["y", null], "place": null}),
    ]
}

#[test]
fn each_element_becomes_a_row_with_what_was_beside_it() {
    let mut explode = open(json!({"list": "tags", "element": "tag", "index": "at"}));
    let row = |order: usize, tag: Value, at: i64| {
        let order = &orders()[order];
        json!({"id": order["id"], "items": order["items"], "tag": tag, "place": order["place"], "at": at})
    };
    let found = rows_of(&mut explode, &orders());
    assert_eq!(found, [row(0, json!("x"), 0), row(3, json!("y"), 0), row(3, Value::Null, 1)]);
    let names: Vec<&str> = siblings(&explode.output).map(|fields| fields[0].name.as_str()).collect();
    assert_eq!(names, ["id", "items", "tag", "place", "at"], "the host's columns are the host's");
}

#[test]
fn what_lies_under_a_null_list_is_no_element() {
    let fields = list_field("values", vec![field("element", Kind::Int64)]);
    let lists = Column { length: 3, validity: Some(vec![0b101]), values: Values::Offsets(vec![0, 1, 3, 4]) };
    let elements = Column { length: 4, validity: None, values: Values::Int64(vec![1, 2, 3, 4]) };
    let batch = Batch { rows: 3, columns: vec![lists, elements] };
    for (keep_empty, expected) in [(false, vec![Some(1), Some(4)]), (true, vec![Some(1), None, Some(4)])] {
        let config = json!({"list": "values", "keep_empty": keep_empty});
        let mut explode = open_transform::<Explode>(config, &fields).unwrap();
        let made = explode.plugin.apply(&batch).unwrap().batch.unwrap();
        let value = |row| value(&explode.output, &made.columns, row).as_i64();
        assert_eq!((0..made.rows as usize).map(value).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn rows_without_elements_are_kept_if_asked_for() {
    let mut explode = open(json!({"list": "tags", "index": "at", "keep_empty": true}));
    let found: Vec<Value> = rows_of(&mut explode, &orders())
        .iter()
        .map(|row| json!([row["id"], row["tags"], row["at"]]))
        .collect();
    let expected = [
        json!([1, "x", 0]),
        json!([2, null, null]),
        json!([3, null, null]),
        json!([4, "y", 0]),
        json!([4, null, 1]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn elements_that_are_structs_become_columns() {
    let mut explode = open(
        json!({"list": "items", "element": "item", "flatten": {"columns": ["item", "place"], "depth": 1}}),
    );
    let found = rows_of(&mut explode, &orders());
    let row = |id: i64, sku: Value, qty: Value, tags: Value, city: Value, at: Value| json!({"id": id, "item_sku": sku, "item_qty": qty, "tags": tags, "place_city": city, "place_at": at});
    let null = || Value::Null;
    let at = json!({"lat": 50.7});
    assert_eq!(
        found,
        [
            row(1, json!("a"), json!(2), json!(["x"]), json!("Bonn"), at.clone()),
            row(1, json!("b"), null(), json!(["x"]), json!("Bonn"), at),
            row(4, null(), null(), json!(["y", null]), null(), null()),
        ]
    );
}

#[test]
fn only_flattening_keeps_rows_and_reads_structs_alone() {
    let mut explode = open(json!({"flatten": {"separator": "."}}));
    assert_eq!(explode.drop, ["place"]);
    assert_eq!(explode.reads[0].name, "place");
    let found = rows_of(&mut explode, &orders());
    let row = |city: Value, lat: Value| json!({"place.city": city, "place.at.lat": lat});
    let null = || Value::Null;
    assert_eq!(
        found,
        [
            row(json!("Bonn"), json!(50.7)),
            row(json!("Ulm"), null()),
            row(null(), null()),
            row(null(), null())
        ]
    );
}

#[test]
fn refuses_what_makes_no_sense() {
    assert!(matches!(error(json!({})), Error::Config(_)));
    assert!(matches!(error(json!({"index": "at", "flatten": {}})), Error::Config(_)));
    assert!(matches!(error(json!({"list": "tags", "flatten": {"depth": 0}})), Error::Config(_)));
    let schema = |config: Value| match error(config) {
        Error::Schema(what) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(schema(json!({"list": "id"})), "column `id` is int64, not a list");
    assert_eq!(
        schema(json!({"list": "other"})),
        "there is no column `other`; there are id, items, tags, place"
    );
    assert_eq!(schema(json!({"flatten": {"columns": ["id"]}})), "column `id` is int64, not a struct");
    let twice = schema(json!({"list": "tags", "index": "id"}));
    assert!(twice.starts_with("there would be two columns `id`"), "{twice}");
    let element = schema(json!({"list": "tags", "flatten": {"columns": ["items"]}}));
    assert_eq!(element, "there is no struct column `items`; there are place");
}

fn order() -> impl Strategy<Value = Value> {
    let item = prop::option::of(("[a-c]{0,2}", prop::option::of(0i64..9)));
    let items = prop::option::of(prop::collection::vec(item, 0..4));
    let tags = prop::option::of(prop::collection::vec(prop::option::of("[xyß]{0,2}"), 0..4));
    (0i64..9, items, tags, prop::option::of("[A-C]")).prop_map(|(id, items, tags, city)| {
        let item =
            |item: Option<(String, Option<i64>)>| item.map(|(sku, qty)| json!({"sku": sku, "qty": qty}));
        let items = items.map(|items| items.into_iter().map(item).collect::<Vec<_>>());
        let place = city.map(|city| json!({"city": city, "at": {"lat": null}}));
        json!({"id": id, "items": items, "tags": tags, "place": place})
    })
}

proptest! {
    /// Every element of every list is in exactly one row, in order, beside what its row had.
    #[test]
    fn nothing_is_lost_or_doubled(orders in prop::collection::vec(order(), 1..40), keep_empty in any::<bool>()) {
        let mut explode = open(json!({"list": "items", "index": "at", "keep_empty": keep_empty}));
        let found = rows_of(&mut explode, &orders);
        let mut expected = Vec::new();
        for order in &orders {
            let row = |item: &Value, at: Value| {
                json!({"id": order["id"], "items": item, "tags": order["tags"], "place": order["place"], "at": at})
            };
            let items = order["items"].as_array().map_or(&[][..], Vec::as_slice);
            if items.is_empty() && keep_empty {
                expected.push(row(&Value::Null, Value::Null));
            }
            expected.extend(items.iter().enumerate().map(|(at, item)| row(item, json!(at))));
        }
        prop_assert_eq!(found, expected);
    }
}
