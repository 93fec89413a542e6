//! How large columns get in the form in which rows are compared: nested ones many times as large as they are.

use arrow::array::{Array, ArrayData, ArrayRef};
use arrow::datatypes::DataType;

/// Bytes, at most, that Arrow holds while it encodes the columns as rows.
pub fn bytes(columns: &[ArrayRef]) -> usize {
    let mut held = 0;
    for column in columns {
        note(&column.to_data(), &mut held);
    }
    held
}

/// Counts what is held for the column, and gives the bytes of its encoded values.
fn note(data: &ArrayData, held: &mut usize) -> usize {
    let values = data.len();
    let children: usize = data.child_data().iter().map(|child| note(child, held)).sum();
    let encoded = match data.data_type() {
        DataType::List(_) | DataType::Map(..) => {
            // Each element is encoded once more, as a value of its length.
            let elements = data.child_data().iter().map(ArrayData::len).sum();
            padded(elements, children).saturating_add(values.saturating_mul(2))
        }
        DataType::Struct(_) => children.saturating_add(values),
        DataType::Utf8 | DataType::Binary => padded(values, text_bytes(data)),
        DataType::FixedSizeBinary(width) => {
            values.saturating_mul(usize::try_from(*width).unwrap_or(0).saturating_add(1))
        }
        other => values.saturating_mul(other.primitive_width().unwrap_or(1) + 1),
    };
    // With where each row ends.
    *held = held.saturating_add(encoded).saturating_add(values.saturating_mul(size_of::<usize>()));
    encoded
}

fn text_bytes(data: &ArrayData) -> usize {
    let offsets = data.buffer::<i32>(0);
    let at = |row: usize| offsets.get(row).map_or(0, |offset| *offset as usize);
    at(data.len()).saturating_sub(at(0))
}

/// So many values of any length are padded: short ones to blocks of 8 bytes, long ones to 32, with a byte for each block.
fn padded(values: usize, bytes: usize) -> usize {
    let mostly_short = values.saturating_mul(10).saturating_add(bytes.saturating_mul(2));
    let mostly_long = values.saturating_mul(37).saturating_add(bytes.saturating_add(bytes / 8));
    mostly_short.min(mostly_long)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, FixedSizeBinaryArray, Int64Array, ListArray, NullArray, StringArray, StructArray,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;
    use arrow::row::{RowConverter, SortField};

    use super::*;

    fn lists_of(each: usize, item: ArrayRef) -> ArrayRef {
        let field = Arc::new(Field::new("item", item.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(each, item.len() / each));
        Arc::new(ListArray::new(field, offsets, item, None))
    }

    fn struct_of(column: ArrayRef) -> ArrayRef {
        let field = Arc::new(Field::new("a", column.data_type().clone(), true));
        Arc::new(StructArray::from(vec![(field, column)]))
    }

    #[test]
    fn no_column_gets_larger_than_it_is_said_to_and_no_flat_one_is_said_to_be_many_times_as_large() {
        let bits: ArrayRef = Arc::new(BooleanArray::from(vec![true; 4096]));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..4096));
        let texts = |length: usize| -> ArrayRef {
            Arc::new(StringArray::from_iter_values((0..512).map(|_| "x".repeat(length))))
        };
        let fixed = FixedSizeBinaryArray::try_from_iter((0..64).map(|_| [7u8; 9])).unwrap();
        let columns = [
            bits.clone(),
            numbers.clone(),
            Arc::new(NullArray::new(512)),
            Arc::new(fixed),
            texts(0),
            texts(1),
            texts(33),
            texts(1000),
            struct_of(numbers.clone()),
            lists_of(1, bits.clone()),
            lists_of(1, lists_of(1, lists_of(1, bits.clone()))),
            lists_of(2, lists_of(16, struct_of(numbers.clone()))),
            lists_of(8, texts(40)),
        ];
        for column in &columns {
            let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())]).unwrap();
            let rows = converter.convert_columns(std::slice::from_ref(column)).unwrap();
            let found: usize = rows.iter().map(|row| row.as_ref().len()).sum();
            let said = bytes(std::slice::from_ref(column));
            assert!(found <= said, "{} takes {found} bytes, not {said}", column.data_type());
        }
        assert!(bytes(&[texts(1000)]) < 600_000);
        assert!(bytes(&columns[10..11]) > 4096 * 40, "a bit takes more than forty bytes where it is nested");
    }
}
