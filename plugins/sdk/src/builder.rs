//! Output columns, value by value.

use crate::{Bitmap, ByteStrings, Column, Kind, Scalar, Values};

/// Builds a column of one of the types that [`Scalar`] has a case for. What is pushed as a value of another type than
/// the column's becomes null, of which `push_bool` and its like say `false`.
pub struct ColumnBuilder {
    present: Vec<bool>,
    values: Values,
    bools: Vec<bool>,
}

impl ColumnBuilder {
    /// `None` for types that cannot be built value by value; see [`Scalar::read`].
    pub fn new(kind: &Kind) -> Option<ColumnBuilder> {
        let built = !matches!(
            kind,
            Kind::Uint64
                | Kind::Decimal128(_)
                | Kind::FixedSizeBinary(_)
                | Kind::StructOf
                | Kind::ListOf
                | Kind::MapOf
        );
        let values = built.then(|| empty_values(kind))?;
        Some(ColumnBuilder { present: Vec::new(), values, bools: Vec::new() })
    }

    pub fn len(&self) -> usize {
        self.present.len()
    }

    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    pub fn push(&mut self, value: &Scalar) {
        match value {
            Scalar::Null => {
                self.push_null();
                true
            }
            Scalar::Bool(value) => self.push_bool(*value),
            Scalar::Int(value) => self.push_int(*value),
            Scalar::Float(value) => self.push_float(*value),
            Scalar::Text(text) => self.push_bytes(text.as_bytes()),
            Scalar::Bytes(bytes) => self.push_bytes(bytes),
        };
    }

    pub fn push_null(&mut self) {
        self.push_zero();
        self.present.push(false);
    }

    /// Appends false, 0 or nothing written: a value that stands where none is looked at.
    pub fn push_default(&mut self) {
        self.push_zero();
        self.present.push(true);
    }

    pub fn push_bool(&mut self, value: bool) -> bool {
        let Values::Bits(_) = self.values else { return self.unfit() };
        self.bools.push(value);
        self.fit()
    }

    /// For integers, timestamps and dates. Of a value beyond the column's width the low bits remain.
    pub fn push_int(&mut self, value: i64) -> bool {
        match &mut self.values {
            Values::Int8(values) => values.push(value as i8),
            Values::Int16(values) => values.push(value as i16),
            Values::Int32(values) => values.push(value as i32),
            Values::Int64(values) => values.push(value),
            Values::Uint8(values) => values.push(value as u8),
            Values::Uint16(values) => values.push(value as u16),
            Values::Uint32(values) => values.push(value as u32),
            _ => return self.unfit(),
        }
        self.fit()
    }

    pub fn push_float(&mut self, value: f64) -> bool {
        match &mut self.values {
            Values::Float32(values) => values.push(value as f32),
            Values::Float64(values) => values.push(value),
            _ => return self.unfit(),
        }
        self.fit()
    }

    /// For `utf8`, which must be given valid UTF-8, and `binary`.
    pub fn push_bytes(&mut self, value: &[u8]) -> bool {
        let Values::Bytes(strings) = &mut self.values else { return self.unfit() };
        strings.data.extend_from_slice(value);
        strings.offsets.push(strings.data.len() as i32);
        self.fit()
    }

    fn fit(&mut self) -> bool {
        self.present.push(true);
        true
    }

    fn unfit(&mut self) -> bool {
        self.push_null();
        false
    }

    fn push_zero(&mut self) {
        match &mut self.values {
            Values::Bits(_) => self.bools.push(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) => values.push(0),
            Values::Int64(values) => values.push(0),
            Values::Uint8(values) => values.push(0),
            Values::Uint16(values) => values.push(0),
            Values::Uint32(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Bytes(strings) => strings.offsets.push(strings.data.len() as i32),
            _ => {}
        }
    }

    pub fn finish(self) -> Column {
        let values = match self.values {
            Values::Bits(_) => Values::Bits(Bitmap::of_values(&self.bools, |value| value).into_bytes()),
            values => values,
        };
        Column { length: self.present.len() as u32, validity: validity_of(&self.present), values }
    }
}

/// The bitmap of what is present; `None` if all is.
pub(crate) fn validity_of(present: &[bool]) -> Option<Vec<u8>> {
    let validity = Bitmap::of_values(present, |present| present);
    (!validity.all_set()).then(|| validity.into_bytes())
}

/// The values of a column of this type without rows.
pub fn empty_values(kind: &Kind) -> Values {
    match kind {
        Kind::Boolean => Values::Bits(Vec::new()),
        Kind::Int8 => Values::Int8(Vec::new()),
        Kind::Int16 => Values::Int16(Vec::new()),
        Kind::Int32 | Kind::Date32 => Values::Int32(Vec::new()),
        Kind::Int64 | Kind::Timestamp(_) => Values::Int64(Vec::new()),
        Kind::Uint8 => Values::Uint8(Vec::new()),
        Kind::Uint16 => Values::Uint16(Vec::new()),
        Kind::Uint32 => Values::Uint32(Vec::new()),
        Kind::Uint64 => Values::Uint64(Vec::new()),
        Kind::Float32 => Values::Float32(Vec::new()),
        Kind::Float64 => Values::Float64(Vec::new()),
        Kind::Decimal128(_) | Kind::FixedSizeBinary(_) => Values::Fixed(Vec::new()),
        Kind::Utf8 | Kind::Binary => Values::Bytes(ByteStrings { offsets: vec![0], data: Vec::new() }),
        Kind::StructOf => Values::None,
        Kind::ListOf | Kind::MapOf => Values::Offsets(vec![0]),
    }
}
