//! Typed expressions over the columns of a batch, for plugins whose configuration has them.
//!
//! An [`Expression`] is parsed from text. Compiled against [`Columns`] it is a [`Program`], which computes a whole column
//! at a time. Null in gives null out, unless a function or an operator says otherwise, as in SQL. What cannot be computed
//! (a division by zero, an overflow, a text that is no number) is null too, and a [`Failure`]; but only what is needed
//! can fail: not the branch of a `case` that is not taken, nor the right side of an `and` whose left side is false.

mod arithmetic;
mod call;
mod check;
mod choose;
mod compare;
mod evaluate;
mod failure;
mod function;
mod function_call;
mod node;
mod parse;
mod slots;
mod text;
mod texts;
mod time;
mod token;
mod tree;
mod truth;
mod types;
mod vector;
mod wrong;

use std::fmt::{self, Display, Formatter};

use sluicebox_plugin::{Error, Kind};

use check::Checker;
use evaluate::Evaluation;
use node::Node;
use token::Mistake;
use tree::Tree;
use wrong::Wrong;

pub use check::Columns;
pub use failure::{Failure, Rule, rejections};
pub use types::Type;
pub use vector::Vector;

/// An expression as it is written.
#[derive(Debug, PartialEq)]
pub struct Expression {
    written: String,
    tree: Tree,
}

impl Expression {
    /// Error: [`Error::Config`], which says where and what was expected.
    pub fn parse(written: &str) -> Result<Expression, Error> {
        match parse::parse(written) {
            Ok(tree) => Ok(Expression { written: written.to_owned(), tree }),
            Err(Mistake { at, what }) => Err(Error::Config(told(written, at, &what))),
        }
    }

    /// Errors: [`Error::Config`], [`Error::Schema`] for what does not fit the columns.
    pub fn compile(&self, columns: &mut dyn Columns) -> Result<Program, Error> {
        let mut checker = Checker { columns };
        let (node, result) = checker.check(&self.tree).map_err(|wrong| match wrong {
            Wrong::Expression(at, what) => Error::Config(told(&self.written, at, &what)),
            Wrong::Schema(at, what) => Error::Schema(told(&self.written, at, &what)),
        })?;
        let Some(kind) = result.kind() else {
            let hint = match result {
                Type::Interval => "divide it by a unit, as in `/ 1s`",
                _ => "give it a type, as in `cast(null as utf8)`",
            };
            let what = format!("the whole is {}, which no column holds: {hint}", result.name());
            return Err(Error::Config(told(&self.written, self.tree.at, &what)));
        };
        Ok(Program { node, result, kind })
    }
}

impl Display for Expression {
    /// In a form of its own, with the same meaning.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tree)
    }
}

fn told(written: &str, at: usize, what: &str) -> String {
    let character = written[..at].chars().count() + 1;
    format!("expression `{written}`, at character {character}: {what}")
}

/// An expression whose columns and types are known.
pub struct Program {
    node: Node,
    result: Type,
    kind: Kind,
}

impl Program {
    /// The type in the language.
    pub fn result(&self) -> Type {
        self.result
    }

    /// The kind of the column that it computes.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Computes the expression for all rows of a batch. `inputs`: the columns, at the positions that [`Columns::find`]
    /// gave. Failures are in the order of the computation. Error: [`Error::Data`], if the inputs are not those.
    pub fn evaluate<'a>(
        &'a self,
        inputs: &'a [Vector<'a>],
        rows: usize,
    ) -> Result<(Vector<'a>, Vec<Failure>), Error> {
        let mut evaluation = Evaluation::new(inputs, rows);
        let vector = evaluation.evaluate(&self.node, None)?;
        Ok((vector, evaluation.failures))
    }
}

#[cfg(test)]
mod tests;
