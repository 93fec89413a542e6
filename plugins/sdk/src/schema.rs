//! The input's schema, and the choice of what to read of it.

use crate::{Error, Field, Kind, Place, TimeUnit, TimestampType};

/// A field without children.
pub fn field(name: impl Into<String>, kind: Kind) -> Field {
    Field { name: name.into(), kind, nullable: true, children: 0 }
}

/// Microseconds since the epoch, in UTC: how Sluicebox keeps time.
pub fn timestamp_micros() -> Kind {
    Kind::Timestamp(TimestampType { unit: TimeUnit::Microseconds, zone: Some("UTC".into()) })
}

/// What a kind is called in pipeline files, without its parameters.
pub fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint8 => "uint8",
        Kind::Uint16 => "uint16",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Float32 => "float32",
        Kind::Float64 => "float64",
        Kind::Decimal128(_) => "decimal",
        Kind::Utf8 => "utf8",
        Kind::Binary | Kind::FixedSizeBinary(_) => "binary",
        Kind::Date32 => "date",
        Kind::Timestamp(_) => "timestamp",
        Kind::ListOf => "list",
        Kind::StructOf => "struct",
        Kind::MapOf => "map",
    }
}

/// Fields in pre-order, as the host gave them.
#[derive(Clone, Debug)]
pub struct Schema {
    fields: Vec<Field>,
}

impl Schema {
    pub fn new(fields: Vec<Field>) -> Schema {
        Schema { fields }
    }

    /// All fields, in pre-order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The top-level fields.
    pub fn top_level(&self) -> impl Iterator<Item = &Field> {
        children(&self.fields, 0, self.fields.len()).map(|at| &self.fields[at])
    }

    /// A top-level column with all that is nested in it, in pre-order.
    pub fn column(&self, name: &str) -> Option<&[Field]> {
        let at = children(&self.fields, 0, self.fields.len()).find(|at| self.fields[*at].name == name)?;
        Some(&self.fields[at..at + span(&self.fields, at)])
    }

    /// Where a top-level column is in batches that have all columns of this schema.
    pub fn place(&self, name: &str) -> Option<Place> {
        let at = children(&self.fields, 0, self.fields.len()).find(|at| self.fields[*at].name == name)?;
        let fields = self.fields[at..at + span(&self.fields, at)].to_vec();
        Some(Place { at, parents: Vec::new(), fields })
    }
}

/// Fields in pre-order, cut into siblings: each with all that is nested in it.
pub fn siblings(fields: &[Field]) -> impl Iterator<Item = &[Field]> {
    children(fields, 0, fields.len()).map(|at| &fields[at..at + span(fields, at)])
}

/// How many fields the subtree at `at` has, itself included.
pub(crate) fn span(fields: &[Field], at: usize) -> usize {
    let mut open = 1;
    let mut end = at;
    while open > 0 && end < fields.len() {
        open = open - 1 + fields[end].children as usize;
        end += 1;
    }
    end - at
}

/// Positions of the siblings from `start` on, before `end`.
pub(crate) fn children(fields: &[Field], start: usize, end: usize) -> impl Iterator<Item = usize> {
    let mut at = start;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let this = at;
            at += span(fields, this);
            this
        })
    })
}

/// The columns that the host makes; they can be read even if the schema does not show them.
fn host_made(name: &str) -> Option<Field> {
    let (kind, nullable) = match name {
        "_topic" => (Kind::Utf8, false),
        "_partition" => (Kind::Int32, false),
        "_offset" => (Kind::Int64, false),
        "_timestamp" => (timestamp_micros(), true),
        "_key" => (Kind::Binary, true),
        "_watermark" => (timestamp_micros(), true),
        _ => return None,
    };
    Some(Field { nullable, ..field(name, kind) })
}

/// Collects the columns that a plugin reads, and tells where in a batch they will be.
#[derive(Default, Debug)]
pub struct Reads {
    names: Vec<String>,
    fields: Vec<Field>,
}

impl Reads {
    /// Adds a column by its name, or a field nested in structs by a path as in `reading.temp`. A column whose name is
    /// the whole path takes precedence. Error: [`Error::Schema`], if there is no such column.
    pub fn add(&mut self, schema: &Schema, path: &str) -> Result<Place, Error> {
        if let Some(at) = self.top_level(schema, path) {
            return Ok(self.place(at, Vec::new()));
        }
        let missing = || {
            let names: Vec<&str> = schema.top_level().map(|field| field.name.as_str()).collect();
            Error::Schema(format!("there is no column `{path}`; there are {}", names.join(", ")))
        };
        let mut names = path.split('.');
        let mut at = names.next().and_then(|name| self.top_level(schema, name)).ok_or_else(missing)?;
        let mut parents = Vec::new();
        for name in names {
            if self.fields[at].kind != Kind::StructOf {
                return Err(missing());
            }
            parents.push(at);
            let end = at + span(&self.fields, at);
            at = children(&self.fields, at + 1, end)
                .find(|child| self.fields[*child].name == name)
                .ok_or_else(missing)?;
        }
        Ok(self.place(at, parents))
    }

    /// The position of a top-level column among the fields to read, which it joins if it is new.
    fn top_level(&mut self, schema: &Schema, name: &str) -> Option<usize> {
        let known = children(&self.fields, 0, self.fields.len()).find(|at| self.fields[*at].name == name);
        if known.is_some() {
            return known;
        }
        let at = self.fields.len();
        match schema.column(name) {
            Some(column) => self.fields.extend_from_slice(column),
            None => self.fields.push(host_made(name)?),
        }
        self.names.push(name.to_owned());
        Some(at)
    }

    fn place(&self, at: usize, parents: Vec<usize>) -> Place {
        let fields = self.fields[at..at + span(&self.fields, at)].to_vec();
        Place { at, parents, fields }
    }

    /// The plan's `reads`.
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }
}
