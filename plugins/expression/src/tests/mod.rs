mod interpreter;
mod random;

use proptest::prelude::*;
use sluicebox_plugin::{Batch, Column, ColumnBuilder, Error, Reads, Scalar, Schema, field};

use crate::{Columns, Expression, Failure, Rule, Type, Vector};
use interpreter::{Row, Value, interpret};
use random::COLUMNS;

/// The columns of [`COLUMNS`], each at its own position.
struct AllColumns;

impl Columns for AllColumns {
    fn find(&mut self, name: &str) -> Result<(usize, Type), Error> {
        let at = COLUMNS.iter().position(|(column, _)| *column == name);
        let at = at.ok_or_else(|| Error::Schema(format!("there is no column `{name}`")))?;
        Ok((at, COLUMNS[at].1))
    }
}

fn scalar(value: &Value) -> Scalar {
    match value {
        Value::Null => Scalar::Null,
        Value::Bool(value) => Scalar::Bool(*value),
        Value::Int(value) => Scalar::Int(*value),
        Value::Float(value) => Scalar::Float(*value),
        Value::Text(text) => Scalar::Text(text.clone()),
    }
}

fn column(of: Type, values: impl Iterator<Item = Scalar>) -> Column {
    let mut builder = ColumnBuilder::new(&of.kind().unwrap()).unwrap();
    values.for_each(|value| builder.push(&value));
    builder.finish()
}

/// The values of an expression for rows, and its failures.
fn evaluate(expression: &Expression, rows: &[Row]) -> (Vec<Scalar>, Vec<Failure>) {
    let program =
        expression.compile(&mut AllColumns).unwrap_or_else(|error| panic!("{expression}: {error:?}"));
    let fields = COLUMNS.map(|(name, of)| field(name, of.kind().unwrap())).to_vec();
    let columns = COLUMNS
        .iter()
        .enumerate()
        .map(|(at, (_, of))| column(*of, rows.iter().map(|row| scalar(&row[at].1))));
    let batch = Batch { rows: rows.len() as u32, columns: columns.collect() };
    let (schema, mut reads) = (Schema::new(fields), Reads::default());
    let places = COLUMNS.map(|(name, _)| reads.add(&schema, name).unwrap());
    let inputs: Vec<Vector> = places.iter().map(|place| Vector::load(place, &batch).unwrap()).collect();
    let (vector, failures) = program.evaluate(&inputs, rows.len()).unwrap();
    let column = vector.into_column(rows.len());
    let value = |row| Scalar::read(&column, program.kind(), row).unwrap();
    ((0..rows.len()).map(value).collect(), failures)
}

fn a_row() -> Row {
    let values = [
        Value::Int(7),
        Value::Int(0),
        Value::Float(2.5),
        Value::Text("Äpfel, Birnen".to_owned()),
        Value::Null,
        Value::Bool(true),
        // 2024-02-29T12:34:56.789Z
        Value::Int(1_709_210_096_789_000),
    ];
    COLUMNS.iter().map(|(name, _)| *name).zip(values).collect()
}

/// The value for [`a_row`], and the rules that failed.
fn value(written: &str) -> (Scalar, Vec<Rule>) {
    let (mut values, failures) = evaluate(&Expression::parse(written).unwrap(), &[a_row()]);
    (values.remove(0), failures.into_iter().map(|failure| failure.rule).collect())
}

fn int(written: &str) -> i64 {
    match value(written) {
        (Scalar::Int(value), failures) if failures.is_empty() => value,
        other => panic!("{written}: {other:?}"),
    }
}

fn text(written: &str) -> String {
    match value(written) {
        (Scalar::Text(text), failures) if failures.is_empty() => text,
        other => panic!("{written}: {other:?}"),
    }
}

fn error(written: &str) -> Error {
    let compiled = Expression::parse(written).and_then(|expression| expression.compile(&mut AllColumns));
    compiled.err().unwrap_or_else(|| panic!("`{written}` must be refused"))
}

