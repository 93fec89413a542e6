//! The functions of fixed types over whole columns.

use sluicebox_kernels as kernels;
use sluicebox_plugin::{Bitmap, Error};

use crate::arithmetic;
use crate::node::Function;
use crate::text;
use crate::vector::{Values, Vector, mixed};

/// What a function makes of its arguments, where all of them have a value.
pub fn call(function: Function, arguments: &[Vector<'_>], rows: usize) -> Result<Values<'static>, Error> {
    let texts = |at: usize| arguments.get(at).ok_or_else(mixed)?.texts();
    let ints = |at: usize| arguments.get(at).ok_or_else(mixed)?.ints();
    let bools = |bits: Bitmap| Values::Bools(bits.into_bytes().into());
    Ok(match function {
        Function::Lower => Values::Texts(text::changed(texts(0)?, rows, kernels::lower)?),
        Function::Upper => Values::Texts(text::changed(texts(0)?, rows, kernels::upper)?),
        Function::Trim => Values::Texts(text::changed(texts(0)?, rows, text::trim)?),
        Function::Length => Values::Ints(text::length(texts(0)?, rows)),
        Function::Concat => {
            let all = arguments.iter().map(Vector::texts).collect::<Result<Vec<_>, Error>>()?;
            Values::Texts(text::concat(&all, rows))
        }
        Function::Substring => {
            let length = if arguments.len() > 2 { Some(ints(2)?) } else { None };
            Values::Texts(text::substring(texts(0)?, ints(1)?, length, rows))
        }
        Function::Replace => Values::Texts(text::replace(texts(0)?, texts(1)?, texts(2)?, rows)),
        Function::SplitPart => Values::Texts(text::split_part(texts(0)?, texts(1)?, ints(2)?, rows)),
        Function::StartsWith => bools(text::starts_with(texts(0)?, texts(1)?, rows)),
        Function::EndsWith => bools(text::ends_with(texts(0)?, texts(1)?, rows)),
        Function::Contains => bools(text::contains(texts(0)?, texts(1)?, rows)),
        Function::Floor | Function::Ceil | Function::Round => {
            let values = arguments.first().ok_or_else(mixed)?.floats()?;
            Values::Floats(match function {
                Function::Floor => values.map(f64::floor),
                Function::Ceil => values.map(f64::ceil),
                _ if arguments.len() > 1 => arithmetic::round(values, ints(1)?, rows),
                _ => values.map(f64::round),
            })
        }
    })
}
