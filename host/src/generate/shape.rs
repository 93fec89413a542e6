//! Fields to a JSON object.

use indexmap::IndexMap;

use super::Generated;
use super::random::Random;
use super::settings::{Field, Share};
use super::value::Writer;

/// The fields of a record, compiled.
#[derive(Debug)]
pub(super) struct Shape {
    object: Vec<Member>,
    key: Option<Leaf>,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// As JSON, with its quotes and the colon.
    written: Vec<u8>,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Leaf(Leaf),
    Object(Vec<Member>),
}

#[derive(Debug, Clone)]
struct Leaf {
    /// Tells its chances from those of other fields.
    field: u64,
    missing: Share,
    null: Share,
    value: Writer,
}

#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    #[error("field `{0}`: two fields have one name, or one is an object and a value at once")]
    Both(String),
    #[error("`changes` takes `{0}` away, and there is no such field")]
    Gone(String),
    #[error("field `{0}`: a name, and each part of it between dots, has at least one character")]
    Name(String),
    #[error("field `{0}`: with `count`, the name tells the number by `{{}}`, as in `sensor_{{}}`")]
    Count(String),
    #[error("field `{field}`: {what}")]
    Value { field: String, what: String },
    #[error("`key` names `{0}`, and there is no such field")]
    Key(String),
}

impl Shape {
    pub fn new(fields: &IndexMap<String, Field>, key: Option<&str>) -> Result<Self, ShapeError> {
        let mut shape = Self { object: Vec::new(), key: None };
        for (name, field) in fields {
            let value = Writer::new(&field.value)
                .map_err(|what| ShapeError::Value { field: name.clone(), what: what.to_owned() })?;
            if field.count.is_some() != name.contains("{}") {
                return Err(ShapeError::Count(name.clone()));
            }
            for number in 1..=field.count.unwrap_or(1) {
                let name = name.replace("{}", &number.to_string());
                let (missing, null) = (field.missing, field.null);
                let leaf = Leaf { field: hash(&name), missing, null, value: value.clone() };
                if key == Some(name.as_str()) {
                    shape.key = Some(leaf.clone());
                }
                insert(&mut shape.object, &name, &name, leaf)?;
            }
        }
        match key {
            Some(key) if shape.key.is_none() => Err(ShapeError::Key(key.to_owned())),
            _ => Ok(shape),
        }
    }

    pub fn write(&self, random: &Random, number: u64, time_us: i64, out: &mut Generated) {
        write_object(&self.object, random, number, time_us, &mut out.payload);
        if let Some(key) = &self.key {
            key.value.write_text(random.of(key.field), number, time_us, &mut out.key);
        }
    }
}

/// Puts the field at `path`, the rest of its name, under the objects that lead there.
fn insert(object: &mut Vec<Member>, path: &str, name: &str, leaf: Leaf) -> Result<(), ShapeError> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if first.is_empty() {
        return Err(ShapeError::Name(name.to_owned()));
    }
    let at = object.iter().position(|member| member.name == first);
    match (at, rest) {
        (None, None) => object.push(Member::new(first, Node::Leaf(leaf))),
        (None, Some(rest)) => {
            let mut members = Vec::new();
            insert(&mut members, rest, name, leaf)?;
            object.push(Member::new(first, Node::Object(members)));
        }
        (Some(at), Some(rest)) => match object.get_mut(at).map(|member| &mut member.node) {
            Some(Node::Object(members)) => insert(members, rest, name, leaf)?,
            _ => return Err(ShapeError::Both(name.to_owned())),
        },
        (Some(_), None) => return Err(ShapeError::Both(name.to_owned())),
    }
    Ok(())
}

impl Member {
    fn new(name: &str, node: Node) -> Self {
        let written = format!("{}:", serde_json::Value::from(name)).into_bytes();
        Self { name: name.to_owned(), written, node }
    }
}

fn write_object(members: &[Member], random: &Random, number: u64, time_us: i64, out: &mut Vec<u8>) {
    out.push(b'{');
    let begun = out.len();
    for member in members {
        if let Node::Leaf(leaf) = &member.node
            && random.of(!leaf.field).share() < leaf.missing.get()
        {
            continue;
        }
        if out.len() > begun {
            out.push(b',');
        }
        out.extend_from_slice(&member.written);
        match &member.node {
            Node::Object(members) => write_object(members, random, number, time_us, out),
            Node::Leaf(leaf) => {
                let mut chances = random.of(leaf.field);
                match leaf.null.get() > 0.0 && random.of(leaf.field.rotate_left(1)).share() < leaf.null.get()
                {
                    true => out.extend_from_slice(b"null"),
                    false => leaf.value.write(&mut chances, number, time_us, out),
                }
            }
        }
    }
    out.push(b'}');
}

/// FNV-1a: a field keeps its chances wherever it stands, and whichever others there are.
fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
