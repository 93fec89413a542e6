//! Output columns, value by value.

use crate::{Bitmap, ByteStrings, Column, Kind, Scalar, Values};

/// Builds a column of one of the types that [`Scalar`] has a case for.
pub struct ColumnBuilder {
    present: Vec<bool>,
    values: Values,
    bools: Vec<bool>,
}

impl ColumnBuilder {
    /// `None` for types that cannot be built value by value; see [`Scalar::read`].
    pub fn new(kind: &Kind) -> Option<ColumnBuilder> {
        let values = match kind {
            Kind::Boolean => Values::Bits(Vec::new()),
            Kind::Int8 => Values::Int8(Vec::new()),
            Kind::Int16 => Values::Int16(Vec::new()),
            Kind::Int32 | Kind::Date32 => Values::Int32(Vec::new()),
            Kind::Int64 | Kind::Timestamp(_) => Values::Int64(Vec::new()),
            Kind::Uint8 => Values::Uint8(Vec::new()),
            Kind::Uint16 => Values::Uint16(Vec::new()),
            Kind::Uint32 => Values::Uint32(Vec::new()),
            Kind::Float32 => Values::Float32(Vec::new()),
            Kind::Float64 => Values::Float64(Vec::new()),
            Kind::Utf8 | Kind::Binary => Values::Bytes(ByteStrings { offsets: vec![0], data: Vec::new() }),
            _ => return None,
        };
        Some(ColumnBuilder { present: Vec::new(), values, bools: Vec::new() })
    }

    pub fn len(&self) -> usize {
        self.present.len()
    }

    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Appends a value. One of another type than the column's is appended as null.
    pub fn push(&mut self, value: &Scalar) {
        let int = if let Scalar::Int(value) = value { *value } else { 0 };
        let float = if let Scalar::Float(value) = value { *value } else { 0.0 };
        let bytes: &[u8] = match value {
            Scalar::Text(text) => text.as_bytes(),
            Scalar::Bytes(bytes) => bytes,
            _ => &[],
        };
        let fits = match &mut self.values {
            Values::Bits(_) => {
                self.bools.push(*value == Scalar::Bool(true));
                matches!(value, Scalar::Bool(_))
            }
            Values::Float32(values) => {
                values.push(float as f32);
                matches!(value, Scalar::Float(_))
            }
            Values::Float64(values) => {
                values.push(float);
                matches!(value, Scalar::Float(_))
            }
            Values::Bytes(strings) => {
                strings.data.extend_from_slice(bytes);
                strings.offsets.push(strings.data.len() as i32);
                matches!(value, Scalar::Text(_) | Scalar::Bytes(_))
            }
            integers => {
                match integers {
                    Values::Int8(values) => values.push(int as i8),
                    Values::Int16(values) => values.push(int as i16),
                    Values::Int32(values) => values.push(int as i32),
                    Values::Uint8(values) => values.push(int as u8),
                    Values::Uint16(values) => values.push(int as u16),
                    Values::Uint32(values) => values.push(int as u32),
                    Values::Int64(values) => values.push(int),
                    _ => {}
                }
                matches!(value, Scalar::Int(_))
            }
        };
        self.present.push(fits);
    }

    pub fn finish(self) -> Column {
        let validity = Bitmap::of_values(&self.present, |present| present);
        let values = match self.values {
            Values::Bits(_) => Values::Bits(Bitmap::of_values(&self.bools, |value| value).into_bytes()),
            values => values,
        };
        Column {
            length: self.present.len() as u32,
            validity: (!validity.all_set()).then(|| validity.into_bytes()),
            values,
        }
    }
}
