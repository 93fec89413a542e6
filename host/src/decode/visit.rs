//! The visitor: walks a parsed record and appends its values to the builders.
//!
//! A function that returns [`Fault::Mismatch`] has appended nothing. After [`Fault::Dead`] the builders hold
//! a part of the record, and the caller truncates them.

use simd_json::{Node, StaticNode};

use super::builder::{Builder, StructBuilder, Values};
use super::payload::after;
use super::record::{Fault, Mismatch, Record, Step, duplicate_key};
use super::scalar;
use crate::json::names::Previous;

impl StructBuilder {
    /// Appends the object at `at` as one row.
    pub(super) fn append_object<'p>(&mut self, record: &mut Record<'p>, at: usize) -> Result<(), Fault> {
        let nodes = record.nodes;
        let Some(Node::Object { len, .. }) = nodes.get(at) else {
            return Err(Mismatch::Kind.into());
        };
        self.object += 1;
        let mut previous = Previous::default();
        let (mut known, mut unknown) = (0, 0);
        let mut cursor = at + 1;
        for _ in 0..*len {
            let Some(Node::String(key)) = nodes.get(cursor) else {
                return Err(Fault::Dead("not JSON: a key is not a string".to_owned()));
            };
            let value = cursor + 1;
            cursor = after(nodes, value);
            let Some(index) = self.names.find(&mut previous, key) else {
                unknown += 1;
                record.unknown_field(key, value)?;
                continue;
            };
            if std::mem::replace(&mut self.seen[index], self.object) == self.object {
                return Err(record.duplicate(key));
            }
            known += 1;
            self.children[index].append_part(record, Step::Field(key), value)?;
        }
        if unknown > 1
            && let Some(key) = duplicate_key(nodes, at)
        {
            return Err(record.duplicate(key));
        }
        if known < self.children.len() {
            for (child, seen) in self.children.iter_mut().zip(&self.seen) {
                if *seen != self.object {
                    child.append_null();
                }
            }
        }
        Ok(())
    }
}

impl Builder {
    /// Appends the value at `at`, or a null where the policy puts the value elsewhere.
    fn append_part<'p>(&mut self, record: &mut Record<'p>, step: Step<'p>, at: usize) -> Result<(), Fault> {
        match self.append(record, step, at) {
            Err(Fault::Mismatch(mismatch)) => {
                record.mismatch(step, at, mismatch, &self.data_type)?;
                self.append_null();
                Ok(())
            }
            done => done,
        }
    }

    fn append<'p>(&mut self, record: &mut Record<'p>, step: Step<'p>, at: usize) -> Result<(), Fault> {
        let Some(node) = record.nodes.get(at) else {
            return Err(Fault::Dead("not JSON: a value is missing".to_owned()));
        };
        if matches!(node, Node::Static(StaticNode::Null)) {
            self.append_null();
            return Ok(());
        }
        let numbers = &mut record.numbers;
        match &mut self.values {
            Values::Boolean(values) => match node {
                Node::Static(StaticNode::Bool(value)) => values.append(*value),
                _ => return Err(Mismatch::Kind.into()),
            },
            Values::Int8(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::Int16(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::Int32(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::Int64(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::UInt8(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::UInt16(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::UInt32(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::UInt64(values) => values.push(scalar::integer(node, at, numbers)?),
            Values::Float32(values) => values.push(scalar::float32(node)?),
            Values::Float64(values) => values.push(scalar::float64(node)?),
            Values::Decimal { values, precision, scale } => {
                values.push(scalar::decimal(node, at, numbers, *precision, *scale)?);
            }
            Values::Date(values) => values.push(scalar::date(node)?),
            Values::Timestamp(values) => values.push(scalar::timestamp(node, at, numbers)?),
            Values::Utf8(values) => {
                let Node::String(text) = node else {
                    return Err(Mismatch::Kind.into());
                };
                if !values.push(text.as_bytes()) {
                    return Err(Mismatch::Full.into());
                }
            }
            Values::Binary(values) => {
                if !values.push(&scalar::binary(node)?) {
                    return Err(Mismatch::Full.into());
                }
            }
            Values::Struct(fields) => {
                record.path.push(step);
                // Only an object that is none is a mismatch, and the record goes on after it.
                let done = fields.append_object(record, at);
                record.path.pop();
                done?;
            }
            Values::List { offsets, element } => {
                let Node::Array { len, .. } = node else {
                    return Err(Mismatch::Kind.into());
                };
                if !offsets.push(*len) {
                    return Err(Mismatch::Full.into());
                }
                record.path.push(step);
                let mut cursor = at + 1;
                for index in 0..*len {
                    element.append_part(record, Step::Element(index), cursor)?;
                    cursor = after(record.nodes, cursor);
                }
                record.path.pop();
            }
            Values::Map { offsets, keys, value } => {
                let Node::Object { len, .. } = node else {
                    return Err(Mismatch::Kind.into());
                };
                if !offsets.push(*len) {
                    return Err(Mismatch::Full.into());
                }
                record.path.push(step);
                if let Some(key) = duplicate_key(record.nodes, at) {
                    return Err(record.duplicate(key));
                }
                let mut cursor = at + 1;
                for _ in 0..*len {
                    let Some(Node::String(key)) = record.nodes.get(cursor) else {
                        return Err(Fault::Dead("not JSON: a key is not a string".to_owned()));
                    };
                    if !keys.push(key.as_bytes()) {
                        return Err(Fault::Dead("a map has 2 GiB of keys in this batch".to_owned()));
                    }
                    value.append_part(record, Step::Field(key), cursor + 1)?;
                    cursor = after(record.nodes, cursor + 1);
                }
                record.path.pop();
            }
        }
        self.append_valid();
        Ok(())
    }
}
