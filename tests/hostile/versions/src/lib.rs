//! Numbers the rows of each key. What it remembers is stored as a number (version 1), or as the number and its parity in
//! words (version 2); each takes the other over, and version 3 takes over nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sluicebox_plugin::rows::{Fate, RowTransform, Set};
use sluicebox_plugin::{
    Description, Error, Field, KeyedState, Kind, ReadStored, Scalar, State, Stateful, Stored, field,
};

/// How the state is stored: a version from 1 to 3.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    version: u32,
}

#[derive(Deserialize)]
pub struct Keyed {
    id: i64,
}

#[derive(Serialize, Deserialize)]
pub struct Numbered {
    number: i64,
}

#[derive(Clone)]
pub struct Number<const VERSION: u32>(i64);

type Numbers<const VERSION: u32> = KeyedState<i64, Number<VERSION>>;

pub enum Versions {
    First(Numbers<1>),
    Second(Numbers<2>),
    Third(Numbers<3>),
}

impl RowTransform for Versions {
    const DESCRIPTION: Description =
        Description { name: "state-versions", version: "0.1.0", summary: "Numbers the rows of each key." };
    type Config = Config;
    type In<'row> = Keyed;
    type Out = Set<Numbered>;

    fn open(config: Config) -> Result<Versions, Error> {
        match config.version {
            1 => Ok(Versions::First(KeyedState::new((), ()))),
            2 => Ok(Versions::Second(KeyedState::new((), ()))),
            3 => Ok(Versions::Third(KeyedState::new((), ()))),
            other => Err(Error::Config(format!("there is no version {other}"))),
        }
    }

    fn apply(&mut self, row: Keyed) -> Fate<Set<Numbered>> {
        let number = match self {
            Versions::First(numbers) => next(numbers, row.id),
            Versions::Second(numbers) => next(numbers, row.id),
            Versions::Third(numbers) => next(numbers, row.id),
        };
        Fate::Keep(Set(Numbered { number }))
    }
}

fn next<const VERSION: u32>(numbers: &mut Numbers<VERSION>, key: i64) -> i64
where
    Number<VERSION>: Stored,
{
    let number = numbers.get(&key).map_or(0, |number| number.0) + 1;
    numbers.insert(key, Number(number));
    number
}

impl Stateful for Versions {
    fn state(&mut self) -> &mut dyn State {
        match self {
            Versions::First(numbers) => numbers,
            Versions::Second(numbers) => numbers,
            Versions::Third(numbers) => numbers,
        }
    }
}

impl<const VERSION: u32> Stored for Number<VERSION> {
    type Shape = ();
    const VERSION: u32 = VERSION;

    fn fields(_: &()) -> Vec<Field> {
        columns(VERSION)
    }

    fn write(&self, _: &()) -> Result<Vec<Scalar>, Error> {
        let parity = if self.0 % 2 == 0 { "even" } else { "odd" };
        Ok(match VERSION {
            1 => vec![Scalar::Int(self.0)],
            _ => vec![Scalar::Text(parity.into()), Scalar::Int(self.0)],
        })
    }

    fn read(_: &(), values: &[Scalar]) -> Result<Number<VERSION>, Error> {
        match values.last() {
            Some(Scalar::Int(number)) => Ok(Number(*number)),
            _ => Err(Error::Data("no number is stored".into())),
        }
    }

    fn read_stored(_: &(), version: u32, fields: &[Field]) -> Option<ReadStored<Number<VERSION>>> {
        let is_known = VERSION < 3 && fields == columns(version);
        is_known.then(|| -> ReadStored<Number<VERSION>> { Box::new(|values| Number::read(&(), values)) })
    }
}

fn columns(version: u32) -> Vec<Field> {
    let number = field("number", Kind::Int64);
    match version {
        1 => vec![number],
        _ => vec![field("parity", Kind::Utf8), number],
    }
}

sluicebox_plugin::export!(Versions: RowTransform + Stateful);
