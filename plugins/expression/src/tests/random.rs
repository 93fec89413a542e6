//! Random trees whose types fit, over the columns of [`COLUMNS`].

use proptest::prelude::*;
use proptest::sample::select;

use super::interpreter::{Row, Value};
use crate::tree::{Form, Literal, Operator, Sense, Tree};
use crate::types::Type;

pub const COLUMNS: [(&str, Type); 7] = [
    ("n", Type::Int),
    ("m", Type::Int),
    ("x", Type::Float),
    ("s", Type::Text),
    ("p", Type::Text),
    ("b", Type::Boolean),
    ("t", Type::Timestamp),
];

pub fn rows() -> impl Strategy<Value = Vec<Row>> {
    let int = || prop_oneof![4 => -3i64..4, 1 => select(vec![i64::MIN, i64::MAX, i64::MAX / 2])];
    let float = prop_oneof![select(vec![0.0, -0.5, 2.5, 1e300]), -4.0f64..4.0];
    let text = || "[aAbß1 ,]{0,5}";
    fn or_null<T: std::fmt::Debug>(
        values: impl Strategy<Value = T>,
        to: fn(T) -> Value,
    ) -> impl Strategy<Value = Value> {
        prop::option::weighted(0.8, values).prop_map(move |value| value.map_or(Value::Null, to))
    }
    let row = (
        or_null(int(), Value::Int),
        or_null(int(), Value::Int),
        or_null(float, Value::Float),
        or_null(text(), Value::Text),
        or_null(text(), Value::Text),
        or_null(any::<bool>(), Value::Bool),
        or_null(-100_000_000_000_000i64..4_000_000_000_000_000, Value::Int),
    );
    let row = row.prop_map(|(n, m, x, s, p, b, t)| {
        COLUMNS.iter().map(|(name, _)| *name).zip([n, m, x, s, p, b, t]).collect::<Row>()
    });
    prop::collection::vec(row, 1..30)
}

fn tree(form: Form) -> Tree {
    Tree::new(0, form)
}

fn call(name: &str, arguments: Vec<Tree>) -> Tree {
    tree(Form::Call(name.to_owned(), arguments))
}

fn column(of: Type) -> BoxedStrategy<Tree> {
    let names: Vec<&str> =
        COLUMNS.iter().filter(|(_, column)| *column == of).map(|(name, _)| *name).collect();
    select(names).prop_map(|name| tree(Form::Column(name.to_owned()))).boxed()
}

fn literal(of: Type) -> BoxedStrategy<Tree> {
    let literal = match of {
        Type::Int => prop_oneof![0i64..5, Just(i64::MAX)].prop_map(Literal::Int).boxed(),
        Type::Float => select(vec![0.0, 0.5, 2.0, 1e-7, 1e300]).prop_map(Literal::Float).boxed(),
        Type::Text => "[aAß1',]{0,3}".prop_map(Literal::Text).boxed(),
        Type::Boolean => any::<bool>().prop_map(Literal::Bool).boxed(),
        _ => (1i64..100_000_000).prop_map(Literal::Interval).boxed(),
    };
    literal.prop_map(|literal| tree(Form::Literal(literal))).boxed()
}

/// A tree of a type, `depth` deep at most.
pub fn of_type(of: Type, depth: u32) -> BoxedStrategy<Tree> {
    let leaf = match of {
        Type::Timestamp => column(of),
        Type::Interval => literal(of),
        _ => prop_oneof![3 => column(of), 1 => literal(of)].boxed(),
    };
    if depth == 0 {
        return leaf;
    }
    let deeper = move |of: Type| of_type(of, depth - 1);
    let null = || Just(tree(Form::Literal(Literal::Null)));
    let own = match of {
        Type::Int => int(deeper).boxed(),
        Type::Float => float(deeper).boxed(),
        Type::Text => text(deeper).boxed(),
        Type::Boolean => boolean(deeper).boxed(),
        Type::Timestamp => timestamp(deeper).boxed(),
        _ => return leaf,
    };
    let branch = (deeper(Type::Boolean), deeper(of));
    let case = (prop::collection::vec(branch, 1..3), prop::option::of(deeper(of)));
    prop_oneof![
        2 => leaf,
        6 => own,
        1 => case.prop_map(|(branches, otherwise)| tree(Form::Case(branches, otherwise.map(Box::new)))),
        1 => (deeper(Type::Boolean), deeper(of), deeper(of)).prop_map(|(c, a, b)| call("if", vec![c, a, b])),
        1 => (deeper(of), prop_oneof![deeper(of), null()]).prop_map(|(a, b)| call("coalesce", vec![a, b])),
        1 => (deeper(of), deeper(of)).prop_map(|(a, b)| call("nullif", vec![a, b])),
    ]
    .boxed()
}

fn binary(
    operators: &[Operator],
    left: BoxedStrategy<Tree>,
    right: BoxedStrategy<Tree>,
) -> BoxedStrategy<Tree> {
    (select(operators.to_vec()), left, right)
        .prop_map(|(operator, a, b)| tree(Form::Binary(operator, Box::new(a), Box::new(b))))
        .boxed()
}

