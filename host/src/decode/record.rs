//! What is known of the record that is being decoded: where the visitor stands in it, what was rescued
//! from it, and whether the schema should grow for it.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use simd_json::{Node, StaticNode};

use super::Policy;
use super::growth::{may_be_column, widened};
use super::payload::{Document, NumberTexts, after, kind};
use crate::schema::{RESERVED_PREFIX, quote_name, type_name};

/// Why a value does not go into its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// Another kind of value altogether.
    Kind,
    Fraction,
    OutOfRange,
    /// A number that the type could only round.
    Inexact,
    TooFine,
    /// A text that is not of this form.
    Format(&'static str),
    /// The column cannot hold more in this batch.
    Full,
}

/// What stops the visitor at a value.
pub(super) enum Fault {
    Mismatch(Mismatch),
    /// The record is a dead letter, for this reason.
    Dead(String),
}

impl From<Mismatch> for Fault {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// A step from a value into one of its parts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'p> {
    Field(&'p str),
    Element(usize),
}

pub(super) struct Record<'p> {
    pub nodes: &'p [Node<'p>],
    pub numbers: NumberTexts<'p>,
    /// From the record's top to the container that is being visited.
    pub path: Vec<Step<'p>>,
    /// A JSON object without its closing brace; empty where nothing was rescued.
    pub rescued: &'p mut Vec<u8>,
    /// A wider schema might hold what this one does not.
    pub wants_growth: bool,
    policy: Policy,
    /// No new columns may be added.
    columns_are_full: bool,
}

impl<'p> Record<'p> {
    pub(super) fn new(
        document: Document<'p>,
        rescued: &'p mut Vec<u8>,
        policy: Policy,
        columns_are_full: bool,
    ) -> Self {
        rescued.clear();
        let Document { nodes, numbers } = document;
        Self { nodes, numbers, path: Vec::new(), rescued, wants_growth: false, policy, columns_are_full }
    }

    /// A field that the schema does not have. A null says nothing, so it is kept nowhere.
    #[cold]
    pub(super) fn unknown_field(&mut self, key: &'p str, at: usize) -> Result<(), Fault> {
        let step = Step::Field(key);
        self.check_keys_below(step, at)?;
        if self.policy == Policy::Strict {
            let path = self.path_to(step);
            let reserved = self.path.is_empty() && key.starts_with(RESERVED_PREFIX);
            let why = if reserved { ": names that start with `_` are reserved for the host" } else { "" };
            return Err(Fault::Dead(format!("unknown field {path}{why}")));
        }
        if matches!(self.nodes.get(at), Some(Node::Static(StaticNode::Null))) {
            return Ok(());
        }
        let may_grow = !self.columns_are_full && may_be_column(key, self.path.is_empty());
        self.wants_growth |= self.policy == Policy::Merge && may_grow;
        self.rescue(step, at);
        Ok(())
    }

    /// A value that its column does not hold. `Ok` if the column is to be null in this row.
    #[cold]
    pub(super) fn mismatch(
        &mut self,
        step: Step<'p>,
        at: usize,
        mismatch: Mismatch,
        data_type: &DataType,
    ) -> Result<(), Fault> {
        self.check_keys_below(step, at)?;
        let widens = || self.nodes.get(at).is_some_and(|node| widened(data_type, node).is_some());
        if self.policy == Policy::Merge && widens() {
            self.wants_growth = true;
            return Ok(());
        }
        if self.policy != Policy::Strict && mismatch != Mismatch::Full {
            self.rescue(step, at);
            return Ok(());
        }
        let path = self.path_to(step);
        let found = self.nodes.get(at).map_or("nothing", kind);
        let name = type_name(data_type);
        Err(Fault::Dead(match mismatch {
            Mismatch::Kind => format!("{path} is {found}, the column is {name}"),
            Mismatch::Fraction => format!("{path} has a fraction, the column is {name}"),
            Mismatch::OutOfRange => format!("{path} is out of the range of {name}"),
            Mismatch::Inexact => format!("{path} is not exact as {name}"),
            Mismatch::TooFine => format!("{path} is finer than a microsecond"),
            Mismatch::Format(form) => format!("{path} is not {form}, the column is {name}"),
            Mismatch::Full => format!("{path} does not fit any more: the column has 2 GiB in this batch"),
        }))
    }

    #[cold]
    pub(super) fn duplicate(&self, key: &'p str) -> Fault {
        Fault::Dead(format!("duplicate key {}", self.path_to(Step::Field(key))))
    }

    /// Refuses duplicate keys in the objects of a value that no column takes.
    fn check_keys_below(&self, step: Step<'p>, at: usize) -> Result<(), Fault> {
        for inner in at..after(self.nodes, at) {
            if let Some(key) = duplicate_key(self.nodes, inner) {
                let path = self.path_to(step);
                return Err(Fault::Dead(format!("duplicate key {} within {path}", quote_name(key))));
            }
        }
        Ok(())
    }

    fn rescue(&mut self, step: Step<'p>, at: usize) {
        let path = self.path_to(step);
        self.rescued.push(if self.rescued.is_empty() { b'{' } else { b',' });
        write_string(&path, self.rescued);
        self.rescued.push(b':');
        write_value(self.nodes, &mut self.numbers, at, self.rescued);
    }

    /// As people read it: `` reading.values[3].`odd name` ``.
    fn path_to(&self, last: Step<'p>) -> String {
        let mut path = String::new();
        for step in self.path.iter().chain([&last]) {
            match step {
                Step::Element(index) => path.push_str(&format!("[{index}]")),
                Step::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&quote_name(name));
                }
            }
        }
        path
    }
}

/// A key that the object at `at` has twice. Anything but an object has none.
pub(super) fn duplicate_key<'p>(nodes: &'p [Node<'p>], at: usize) -> Option<&'p str> {
    let Some(Node::Object { len, .. }) = nodes.get(at) else {
        return None;
    };
    if *len < 2 {
        return None;
    }
    let mut keys = HashSet::with_capacity(*len);
    let mut cursor = at + 1;
    for _ in 0..*len {
        let Some(Node::String(key)) = nodes.get(cursor) else {
            return None;
        };
        if !keys.insert(*key) {
            return Some(key);
        }
        cursor = after(nodes, cursor + 1);
    }
    None
}

/// The value as JSON; numbers as they were written.
fn write_value(nodes: &[Node<'_>], numbers: &mut NumberTexts<'_>, at: usize, out: &mut Vec<u8>) {
    match nodes.get(at) {
        Some(Node::String(text)) => write_string(text, out),
        Some(Node::Static(StaticNode::Null)) | None => out.extend_from_slice(b"null"),
        Some(Node::Static(StaticNode::Bool(true))) => out.extend_from_slice(b"true"),
        Some(Node::Static(StaticNode::Bool(false))) => out.extend_from_slice(b"false"),
        Some(Node::Static(_)) => out.extend_from_slice(numbers.text(at).as_bytes()),
        Some(Node::Array { len, .. }) => {
            out.push(b'[');
            let mut cursor = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(b',');
                }
                write_value(nodes, numbers, cursor, out);
                cursor = after(nodes, cursor);
            }
            out.push(b']');
        }
        Some(Node::Object { len, .. }) => {
            out.push(b'{');
            let mut cursor = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(b',');
                }
                write_value(nodes, numbers, cursor, out);
                out.push(b':');
                write_value(nodes, numbers, cursor + 1, out);
                cursor = after(nodes, cursor + 1);
            }
            out.push(b'}');
        }
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string can be written to memory as JSON");
}