fn config_error(written: &str) -> String {
    match error(written) {
        Error::Config(what) => what,
        other => panic!("{written}: {other:?}"),
    }
}

fn schema_error(written: &str) -> String {
    match error(written) {
        Error::Schema(what) => what,
        other => panic!("{written}: {other:?}"),
    }
}

#[test]
fn operators_bind_as_in_sql() {
    assert_eq!(int("n - 2 - 1 + 2 * 3 % 4"), 6);
    assert_eq!(int("-n + -(2 - 3)"), -6);
    assert_eq!(value("not n = 7 or b and m = 0").0, Scalar::Bool(true));
    assert_eq!(value("not (n = 7 or b) and m = 0").0, Scalar::Bool(false));
    assert_eq!(text("'n is ' || cast(n + 1 as utf8)"), "n is 8");
    assert_eq!(value("n / 2").0, Scalar::Float(3.5));
}

#[test]
fn texts_are_counted_in_characters() {
    assert_eq!(int("length(s)"), 13);
    assert_eq!(text("substring(s, 1, 5)"), "Äpfel");
    assert_eq!(text("substring(s, 0, 2) || substring(s, 12)"), "Äen");
    assert_eq!(text("trim(split_part(s, ',', 2)) || split_part(s, ',', 3)"), "Birnen");
    assert_eq!(text("replace(upper(s), 'ÄPFEL', 'it''s')"), "it's, BIRNEN");
    assert_eq!(text("concat(lower(s), '!', `s`)"), "äpfel, birnen!Äpfel, Birnen");
    assert_eq!(
        value("starts_with(s, 'Äpf') and ends_with(s, 'nen') and contains(s, ', ')").0,
        Scalar::Bool(true)
    );
}

#[test]
fn times_are_cut_taken_apart_and_moved() {
    assert_eq!(int("year(t) * 10000 + month(t) * 100 + day(t)"), 20_240_229);
    assert_eq!(int("hour(t) * 10000 + minute(t) * 100 + second(t)"), 123_456);
    assert_eq!(int("cast(truncate(t, 'hour') as int64)"), 1_709_208_000_000_000);
    assert_eq!(int("cast(t + 15m - 500ms as int64) - cast(t as int64)"), 899_500_000);
    assert_eq!(value("(t - truncate(t, 'minute')) / 1s").0, Scalar::Float(56.789));
    assert_eq!(value("t > cast('2024-02-29T00:00:00Z' as timestamp)").0, Scalar::Bool(true));
    assert_eq!(int("day(parse_timestamp('03.04.2025', '%d.%m.%Y'))"), 3);
    assert_eq!(value("round(x) + round(1.25, 1) + floor(-0.5) + ceil(0.5)").0, Scalar::Float(3.0 + 1.3));
    for (rounded, expected) in [
        ("round(0.02834747652200631, 20)", 0.028_347_476_522_006_31),
        ("round(0.1, 400)", 0.1),
        ("round(1.0e308, -400)", 0.0),
        ("round(1.5e300, -290)", 1.5e300),
        ("round(9.223372036854775807e18, -18)", 9e18),
        ("round(1250.0, -2)", 1300.0),
        ("round(0.0, 9223372036854775807)", 0.0),
    ] {
        assert_eq!(value(rounded).0, Scalar::Float(expected), "{rounded}");
    }
}

#[test]
fn null_is_handled_as_in_sql() {
    assert_eq!(value("p || 'a'").0, Scalar::Null);
    assert_eq!(value("p is null and s is not null").0, Scalar::Bool(true));
    assert_eq!(value("b or p = 'a'").0, Scalar::Bool(true));
    assert_eq!(value("n in (1, 7, null)").0, Scalar::Bool(true));
    assert_eq!(value("n in (1, null)").0, Scalar::Null);
    assert_eq!(value("n not in (1, 2.5)").0, Scalar::Bool(true));
    assert_eq!(value("coalesce(null, p, 'none')").0, Scalar::Text("none".to_owned()));
    assert_eq!(value("nullif(n, 7)").0, Scalar::Null);
    assert_eq!(value("case when p = 'a' then 1 when n = 7 then 2.5 end").0, Scalar::Float(2.5));
    assert_eq!(value("if(p = 'a', 1, null)").0, Scalar::Null);
}

