//! Rows of the elements of a list, and columns of the fields of structs.

mod config;
mod elements;
mod flatten;
mod part;

use sluicebox_plugin::{
    Batch, Description, Error, Outcome, Output, Place, Reads, Schema, Transform, TransformPlan,
};

pub use config::{Config, Flatten};
use elements::Exploded;
use flatten::Flattening;
use part::Part;

pub struct Explode {
    /// What is read, in the order of the output.
    places: Vec<Place>,
    exploded: Option<Exploded>,
    flattening: Flattening,
}

impl Transform for Explode {
    const DESCRIPTION: Description = Description {
        name: "explode",
        version: env!("CARGO_PKG_VERSION"),
        summary: "Makes rows of the elements of a list, and columns of the fields of structs.",
    };
    type Config = Config;

    fn open(config: Config, input: &Schema) -> Result<(Explode, TransformPlan), Error> {
        if config.list.is_none() && (config.index.is_some() || config.element.is_some() || config.keep_empty)
        {
            let keys = "`index`, `element` and `keep_empty` are about a list: name it by `list`";
            return Err(Error::Config(keys.into()));
        }
        match &config.list {
            Some(list) => Explode::to_rows(list, &config, input),
            None => Explode::to_columns(&config, input),
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<Outcome, Error> {
        let parts = self.places.iter().map(|place| Part::load(place, batch)).collect();
        let (parts, rows) = match &self.exploded {
            Some(exploded) => exploded.apply(parts, batch.rows as usize)?,
            None => (parts, batch.rows as usize),
        };
        let columns = self.flattening.apply(parts).into_iter().flat_map(|part| part.columns).collect();
        let batch = Some(Batch { rows: rows as u32, columns });
        Ok(Outcome { batch, ..Outcome::default() })
    }
}

impl Explode {
    /// New rows: all columns but those that only the host makes, with the list's element in its place.
    fn to_rows(list: &str, config: &Config, input: &Schema) -> Result<(Explode, TransformPlan), Error> {
        let names: Vec<&str> = input.top_level().map(|field| field.name.as_str()).collect();
        let mut reads = Reads::default();
        let places = names.iter().filter(|name| !HOST_MADE.contains(name)).map(|name| reads.add(input, name));
        let places = places.collect::<Result<Vec<Place>, Error>>()?;
        let (exploded, parts) = Exploded::new(list, config, &places)?;
        let flattening = Flattening::new(config.flatten.as_ref(), &parts)?;
        let fields = flattening.fields(parts);
        check_names(fields.iter().map(|part| part.name()))?;
        let fields = fields.into_iter().flat_map(|part| part.fields).collect();
        let plan = TransformPlan { reads: reads.names(), output: Output::Rows(fields), rules: Vec::new() };
        Ok((Explode { places, exploded: Some(exploded), flattening }, plan))
    }

    /// The same rows: the structs are dropped, and columns of their fields set.
    fn to_columns(config: &Config, input: &Schema) -> Result<(Explode, TransformPlan), Error> {
        let Some(flatten) = &config.flatten else {
            return Err(Error::Config("there is nothing to do: give a `list`, or `flatten`".into()));
        };
        let mut reads = Reads::default();
        let structs = flatten::structs(flatten, input)?;
        let places =
            structs.iter().map(|name| reads.add(input, name)).collect::<Result<Vec<Place>, Error>>()?;
        let parts: Vec<Part> = places.iter().map(|place| Part::of_fields(place.fields())).collect();
        let flattening = Flattening::new(Some(flatten), &parts)?;
        let fields = flattening.fields(parts);
        let others = input
            .top_level()
            .map(|field| field.name.as_str())
            .filter(|name| !structs.iter().any(|s| s == name));
        check_names(fields.iter().map(|part| part.name()).chain(others))?;
        let set = fields.into_iter().flat_map(|part| part.fields).collect::<Vec<_>>();
        let is_set = |name: &String| set.iter().any(|field| field.name == *name);
        let drop = structs.into_iter().filter(|name| !is_set(name)).collect();
        let output = Output::Columns { set, drop };
        let plan = TransformPlan { reads: reads.names(), output, rules: Vec::new() };
        Ok((Explode { places, exploded: None, flattening }, plan))
    }
}

/// What the host makes for the rows that it decoded, and takes of nobody.
const HOST_MADE: [&str; 7] =
    ["_topic", "_partition", "_offset", "_timestamp", "_key", "_watermark", "_event_time"];

fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            let advice = "rename one, or choose another `element`, `index` or `separator`";
            return Err(Error::Schema(format!("there would be two columns `{name}`: {advice}")));
        }
        seen.push(name);
    }
    Ok(())
}

sluicebox_plugin::export!(Explode: Transform);

#[cfg(test)]
mod tests;
