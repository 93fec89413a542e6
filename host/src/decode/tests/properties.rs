//! Properties over generated and mutated payloads.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Map;

use super::*;

const COLUMNS: [(&str, &str); 6] = [
    ("i", "int64"),
    ("f", "float64"),
    ("t", "utf8"),
    ("b", "boolean"),
    ("l", "list<int64>"),
    ("s", "struct<i: int64, t: utf8, l: list<struct<f: float64>>>"),
];

/// A value for a type; sometimes null.
fn value_of(data_type: &DataType) -> BoxedStrategy<Value> {
    let value = match data_type {
        DataType::Int64 => any::<i64>().prop_map(|value| json!(value)).boxed(),
        DataType::Float64 => any::<f64>()
            .prop_filter("JSON has only finite numbers", |value| value.is_finite())
            .prop_map(|value| json!(value))
            .boxed(),
        DataType::Boolean => any::<bool>().prop_map(|value| json!(value)).boxed(),
        DataType::List(element) => vec(value_of(element.data_type()), 0..4).prop_map(Value::from).boxed(),
        DataType::Struct(fields) => {
            let members: Vec<_> = fields
                .iter()
                .map(|field| (Just(field.name().clone()), proptest::option::of(value_of(field.data_type()))))
                .collect();
            let shuffled = members.prop_shuffle();
            shuffled
                .prop_map(|members| {
                    Value::Object(
                        members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
                    )
                })
                .boxed()
        }
        _ => "\\PC{0,12}|[\\x00-\\x7f]{0,8}".prop_map(Value::from).boxed(),
    };
    prop_oneof![9 => value, 1 => Just(Value::Null)].boxed()
}

/// An object that the columns hold.
fn fitting() -> impl Strategy<Value = Value> {
    let columns = schema(&COLUMNS).to_arrow();
    value_of(&DataType::Struct(columns.fields().clone())).prop_map(|value| match value {
        Value::Null => json!({}),
        object => object,
    })
}

/// Any object; some of its fields have the columns' names.
fn any_object() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        "[a-z\"\\\\\n]{0,6}".prop_map(Value::from),
    ];
    let key = "[iftbls]|[a-c_ A]{0,2}";
    let value = scalar.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key, inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    vec((key, value), 0..6).prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// Bytes that once were JSON, mostly.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>(), "[]{}\",:0-9eE.\\\\+ntu-]"), 0..4);
    (prop_oneof![fitting(), any_object()], edits).prop_map(|(value, edits)| {
        let mut bytes = value.to_string().into_bytes();
        for (index, kind, byte, token) in edits {
            let at = index.index(bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.insert(at, token.as_bytes()[0]),
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

fn without_nulls(value: &Value, in_list: bool) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| in_list || !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value, false)))
                .collect(),
        ),
        Value::Array(items) => items.iter().map(|item| without_nulls(item, false)).collect(),
        scalar => scalar.clone(),
    }
}

/// Every record is a row or a dead letter, once.
fn assert_accounted(found: &DecodedRows, records: usize) {
    let mut all: Vec<u32> = found.records.clone();
    assert!(all.is_sorted());
    assert_eq!(all.len(), found.batch.num_rows());
    all.extend(found.dead.iter().map(|letter| letter.record));
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..records as u32));
    assert!(found.dead.iter().all(|letter| !letter.reason.is_empty()));
}

proptest! {
    #[test]
    fn values_come_out_as_serde_json_has_them(values in vec(fitting(), 1..12)) {
        let payloads: Vec<String> = values.iter().map(Value::to_string).collect();
        let expected: Vec<Value> = values.iter().map(|value| without_nulls(value, false)).collect();
        for policy in [Policy::Merge, Policy::Rescue, Policy::Strict] {
            let found = decode(policy, &COLUMNS, &payloads);
            prop_assert_eq!(&found.dead, &[]);
            prop_assert_eq!(&to_json(&found.batch), &expected);
        }
    }

    #[test]
    fn documents_are_accepted_as_serde_json_does(payload in prop_oneof![mutated(), vec(any::<u8>(), 0..40)]) {
        let found = decode(Policy::Rescue, &COLUMNS, &[&payload]);
        assert_accounted(&found, 1);
        let ours = found.dead.first().map(|letter| letter.reason.as_str());
        let ours_only = ["duplicate key", "nested deeper", "the number at"];
        prop_assume!(!ours.is_some_and(|reason| ours_only.iter().any(|start| reason.starts_with(start))));
        let theirs = serde_json::from_slice::<Map<String, Value>>(&payload);
        prop_assert_eq!(ours.is_none(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn nothing_panics_and_every_record_is_accounted_for(
        payloads in vec(prop_oneof![mutated(), vec(any::<u8>(), 0..40)], 0..12),
        max_columns in 6..12usize,
    ) {
        for policy in [Policy::Merge, Policy::Rescue, Policy::Strict] {
            let settings = DecodeSettings { max_columns: max_columns + 2, ..with_policy(policy) };
            let (schema, found) = settle(settings, schema(&COLUMNS), &payloads);
            assert_accounted(&found, payloads.len());
            prop_assert!(schema.leaf_columns() <= max_columns + 2);
        }
        let (_, found) = settle(SETTINGS, RecordSchema::default(), &payloads);
        assert_accounted(&found, payloads.len());
    }

    #[test]
    fn neither_cuts_nor_bad_neighbours_change_rows(payloads in vec(mutated(), 1..24)) {
        for policy in [Policy::Rescue, Policy::Strict] {
            let whole = decode(policy, &COLUMNS, &payloads);
            for size in [1, 7] {
                let mut decoder = Decoder::new(with_policy(policy), schema(&COLUMNS)).unwrap();
                let (mut values, mut dead) = (Vec::new(), Vec::new());
                for (chunk, first) in payloads.chunks(size).zip((0u32..).step_by(size)) {
                    let part = rows(decoder.decode(&raw(chunk)));
                    values.extend(to_json(&part.batch));
                    dead.extend(part.dead.into_iter().map(|letter| {
                        DeadLetter { record: letter.record + first, ..letter }
                    }));
                }
                prop_assert_eq!(&values, &to_json(&whole.batch));
                prop_assert_eq!(&dead, &whole.dead);
            }
            let good: Vec<&Vec<u8>> = whole.records.iter().map(|record| &payloads[*record as usize]).collect();
            prop_assert_eq!(decode(policy, &COLUMNS, &good).batch, whole.batch);
        }
    }

    #[test]
    fn no_value_is_lost(objects in vec(any_object(), 1..8)) {
        let payloads: Vec<String> = objects.iter().map(Value::to_string).collect();
        let rescued = decode(Policy::Rescue, &COLUMNS, &payloads);
        let (_, merged) = settle(SETTINGS, RecordSchema::default(), &payloads);
        for found in [rescued, merged] {
            for (row, record) in to_json(&found.batch).iter().zip(&found.records) {
                let mut leaves = Vec::new();
                scalars(&objects[*record as usize], &mut leaves);
                let mut kept = Vec::new();
                scalars(row, &mut kept);
                leaves.sort();
                kept.sort();
                prop_assert_eq!(leaves, kept);
            }
        }
    }
}

/// All scalars of a value but nulls; numbers by value.
fn scalars(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| scalars(item, out)),
        Value::Object(members) => members.values().for_each(|member| scalars(member, out)),
        Value::Number(number) => out.push(number.as_f64().unwrap_or_default().to_string()),
        scalar => out.push(scalar.to_string()),
    }
}