use Operator::{Add, And, Concat, Divide, Eq, Ge, Gt, Le, Lt, Multiply, Ne, Or, Remainder, Subtract};

fn int(of: impl Fn(Type) -> BoxedStrategy<Tree>) -> impl Strategy<Value = Tree> {
    let part = select(vec!["year", "month", "day", "hour", "minute", "second"]);
    let cast = |tree_of: Tree| tree(Form::Cast(Box::new(tree_of), "int64".to_owned()));
    prop_oneof![
        4 => binary(&[Add, Subtract, Multiply, Remainder], of(Type::Int), of(Type::Int)),
        1 => of(Type::Int).prop_map(|inner| tree(Form::Negate(Box::new(inner)))),
        1 => of(Type::Int).prop_map(|inner| call("abs", vec![inner])),
        1 => of(Type::Text).prop_map(|text| call("length", vec![text])),
        1 => prop_oneof![of(Type::Text), of(Type::Boolean)].prop_map(cast),
        1 => (part, of(Type::Timestamp)).prop_map(|(part, time)| call(part, vec![time])),
    ]
}

fn float(of: impl Fn(Type) -> BoxedStrategy<Tree>) -> impl Strategy<Value = Tree> {
    let function = select(vec!["floor", "ceil", "round", "abs"]);
    prop_oneof![
        3 => binary(&[Add, Subtract, Multiply, Divide, Remainder], of(Type::Float), of(Type::Float)),
        2 => binary(&[Add, Multiply, Divide], of(Type::Float), of(Type::Int)),
        1 => binary(&[Divide], of(Type::Int), of(Type::Int)),
        1 => binary(&[Divide], of(Type::Interval), of(Type::Interval)),
        1 => (function, of(Type::Float)).prop_map(|(name, value)| call(name, vec![value])),
    ]
}

fn text(of: impl Fn(Type) -> BoxedStrategy<Tree>) -> impl Strategy<Value = Tree> {
    let one = select(vec!["lower", "upper", "trim", "concat"]);
    let (text, int) = (|| of(Type::Text), || of(Type::Int));
    prop_oneof![
        2 => binary(&[Concat], text(), text()),
        2 => (one, text()).prop_map(|(name, text)| call(name, vec![text])),
        1 => (text(), int()).prop_map(|(text, from)| call("substring", vec![text, from])),
        1 => (text(), int(), int()).prop_map(|(text, from, length)| call("substring", vec![text, from, length])),
        1 => (text(), text(), text()).prop_map(|(a, b, c)| call("replace", vec![a, b, c])),
        1 => (text(), text(), int()).prop_map(|(a, b, n)| call("split_part", vec![a, b, n])),
        1 => int().prop_map(|inner| tree(Form::Cast(Box::new(inner), "utf8".to_owned()))),
    ]
}

fn boolean(of: impl Fn(Type) -> BoxedStrategy<Tree>) -> impl Strategy<Value = Tree> {
    let comparisons = [Eq, Ne, Lt, Le, Gt, Ge];
    let test = select(vec!["starts_with", "ends_with", "contains"]);
    let sense = || prop_oneof![Just(Sense::Plain), Just(Sense::Not)];
    let any = prop_oneof![of(Type::Int), of(Type::Text), of(Type::Boolean), of(Type::Timestamp)];
    let values = prop::collection::vec(of(Type::Int), 1..4);
    prop_oneof![
        1 => binary(&comparisons, of(Type::Int), of(Type::Int)),
        1 => binary(&comparisons, of(Type::Float), of(Type::Int)),
        1 => binary(&comparisons, of(Type::Text), of(Type::Text)),
        1 => binary(&comparisons, of(Type::Timestamp), of(Type::Timestamp)),
        1 => binary(&[Eq, Ne], of(Type::Boolean), of(Type::Boolean)),
        3 => binary(&[And, Or], of(Type::Boolean), of(Type::Boolean)),
        1 => of(Type::Boolean).prop_map(|inner| tree(Form::Not(Box::new(inner)))),
        1 => (any, sense()).prop_map(|(inner, sense)| tree(Form::IsNull(Box::new(inner), sense))),
        1 => (of(Type::Int), values, sense()).prop_map(|(tested, values, sense)| {
            tree(Form::In(Box::new(tested), values, sense))
        }),
        1 => (test, of(Type::Text), of(Type::Text)).prop_map(|(name, a, b)| call(name, vec![a, b])),
    ]
}

fn timestamp(of: impl Fn(Type) -> BoxedStrategy<Tree>) -> impl Strategy<Value = Tree> {
    let units = select(vec!["second", "minute", "hour", "day", "month", "year"]);
    let unit = units.prop_map(|unit| tree(Form::Literal(Literal::Text(unit.to_owned()))));
    prop_oneof![
        2 => binary(&[Add, Subtract], of(Type::Timestamp), of(Type::Interval)),
        1 => (of(Type::Timestamp), unit).prop_map(|(time, unit)| call("truncate", vec![time, unit])),
    ]
}
