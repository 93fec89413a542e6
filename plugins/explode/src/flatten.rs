//! From structs to columns of their fields.

use sluicebox_plugin::{Bitmap, Error, Kind, Schema, kind_name, siblings};

use crate::config::Flatten;
use crate::part::Part;

/// How deep a schema nests at most, by the host.
const ALL_LEVELS: u32 = 16;

/// Which structs are taken apart, and how.
pub struct Flattening {
    /// How many levels of each part; 0 for those that stay as they are.
    levels: Vec<u32>,
    separator: String,
}

/// The names of the struct columns of the input that are to be flattened.
pub fn structs(flatten: &Flatten, input: &Schema) -> Result<Vec<String>, Error> {
    let structs = input.top_level().filter(|field| field.kind == Kind::StructOf);
    let Some(names) = &flatten.columns else { return Ok(structs.map(|field| field.name.clone()).collect()) };
    for name in names {
        let Some(field) = input.top_level().find(|field| field.name == *name) else {
            let names: Vec<&str> = input.top_level().map(|field| field.name.as_str()).collect();
            return Err(Error::Schema(format!(
                "there is no column `{name}`; there are {}",
                names.join(", ")
            )));
        };
        if field.kind != Kind::StructOf {
            return Err(Error::Schema(format!(
                "column `{name}` is {}, not a struct",
                kind_name(&field.kind)
            )));
        }
    }
    Ok(names.clone())
}

impl Flattening {
    /// `parts`: what there is to flatten. Error: [`Error::Schema`] if a named column is not a struct among them.
    pub fn new(flatten: Option<&Flatten>, parts: &[Part]) -> Result<Flattening, Error> {
        let Some(Flatten { columns, separator, depth }) = flatten else {
            return Ok(Flattening { levels: vec![0; parts.len()], separator: String::new() });
        };
        if *depth == Some(0) {
            return Err(Error::Config("`depth` is 0: at least one level is taken apart".into()));
        }
        let is_struct = |part: &Part| part.fields.first().is_some_and(|field| field.kind == Kind::StructOf);
        let structs: Vec<&str> = parts.iter().filter(|part| is_struct(part)).map(Part::name).collect();
        if let Some(missing) = columns.iter().flatten().find(|name| !structs.contains(&name.as_str())) {
            return Err(Error::Schema(format!(
                "there is no struct column `{missing}`; there are {}",
                if structs.is_empty() { "none".to_owned() } else { structs.join(", ") }
            )));
        }
        let is_chosen = |part: &Part| match columns {
            Some(columns) => columns.iter().any(|name| name == part.name()),
            None => is_struct(part),
        };
        let levels = parts.iter().map(|part| if is_chosen(part) { depth.unwrap_or(ALL_LEVELS) } else { 0 });
        Ok(Flattening { levels: levels.collect(), separator: separator.clone() })
    }

    /// What comes out of parts without columns.
    pub fn fields(&self, parts: Vec<Part>) -> Vec<Part> {
        self.apply(parts)
    }

    pub fn apply(&self, parts: Vec<Part>) -> Vec<Part> {
        let mut flat = Vec::with_capacity(parts.len());
        for (part, levels) in parts.into_iter().zip(&self.levels) {
            self.take_apart(part, *levels, &mut flat);
        }
        flat
    }

    fn take_apart(&self, part: Part, levels: u32, flat: &mut Vec<Part>) {
        let Some((own, nested)) =
            part.fields.split_first().filter(|(own, _)| own.kind == Kind::StructOf && levels > 0)
        else {
            flat.push(part);
            return;
        };
        let mut columns = part.columns.into_iter();
        let validity = columns.next().and_then(|column| column.validity);
        for child in siblings(nested) {
            let mut fields = child.to_vec();
            let mut columns: Vec<_> = columns.by_ref().take(fields.len()).collect();
            if let Some(first) = fields.first_mut() {
                first.name = format!("{}{}{}", own.name, self.separator, first.name);
                first.nullable |= own.nullable;
            }
            // Where there is no struct there is no field of it.
            if let (Some(validity), Some(first)) = (&validity, columns.first_mut()) {
                let mut present = Bitmap::from_bytes(validity, first.length as usize);
                if let Some(own) = &first.validity {
                    present.and(own);
                }
                first.validity = Some(present.into_bytes());
            }
            self.take_apart(Part { fields, columns }, levels - 1, flat);
        }
    }
}
