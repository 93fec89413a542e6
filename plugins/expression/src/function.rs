//! The functions that take values of fixed types.

use crate::node::Function;
use crate::types::Type;

pub struct Signature {
    pub name: &'static str,
    pub function: Function,
    pub parameters: &'static [Type],
    /// How many of the parameters may be missing at the end.
    pub optional: usize,
    /// Whether the last parameter may be repeated.
    pub repeats: bool,
    pub result: Type,
}

const fn of(name: &'static str, function: Function, parameters: &'static [Type], result: Type) -> Signature {
    Signature { name, function, parameters, optional: 0, repeats: false, result }
}

use Type::{Boolean, Float, Int, Text};

pub const SIGNATURES: [Signature; 14] = [
    of("lower", Function::Lower, &[Text], Text),
    of("upper", Function::Upper, &[Text], Text),
    of("trim", Function::Trim, &[Text], Text),
    of("length", Function::Length, &[Text], Int),
    Signature { repeats: true, ..of("concat", Function::Concat, &[Text], Text) },
    Signature { optional: 1, ..of("substring", Function::Substring, &[Text, Int, Int], Text) },
    of("replace", Function::Replace, &[Text, Text, Text], Text),
    of("split_part", Function::SplitPart, &[Text, Text, Int], Text),
    of("starts_with", Function::StartsWith, &[Text, Text], Boolean),
    of("ends_with", Function::EndsWith, &[Text, Text], Boolean),
    of("contains", Function::Contains, &[Text, Text], Boolean),
    of("floor", Function::Floor, &[Float], Float),
    of("ceil", Function::Ceil, &[Float], Float),
    Signature { optional: 1, ..of("round", Function::Round, &[Float, Int], Float) },
];

/// Functions with rules of their own.
pub const SPECIAL: [&str; 13] = [
    "abs",
    "coalesce",
    "if",
    "nullif",
    "parse_timestamp",
    "truncate",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "cast",
];

impl Signature {
    /// The type of the argument at a position; `None` if there are too many.
    pub fn parameter(&self, at: usize) -> Option<Type> {
        let last = self.parameters.last().filter(|_| self.repeats);
        self.parameters.get(at).or(last).copied()
    }

    /// How many arguments it takes, for people.
    pub fn arguments(&self) -> String {
        let most = self.parameters.len();
        match (self.repeats, self.optional) {
            (true, _) => format!("at least {most}"),
            (false, 0) => most.to_string(),
            (false, optional) => format!("{} or {most}", most - optional),
        }
    }

    pub fn takes(&self, arguments: usize) -> bool {
        let most = if self.repeats { usize::MAX } else { self.parameters.len() };
        (self.parameters.len() - self.optional..=most).contains(&arguments)
    }
}
