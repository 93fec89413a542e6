//! Columns of the contract under construction, value by value.

use arrow::datatypes::{DataType, Field};

use super::super::bindings::types;
use crate::json::names::Names;

/// A column and those of its children.
pub(super) struct Column {
    /// From the row down, with dots: for messages.
    pub path: String,
    pub data_type: DataType,
    pub children: Vec<Column>,
    pub members: Members,
    is_nullable: bool,
    rows: usize,
    validity: Vec<u8>,
    has_nulls: bool,
    values: types::ValuesResult,
}

/// Which members of an object were seen, for the columns of structs.
pub(super) struct Members {
    pub names: Names,
    /// For each child the number of the last object that had it.
    pub seen: Vec<u64>,
    pub object: u64,
}

/// Bytes that columns may still take.
pub(super) struct Budget {
    total: usize,
    left: usize,
}

impl Budget {
    pub fn new(total: usize) -> Self {
        Self { total, left: total }
    }

    fn take(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| format!("its rows take more than {} bytes as columns", self.total))?;
        Ok(())
    }
}

/// A value of a column without children.
pub(super) enum Scalar<'a> {
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    /// Dates too.
    Int32(i32),
    /// Timestamps too.
    Int64(i64),
    Uint8(u8),
    Uint16(u16),
    Uint32(u32),
    Uint64(u64),
    Float32(f32),
    Float64(f64),
    /// Of the column's size.
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

impl Column {
    pub fn new(path: &str, data_type: &DataType, is_nullable: bool) -> Self {
        use types::ValuesResult as Values;
        let values = match data_type {
            DataType::Boolean => Values::Bits(Vec::new()),
            DataType::Int8 => Values::Int8(Vec::new()),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 | DataType::Date32 => Values::Int32(Vec::new()),
            DataType::Int64 | DataType::Timestamp(..) => Values::Int64(Vec::new()),
            DataType::UInt8 => Values::Uint8(Vec::new()),
            DataType::UInt16 => Values::Uint16(Vec::new()),
            DataType::UInt32 => Values::Uint32(Vec::new()),
            DataType::UInt64 => Values::Uint64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(..) | DataType::FixedSizeBinary(_) => Values::Fixed(Vec::new()),
            DataType::Utf8 | DataType::Binary => {
                Values::Bytes(types::ByteStringsResult { offsets: vec![0], data: Vec::new() })
            }
            DataType::List(_) | DataType::Map(..) => Values::Offsets(vec![0]),
            // Structs; plans with other types are refused.
            _ => Values::None,
        };
        let fields: &[_] = match data_type {
            DataType::Struct(fields) => fields,
            DataType::List(field) | DataType::Map(field, _) => std::slice::from_ref(field),
            _ => &[],
        };
        let child = |field: &Field| {
            let parent = if path.is_empty() { String::new() } else { format!("{path}.") };
            Self::new(&format!("{parent}{}", field.name()), field.data_type(), field.is_nullable())
        };
        Self {
            path: path.to_owned(),
            data_type: data_type.clone(),
            children: fields.iter().map(|field| child(field)).collect(),
            members: Members {
                names: Names::new(fields.iter().map(|field| field.name().as_str())),
                seen: vec![0; fields.len()],
                object: 0,
            },
            is_nullable,
            rows: 0,
            validity: Vec::new(),
            has_nulls: false,
            values,
        }
    }

    pub fn append(&mut self, value: Scalar<'_>, budget: &mut Budget) -> Result<(), String> {
        use types::ValuesResult as Values;
        macro_rules! push {
            ($values:expr, $value:expr) => {{
                budget.take(size_of_val(&$value))?;
                $values.push($value);
            }};
        }
        match (&mut self.values, value) {
            (Values::Bits(bits), Scalar::Boolean(value)) => {
                budget.take(1)?;
                push_bit(bits, self.rows, value);
            }
            (Values::Int8(values), Scalar::Int8(value)) => push!(values, value),
            (Values::Int16(values), Scalar::Int16(value)) => push!(values, value),
            (Values::Int32(values), Scalar::Int32(value)) => push!(values, value),
            (Values::Int64(values), Scalar::Int64(value)) => push!(values, value),
            (Values::Uint8(values), Scalar::Uint8(value)) => push!(values, value),
            (Values::Uint16(values), Scalar::Uint16(value)) => push!(values, value),
            (Values::Uint32(values), Scalar::Uint32(value)) => push!(values, value),
            (Values::Uint64(values), Scalar::Uint64(value)) => push!(values, value),
            (Values::Float32(values), Scalar::Float32(value)) => push!(values, value),
            (Values::Float64(values), Scalar::Float64(value)) => push!(values, value),
            (Values::Fixed(data), Scalar::Fixed(bytes)) => {
                budget.take(bytes.len())?;
                data.extend_from_slice(bytes);
            }
            (Values::Bytes(strings), Scalar::Bytes(bytes)) => {
                budget.take(bytes.len() + size_of::<i32>())?;
                strings.data.extend_from_slice(bytes);
                push_offset(&mut strings.offsets, strings.data.len())?;
            }
            _ => return Err(format!("column `{}`: a value of another type", self.path)),
        }
        self.end_row(true);
        Ok(())
    }

