//! The columns that an expression finds: those of the input, and those that were computed before.

use sluicebox_expression::Type;
use sluicebox_plugin::{Error, Place, Reads, Schema, kind_name};

/// Where the values of a column come from.
pub enum Source {
    Read(Place),
    /// From the next of the expressions.
    Derived,
}

pub struct Columns<'a> {
    input: &'a Schema,
    reads: Reads,
    /// In the order in which they are needed, and computed.
    sources: Vec<Source>,
    /// The names, each with its source's position and type; later ones hide earlier ones.
    known: Vec<(String, usize, Type)>,
}

impl<'a> Columns<'a> {
    pub fn new(input: &'a Schema) -> Columns<'a> {
        Columns { input, reads: Reads::default(), sources: Vec::new(), known: Vec::new() }
    }

    /// Adds a column that is computed, of the type.
    pub fn add(&mut self, name: &str, of: Type) {
        self.known.push((name.to_owned(), self.sources.len(), of));
        self.sources.push(Source::Derived);
    }

    /// The plan's `reads`.
    pub fn reads(&self) -> Vec<String> {
        self.reads.names()
    }

    pub fn into_sources(self) -> Vec<Source> {
        self.sources
    }
}

impl sluicebox_expression::Columns for Columns<'_> {
    fn find(&mut self, name: &str) -> Result<(usize, Type), Error> {
        if let Some((_, at, of)) = self.known.iter().rev().find(|(known, ..)| known == name) {
            return Ok((*at, *of));
        }
        let place = self.reads.add(self.input, name)?;
        let Some(of) = Type::of(place.kind()) else {
            return Err(Error::Schema(format!(
                "column `{name}` is {}, which expressions cannot use",
                kind_name(place.kind())
            )));
        };
        let at = self.sources.len();
        self.known.push((name.to_owned(), at, of));
        self.sources.push(Source::Read(place));
        Ok((at, of))
    }
}
