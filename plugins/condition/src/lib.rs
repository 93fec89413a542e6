//! Conditions on the rows of a batch, for plugins whose configuration has them.
//!
//! A [`Condition`] is what stands in a configuration. Compiled for a schema it is a [`Test`], which [`evaluate`] applies
//! to whole columns: for each row it is true, false, or neither because of a null.

mod compile;
mod condition;
mod evaluate;

pub use compile::{Test, compile};
pub use condition::Condition;
pub use evaluate::{Truth, evaluate};

#[cfg(test)]
mod tests;
