//! What is wrong with an expression whose grammar is right.

use crate::tree::{Form, Tree};
use crate::types::Type;

/// What is wrong with a part of an expression.
pub enum Wrong {
    /// With the expression itself.
    Expression(usize, String),
    /// With the columns that it names.
    Schema(usize, String),
}

/// A part and its type, for people.
pub fn told(tree: &Tree, of: Type) -> String {
    match &tree.form {
        Form::Column(name) => format!("column `{name}`, which is {}", of.name()),
        _ => format!("`{tree}`, which is {}", of.name()),
    }
}

pub fn mismatch(tree: &Tree, found: Type, wanted: &str) -> Wrong {
    let what = format!("expected {wanted}, found {}", told(tree, found));
    if names_column(tree) { Wrong::Schema(tree.at, what) } else { Wrong::Expression(tree.at, what) }
}

pub fn wrong_at(tree: &Tree, left: &Tree, right: &Tree, what: String) -> Wrong {
    match names_column(left) || names_column(right) {
        true => Wrong::Schema(tree.at, what),
        false => Wrong::Expression(tree.at, what),
    }
}

/// Whether the type of a part depends on a column.
fn names_column(tree: &Tree) -> bool {
    match &tree.form {
        Form::Column(_) => true,
        Form::Literal(_) => false,
        Form::Negate(inner) | Form::Not(inner) | Form::IsNull(inner, _) | Form::Cast(inner, _) => {
            names_column(inner)
        }
        Form::Binary(_, left, right) => names_column(left) || names_column(right),
        Form::In(tested, values, _) => names_column(tested) || values.iter().any(names_column),
        Form::Call(_, arguments) => arguments.iter().any(names_column),
        Form::Case(branches, otherwise) => {
            let in_branch =
                |(condition, value): &(Tree, Tree)| names_column(condition) || names_column(value);
            branches.iter().any(in_branch) || otherwise.as_deref().is_some_and(names_column)
        }
    }
}

pub fn count(tree: &Tree, name: &str, wanted: &str, found: usize) -> Wrong {
    Wrong::Expression(tree.at, format!("`{name}` takes {wanted} arguments, found {found}"))
}
