//! One of two vectors, row by row.

use sluicebox_plugin::{Bitmap, Error};

use crate::vector::{Values, Vector, mixed};

/// One vector where `mask` is set, the other elsewhere.
pub fn choose(
    mask: &Bitmap,
    chosen: &Vector<'_>,
    other: Vector<'_>,
    rows: usize,
) -> Result<Vector<'static>, Error> {
    let present = match (&chosen.present, &other.present) {
        (None, None) => None,
        _ => Some(blended(mask, &chosen.presence(rows), &other.presence(rows))),
    };
    let values = match &chosen.values {
        Values::Bools(bits) => {
            let others = Bitmap::from_bytes(other.bools()?, rows);
            Values::Bools(blended(mask, &Bitmap::from_bytes(bits, rows), &others).into_bytes().into())
        }
        Values::Texts(texts) => Values::Texts(texts.choose(mask, other.texts()?, rows)),
        Values::Ints(slots) => match other.values {
            Values::Ints(others) => Values::Ints(slots.choose(mask, others, rows)),
            _ => return Err(mixed()),
        },
        Values::Floats(slots) => match other.values {
            Values::Floats(others) => Values::Floats(slots.choose(mask, others, rows)),
            _ => return Err(mixed()),
        },
    };
    Ok(Vector { values, present: present.map(|present| present.into_bytes().into()) })
}

fn blended(mask: &Bitmap, chosen: &Bitmap, others: &Bitmap) -> Bitmap {
    let (mut blended, mut elsewhere) = (chosen.clone(), mask.clone().inverted());
    blended.and(mask.as_bytes());
    elsewhere.and(others.as_bytes());
    blended.or(elsewhere.as_bytes());
    blended
}