#[test]
fn only_what_is_needed_can_fail() {
    assert_eq!(value("n / m"), (Scalar::Null, vec![Rule::DivisionByZero]));
    assert_eq!(value("n % m"), (Scalar::Null, vec![Rule::DivisionByZero]));
    assert_eq!(value("n + 9223372036854775807"), (Scalar::Null, vec![Rule::Overflow]));
    assert_eq!(value("cast(s as int64)"), (Scalar::Null, vec![Rule::Cast]));
    assert_eq!(value("parse_timestamp(s, 'rfc3339')"), (Scalar::Null, vec![Rule::ParseTimestamp]));
    assert_eq!(value("coalesce(n / m, -1.0)"), (Scalar::Float(-1.0), vec![Rule::DivisionByZero]));
    for guarded in [
        "if(m = 0, null, n / m)",
        "case when m <> 0 then n / m end",
        "m <> 0 and n / m > 1",
        "m = 0 or n / m > 1",
        "coalesce(n, n % m)",
        "nullif(1, 2) + cast(p as int64)",
    ] {
        assert_eq!(value(guarded).1, [], "{guarded}");
    }
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let cases = [
        ("n + * 2", "at character 5: expected a value, a column or a function, found `*`"),
        ("(n + 1", "at character 7: expected `)`, found the end"),
        ("n 1", "at character 3: expected an operator or the end, found `1`"),
        ("n < 1 < 2", "at character 7: expected `and` or `or`: comparisons do not chain, found `<`"),
        ("'Äa", "at character 1: a text lacks the `'` at its end"),
        ("'Ä' || 'a", "at character 8: a text lacks the `'` at its end"),
        ("case n end", "at character 6: expected `when`, found `n`"),
        ("case when b then 1", "at character 19: expected `when`, `else` or `end`, found the end"),
        ("cast(n, int64)", "at character 7: expected `as`, found `,`"),
        ("cast(n as int)", "expected int64, float64, utf8, boolean or timestamp, found `int`"),
        ("lower(s", "at character 8: expected `,` or `)`, found the end"),
        ("n # 1", "at character 3: `#` means nothing here"),
        ("t + 5x", "at character 5: `5x` is no number, nor an interval such as 15m"),
        ("9223372036854775808", "at character 1: `9223372036854775808` does not fit 64 bits"),
        ("", "at character 1: expected a value, a column or a function, found the end"),
        ("shout(s)", "at character 1: there is no function `shout`; there are lower, upper,"),
        ("lower(s, s)", "`lower` takes 1 arguments, found 2"),
        (
            "truncate(t, 'week')",
            "at character 13: expected 'second', 'minute', 'hour', 'day', 'month' or 'year', found `'week'`",
        ),
        ("truncate(t, s)", "at character 13: expected 'second'"),
        ("parse_timestamp(s, '%H')", "at character 20: expected a format such as"),
        ("1 + 'a'", "at character 3: `+` does not work on `1`, which is int64 and `'a'`, which is utf8"),
        ("null", "the whole is null, which no column holds: give it a type"),
        ("t - t", "the whole is an interval, which no column holds: divide it by a unit, as in `/ 1s`"),
    ];
    for (written, expected) in cases {
        let what = config_error(written);
        assert!(what.starts_with(&format!("expression `{written}`, at character ")), "{what}");
        assert!(what.contains(expected), "{what}, not: {expected}");
    }
}

