use proptest::prelude::*;
use sluicebox_plugin::{Batch, Column, ColumnBuilder, Kind, Literal, Reads, Scalar, Schema, field};

use crate::{Condition, compile, evaluate};

type Row = (Option<i64>, Option<String>);

fn column(kind: &Kind, values: impl Iterator<Item = Scalar>) -> Column {
    let mut builder = ColumnBuilder::new(kind).unwrap();
    values.for_each(|value| builder.push(&value));
    builder.finish()
}

/// Whether the condition is true for a row, by the definition; `None`: neither true nor false.
fn by_definition(condition: &Condition, (n, name): &Row) -> Option<bool> {
    let and = |a: Option<bool>, b: Option<bool>| match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    };
    let not = |a: Option<bool>| a.map(|a| !a);
    if let Some(all) = &condition.and {
        return all.iter().map(|each| by_definition(each, &(*n, name.clone()))).fold(Some(true), and);
    }
    if let Some(any) = &condition.or {
        let each = any.iter().map(|each| not(by_definition(each, &(*n, name.clone()))));
        return not(each.fold(Some(true), and));
    }
    if let Some(inner) = &condition.not {
        return not(by_definition(inner, &(*n, name.clone())));
    }
    let mut tests = Vec::new();
    if condition.column.as_deref() == Some("n") {
        let number = |literal: &Option<Literal>| literal.as_ref().and_then(Literal::as_i64);
        tests.extend(number(&condition.ge).map(|least| n.map(|n| n >= least)));
        tests.extend(number(&condition.lt).map(|most| n.map(|n| n < most)));
        tests.extend(condition.is_null.map(|is_null| Some(n.is_none() == is_null)));
    } else {
        let length = name.as_ref().map(|name| name.chars().count() as u32);
        tests.extend(condition.min_length.map(|least| length.map(|length| length >= least)));
        tests.extend(condition.max_length.map(|most| length.map(|length| length <= most)));
        tests.extend(condition.is_null.map(|is_null| Some(name.is_none() == is_null)));
        let prefix = condition.prefix.as_ref();
        tests.extend(prefix.map(|prefix| name.as_ref().map(|name| name.starts_with(prefix))));
    }
    tests.into_iter().fold(Some(true), and)
}

fn number_test() -> impl Strategy<Value = Condition> {
    let bound = || (-3i64..3).prop_map(|value| Some(Literal::Int(value)));
    (bound(), bound(), any::<bool>()).prop_map(|(ge, lt, with_null)| Condition {
        column: Some("n".into()),
        ge,
        lt,
        is_null: with_null.then_some(false),
        ..Condition::default()
    })
}

fn text_test() -> impl Strategy<Value = Condition> {
    let tests = (prop::option::of(0u32..4), prop::option::of(0u32..6), prop::option::of("[aß]{0,2}"));
    tests.prop_map(|(min_length, max_length, prefix)| Condition {
        column: Some("name".into()),
        is_null: (min_length.is_none() && max_length.is_none() && prefix.is_none()).then_some(true),
        min_length,
        max_length,
        prefix,
        ..Condition::default()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![number_test(), text_test()].prop_recursive(3, 12, 3, |inner| {
        let list = || prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            list().prop_map(|and| Condition { and: Some(and), ..Condition::default() }),
            list().prop_map(|or| Condition { or: Some(or), ..Condition::default() }),
            inner.prop_map(|not| Condition { not: Some(Box::new(not)), ..Condition::default() }),
        ]
    })
}

proptest! {
    /// Whole columns give for each row what the definition gives for it alone.
    #[test]
    fn columns_agree_with_single_rows(
        condition in condition(),
        rows in prop::collection::vec((prop::option::of(-4i64..4), prop::option::of("[aß1]{0,6}")), 1..40),
    ) {
        let fields = vec![field("n", Kind::Int64), field("name", Kind::Utf8)];
        let mut reads = Reads::default();
        let test = compile(&condition, &Schema::new(fields), &mut reads).unwrap();
        let numbers = column(&Kind::Int64, rows.iter().map(|(n, _)| n.map_or(Scalar::Null, Scalar::Int)));
        let names = column(&Kind::Utf8, rows.iter().map(|(_, name)| {
            name.clone().map_or(Scalar::Null, Scalar::Text)
        }));
        let named = |name: &String| if name == "n" { numbers.clone() } else { names.clone() };
        let batch = Batch { rows: rows.len() as u32, columns: reads.names().iter().map(named).collect() };
        let truth = evaluate(&test, &batch).unwrap();
        for (at, row) in rows.iter().enumerate() {
            let found = match (truth.is_true.get(at), truth.is_false.get(at)) {
                (true, true) => panic!("row {at} is both"),
                (true, false) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            };
            prop_assert_eq!(found, by_definition(&condition, row), "{:?} for {:?}", &condition, row);
        }
    }
}