    /// Ends a row of a list or a map: its child has all its rows.
    pub fn append_items(&mut self, budget: &mut Budget) -> Result<(), String> {
        budget.take(size_of::<i32>())?;
        if let (types::ValuesResult::Offsets(offsets), Some(child)) =
            (&mut self.values, self.children.first())
        {
            push_offset(offsets, child.rows)?;
        }
        self.end_row(true);
        Ok(())
    }

    /// Ends a row of a struct: its children have theirs.
    pub fn append_struct(&mut self, budget: &mut Budget) -> Result<(), String> {
        budget.take(1)?;
        self.end_row(true);
        Ok(())
    }

    pub fn append_null(&mut self, budget: &mut Budget) -> Result<(), String> {
        if !self.is_nullable {
            return Err(format!("column `{}` is null or missing, but not nullable", self.path));
        }
        self.append_placeholder(budget)?;
        self.rows -= 1;
        self.end_row(false);
        Ok(())
    }

    /// Some value, where nobody will look.
    pub fn append_placeholder(&mut self, budget: &mut Budget) -> Result<(), String> {
        use types::ValuesResult as Values;
        let zeros;
        let value = match &self.values {
            Values::None => {
                for child in &mut self.children {
                    child.append_placeholder(budget)?;
                }
                return self.append_struct(budget);
            }
            Values::Offsets(_) => return self.append_items(budget),
            Values::Bits(_) => Scalar::Boolean(false),
            Values::Int8(_) => Scalar::Int8(0),
            Values::Int16(_) => Scalar::Int16(0),
            Values::Int32(_) => Scalar::Int32(0),
            Values::Int64(_) => Scalar::Int64(0),
            Values::Uint8(_) => Scalar::Uint8(0),
            Values::Uint16(_) => Scalar::Uint16(0),
            Values::Uint32(_) => Scalar::Uint32(0),
            Values::Uint64(_) => Scalar::Uint64(0),
            Values::Float32(_) => Scalar::Float32(0.0),
            Values::Float64(_) => Scalar::Float64(0.0),
            Values::Bytes(_) => Scalar::Bytes(&[]),
            Values::Fixed(_) => {
                zeros = vec![0; fixed_size(&self.data_type)];
                Scalar::Fixed(&zeros)
            }
        };
        self.append(value, budget)
    }

    fn end_row(&mut self, is_valid: bool) {
        push_bit(&mut self.validity, self.rows, is_valid);
        self.has_nulls |= !is_valid;
        self.rows += 1;
    }

    /// The columns below this one.
    pub fn into_children_in_pre_order(self) -> Vec<types::ColumnResult> {
        let mut columns = Vec::new();
        self.children.into_iter().for_each(|child| child.flatten(&mut columns));
        columns
    }

    fn flatten(self, columns: &mut Vec<types::ColumnResult>) {
        columns.push(types::ColumnResult {
            // Every row has taken from the budget.
            length: u32::try_from(self.rows).unwrap_or(u32::MAX),
            validity: self.has_nulls.then_some(self.validity),
            values: self.values,
        });
        self.children.into_iter().for_each(|child| child.flatten(columns));
    }
}

/// Bytes of a value of the types that have `fixed` ones.
pub(super) fn fixed_size(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(size) => usize::try_from(*size).unwrap_or(0),
        _ => size_of::<i128>(),
    }
}

/// Sets the bit `index`, which is the last or one past it.
fn push_bit(bits: &mut Vec<u8>, index: usize, bit: bool) {
    if index / 8 == bits.len() {
        bits.push(0);
    }
    if let Some(last) = bits.get_mut(index / 8) {
        let mask = 1 << (index % 8);
        *last = if bit { *last | mask } else { *last & !mask };
    }
}

fn push_offset(offsets: &mut Vec<i32>, end: usize) -> Result<(), String> {
    offsets.push(i32::try_from(end).map_err(|_| "a column has more than 2 GiB".to_owned())?);
    Ok(())
}
