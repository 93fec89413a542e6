use proptest::prelude::*;
use sluicebox_plugin::serde_json::{Value, json};
use sluicebox_plugin::test_kit::open_transform;
use sluicebox_plugin::{Error, Field, Kind, field};

use crate::Validate;

fn schema() -> Vec<Field> {
    vec![field("id", Kind::Int64), field("name", Kind::Utf8)]
}

fn rule(name: &str, check: Value, on_failure: &str) -> Value {
    json!({"name": name, "check": check, "on_failure": on_failure})
}

fn error(config: Value) -> Error {
    open_transform::<Validate>(config, &schema()).err().expect("it must not open")
}

/// A rule of each consequence: ids below 10 warn, below 0 drop, below -10 are rejected, below -100 stop.
fn all_consequences() -> Value {
    json!({"column": "_failed_rules", "rules": [
        rule("least", json!({"column": "id", "ge": 10}), "warn"),
        rule("positive", json!({"column": "id", "ge": 0}), "drop"),
        {"name": "named", "check": {"column": "name", "is_null": false}, "reason": "who is it"},
        rule("sane", json!({"column": "id", "ge": -10}), "quarantine"),
        rule("possible", json!({"column": "id", "ge": -100}), "fail"),
    ]})
}

#[test]
fn the_hardest_consequence_decides_and_all_failed_rules_are_named() {
    let mut validate = open_transform::<Validate>(all_consequences(), &schema()).unwrap();
    let row = |id: i64, name: Option<&str>| json!({"id": id, "name": name});
    let rows = [row(10, Some("a")), row(9, Some("b")), row(-1, Some("c")), row(20, None), row(-11, None)];
    let fates = validate.apply(&rows).unwrap();
    let names = |row: usize, names: Value| (row, json!({ "_failed_rules": names }));
    assert_eq!(fates.kept, [names(0, Value::Null), names(1, json!("least"))]);
    assert_eq!(fates.dropped, [2]);
    assert_eq!(
        fates.rejected,
        [
            (3, "named".to_owned(), "it failed named: who is it".to_owned()),
            (4, "named".to_owned(), "it failed least; positive; named: who is it; sane".to_owned()),
        ]
    );
    let error = validate.apply(&[row(10, Some("a")), row(-101, Some("b"))]).unwrap_err();
    assert!(matches!(error, Error::Data(why) if why == "it failed least; positive; sane; possible"));
}

#[test]
fn a_null_fails_only_a_rule_about_nulls() {
    let mut validate = open_transform::<Validate>(all_consequences(), &schema()).unwrap();
    let fates = validate.apply(&[json!({"id": null, "name": "a"})]).unwrap();
    assert_eq!(fates.kept_rows(), [0]);
    let strict = json!({"and": [{"column": "id", "is_null": false}, {"column": "id", "ge": 0}]});
    let config = json!({"rules": [rule("id", strict, "drop")]});
    let fates = open_transform::<Validate>(config, &schema()).unwrap().apply(&[json!({})]).unwrap();
    assert_eq!(fates.dropped, [0]);
}

#[test]
fn without_a_column_only_what_the_rules_test_is_read_and_nothing_is_set() {
    let config = json!({"rules": [rule("id", json!({"column": "id", "ge": 0}), "warn")]});
    let validate = open_transform::<Validate>(config, &schema()).unwrap();
    assert_eq!((validate.reads.len(), validate.output.len()), (1, 0));
}

#[test]
fn refuses_what_makes_no_sense() {
    let check = || json!({"column": "id", "ge": 0});
    let of = |rules: Value| error(json!({ "rules": rules }));
    assert!(matches!(of(json!([])), Error::Config(_)));
    assert!(matches!(of(json!([rule("Upper", check(), "warn")])), Error::Config(_)));
    assert!(matches!(of(json!([rule("", check(), "warn")])), Error::Config(_)));
    assert!(matches!(of(json!([rule("a", check(), "explode")])), Error::Config(_)));
    assert!(matches!(of(json!([rule("a", check(), "warn"), rule("a", check(), "drop")])), Error::Config(_)));
    let many: Vec<Value> = (0..65).map(|n| rule(&format!("r{n}"), check(), "warn")).collect();
    assert!(matches!(of(json!(many)), Error::Config(_)));
    let Error::Schema(why) = of(json!([rule("a", json!({"column": "missing", "eq": 1}), "warn")])) else {
        panic!("the schema lacks the column");
    };
    assert!(why.starts_with("rule `a`: there is no column `missing`"), "{why}");
    let taken = json!({"rules": [rule("a", check(), "warn")], "column": "name"});
    assert!(matches!(error(taken), Error::Schema(_)));
}

proptest! {
    /// However rows and consequences mix, each row has the fate of the hardest rule that it fails.
    #[test]
    fn every_row_has_one_fate(
        ids in prop::collection::vec(prop::option::of(0i64..8), 1..150),
        consequences in prop::collection::vec((0i64..8, 0usize..3), 1..6),
    ) {
        let kinds = ["warn", "drop", "quarantine"];
        let rules: Vec<Value> = consequences.iter().enumerate().map(|(at, (least, kind))| {
            rule(&format!("r{at}"), json!({"column": "id", "ge": least}), kinds[*kind])
        }).collect();
        let config = json!({"rules": rules, "column": "failed"});
        let rows: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let fates = open_transform::<Validate>(config, &schema()).unwrap().apply(&rows).unwrap();
        for (row, id) in ids.iter().enumerate() {
            let failed: Vec<usize> = (0..consequences.len())
                .filter(|at| id.is_some_and(|id| id < consequences[*at].0))
                .collect();
            let hardest = failed.iter().map(|at| consequences[*at].1).max();
            let kept = fates.kept.iter().find(|(kept, _)| *kept == row);
            prop_assert_eq!(kept.is_some(), matches!(hardest, None | Some(0)));
            prop_assert_eq!(fates.dropped.contains(&row), hardest == Some(1));
            let rejected = fates.rejected.iter().find(|(rejected, ..)| *rejected == row);
            prop_assert_eq!(rejected.is_some(), hardest == Some(2));
            let names: Vec<String> = failed.iter().map(|at| format!("r{at}")).collect();
            if let Some((_, set)) = kept {
                let expected = if names.is_empty() { Value::Null } else { json!(names.join(", ")) };
                prop_assert_eq!(&set["failed"], &expected);
            }
            if let Some((_, _, reason)) = rejected {
                prop_assert_eq!(reason, &format!("it failed {}", names.join("; ")));
            }
        }
    }
}
