//! Three-valued logic.

use sluicebox_plugin::{Bitmap, Error};

use crate::vector::Vector;

/// The rows for which a condition is true, and those for which it is false; in neither it is null.
pub struct Truth {
    pub is_true: Bitmap,
    pub is_false: Bitmap,
}

impl Truth {
    pub fn of(vector: &Vector<'_>, rows: usize) -> Result<Truth, Error> {
        let mut is_true = Bitmap::from_bytes(vector.bools()?, rows);
        let mut is_false = is_true.clone().inverted();
        if let Some(present) = &vector.present {
            is_true.and(present);
            is_false.and(present);
        }
        Ok(Truth { is_true, is_false })
    }

    pub fn into_vector(self) -> Vector<'static> {
        let mut present = self.is_true.clone();
        present.or(self.is_false.as_bytes());
        Vector::of_bools(self.is_true, Some(present.into_bytes().into()))
    }
}