#[test]
fn what_does_not_fit_the_columns_names_column_and_type() {
    let cases = [
        ("missing + 1", "at character 1: there is no column `missing`"),
        (
            "n + s",
            "at character 3: `+` does not work on column `n`, which is int64 and column `s`, which is utf8",
        ),
        ("upper(n)", "at character 7: expected utf8, found column `n`, which is int64"),
        ("n || 'a'", "at character 1: expected utf8, found column `n`, which is int64"),
        ("s and b", "at character 1: expected boolean, found column `s`, which is utf8"),
        ("n = s", "at character 5: expected int64, found column `s`, which is utf8"),
        ("t > '2024-02-29'", "expected timestamp, written as in `cast('2026-01-01T00:00:00Z' as timestamp)`"),
        ("if(b, n, s)", "at character 10: expected int64, found column `s`, which is utf8"),
        ("b < b", "at character 1: expected a type with an order, found column `b`, which is boolean"),
        ("-s", "at character 2: expected a number or an interval, found column `s`, which is utf8"),
        ("cast(t as boolean)", "at character 6: expected what can be cast to boolean, found column `t`"),
    ];
    for (written, expected) in cases {
        let what = match error(written) {
            // The literal is to blame, not the column.
            Error::Config(what) if written.starts_with("t >") => what,
            _ => schema_error(written),
        };
        assert!(what.contains(expected), "{what}, not: {expected}");
    }
}

#[test]
fn what_nests_too_deep_is_refused() {
    for deep in ["(".repeat(10_000), "-".repeat(10_000), "not ".repeat(10_000), "n + ".repeat(10_000) + "n"] {
        assert!(config_error(&deep).contains("nests deeper than 64"));
    }
    assert!(config_error(&"case when ".repeat(10_000)).contains("nests deeper"));
    assert_eq!(int(&("n + ".repeat(60) + "n")), 61 * 7);
}

fn any_tree() -> impl Strategy<Value = (Type, crate::tree::Tree)> {
    let types = [Type::Int, Type::Float, Type::Text, Type::Boolean, Type::Timestamp];
    prop_oneof![
        random::of_type(types[0], 4).prop_map(move |tree| (types[0], tree)),
        random::of_type(types[1], 4).prop_map(move |tree| (types[1], tree)),
        random::of_type(types[2], 4).prop_map(move |tree| (types[2], tree)),
        random::of_type(types[3], 4).prop_map(move |tree| (types[3], tree)),
        random::of_type(types[4], 4).prop_map(move |tree| (types[4], tree)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whole columns give for each row what the rows give one by one, and fail where they fail.
    #[test]
    fn columns_agree_with_single_rows((of, tree) in any_tree(), rows in random::rows()) {
        let expression = Expression::parse(&tree.to_string()).unwrap();
        prop_assert_eq!(&expression.tree, &tree, "printed and read");
        prop_assert_eq!(expression.compile(&mut AllColumns).unwrap().result(), of);
        let (values, failures) = evaluate(&expression, &rows);
        let mut found: Vec<(usize, &str)> = failures.iter().map(|failure| (failure.row, failure.rule.name())).collect();
        let mut expected = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let mut failed = Vec::new();
            let value = scalar(&interpret(&tree, row, &mut failed));
            let same = match (&values[at], &value) {
                (Scalar::Float(a), Scalar::Float(b)) => a == b || a.is_nan() && b.is_nan(),
                (a, b) => a == b,
            };
            prop_assert!(same, "{}: {:?} is {:?}, not {:?}", tree, row, values[at], value);
            expected.extend(failed.iter().map(|rule| (at, rule.name())));
        }
        found.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(found, expected, "{}", tree);
    }

    /// Whatever stands there is an expression or a mistake, and printing what was read changes nothing.
    #[test]
    fn any_text_is_read_or_refused(written in "[nsbt 0-9.()'`|<>=+*/%,a-z-]{0,40}") {
        if let Ok(expression) = Expression::parse(&written) {
            prop_assert_eq!(Expression::parse(&expression.to_string()).unwrap().tree, expression.tree);
        }
    }
}
