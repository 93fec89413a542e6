//! Values of two columns side by side. Floats are the same if their bits are; plugins have one not-a-number.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use super::encoded;

/// Bytes that both sides may take together in the form in which they are compared.
const MAX_ENCODED: usize = 256 << 20;

/// The rows in which two columns of one type and length differ; `None` if in none.
pub fn differing(one: &ArrayRef, other: &ArrayRef) -> Result<Option<BooleanBuffer>, ArrowError> {
    if one == other {
        return Ok(None);
    }
    let [one, other] = rows(std::slice::from_ref(one), std::slice::from_ref(other))?;
    let differ: BooleanBuffer = one.iter().zip(other.iter()).map(|(one, other)| one != other).collect();
    Ok((differ.count_set_bits() > 0).then_some(differ))
}

/// The rows of both that the other one lacks, as numbers. A row that is there twice wants two.
pub fn unmatched(one: &[ArrayRef], other: &[ArrayRef]) -> Result<[Vec<usize>; 2], ArrowError> {
    let [one, other] = rows(one, other)?;
    let sorted = |rows: &Rows| {
        let mut numbers: Vec<usize> = (0..rows.num_rows()).collect();
        numbers.sort_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
        numbers.into_iter().peekable()
    };
    let (mut ones, mut others) = (sorted(&one), sorted(&other));
    let mut unmatched = [Vec::new(), Vec::new()];
    while let (Some(a), Some(b)) = (ones.peek().copied(), others.peek().copied()) {
        let order = one.row(a).cmp(&other.row(b));
        if order.is_le() {
            ones.next();
        }
        if order.is_ge() {
            others.next();
        }
        if order.is_lt() {
            unmatched[0].push(a);
        } else if order.is_gt() {
            unmatched[1].push(b);
        }
    }
    unmatched[0].extend(ones);
    unmatched[1].extend(others);
    Ok(unmatched)
}

/// In a form in which rows are the same if their bytes are; it may take [`MAX_ENCODED`].
fn rows(one: &[ArrayRef], other: &[ArrayRef]) -> Result<[Rows; 2], ArrowError> {
    let encoded = encoded::bytes(one).saturating_add(encoded::bytes(other));
    if encoded > MAX_ENCODED {
        return Err(ArrowError::MemoryError(format!(
            "the values would take up to {encoded} bytes, of {MAX_ENCODED}: lists are the largest"
        )));
    }
    let fields = one.iter().map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    Ok([converter.convert_columns(one)?, converter.convert_columns(other)?])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Float64Array, Int64Array, Int64Builder, ListArray, ListBuilder, MapBuilder,
        StringArray, StringBuilder, StructArray,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn differ(one: ArrayRef, other: ArrayRef) -> Vec<usize> {
        differing(&one, &other).unwrap().map_or_else(Vec::new, |differ| differ.set_indices().collect())
    }

    #[test]
    fn values_differ_by_their_bits_and_null_from_all_others() {
        let floats = |values: [f64; 4]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let nan = f64::NAN;
        assert_eq!(differ(floats([nan, 0.0, 1.0, nan]), floats([nan, -0.0, 1.0, 2.0])), [1, 3]);
        let texts = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        assert_eq!(differ(texts([None, Some(""), Some("a")]), texts([Some(""), Some(""), None])), [0, 2]);
        assert_eq!(differ(texts([None, None, Some("a")]), texts([None, None, Some("a")])), [0; 0]);
    }

    #[test]
    fn nested_values_are_compared_whole() {
        let lists = |rows: [&[i64]; 3]| {
            let mut lists = ListBuilder::new(Int64Builder::new());
            rows.iter().for_each(|row| lists.append_value(row.iter().map(|value| Some(*value))));
            Arc::new(lists.finish()) as ArrayRef
        };
        assert_eq!(differ(lists([&[1, 2], &[], &[3]]), lists([&[1], &[2], &[3]])), [0, 1]);
        let structs = |values: Vec<i64>| {
            let field = Arc::new(Field::new("a", DataType::Int64, true));
            Arc::new(StructArray::from(vec![(field, Arc::new(Int64Array::from(values)) as ArrayRef)]))
                as ArrayRef
        };
        assert_eq!(differ(structs(vec![1, 2]), structs(vec![1, 3])), [1]);
        let maps = |value: i64| {
            let mut maps = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
            maps.keys().append_value("k");
            maps.values().append_value(value);
            maps.append(true).unwrap();
            maps.append(true).unwrap();
            Arc::new(maps.finish()) as ArrayRef
        };
        assert_eq!(differ(maps(1), maps(2)), [0]);
        assert_eq!(differ(maps(1), maps(1)), [0; 0]);
    }

    /// Two megabytes of bits as lists of lists would take a gigabyte to compare.
    #[test]
    fn what_would_take_too_much_is_not_compared() {
        let nested = |value: bool| {
            let mut column: ArrayRef = Arc::new(BooleanArray::from(vec![value; 1 << 21]));
            for _ in 0..3 {
                let item = Arc::new(Field::new("item", column.data_type().clone(), true));
                let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(1, column.len()));
                column = Arc::new(ListArray::new(item, offsets, column, None));
            }
            column
        };
        let error = differing(&nested(true), &nested(false)).unwrap_err();
        assert!(matches!(error, ArrowError::MemoryError(_)), "{error}");
        assert!(unmatched(&[nested(true)], &[nested(false)]).is_err());
        assert!(differing(&nested(true), &nested(true)).unwrap().is_none(), "the same is the same");
    }

    #[test]
    fn rows_that_the_other_side_lacks_are_found_whatever_the_order() {
        let columns = |keys: Vec<&str>, values: Vec<Option<i64>>| -> Vec<ArrayRef> {
            vec![Arc::new(StringArray::from(keys)), Arc::new(Int64Array::from(values))]
        };
        let one = columns(vec!["b", "a", "a", "c", "a"], vec![Some(2), Some(1), Some(1), None, Some(5)]);
        let other = columns(vec!["a", "c", "b", "d"], vec![Some(1), None, Some(3), Some(4)]);
        let [mut only_one, only_other] = unmatched(&one, &other).unwrap();
        only_one.sort_unstable();
        assert!(matches!(only_one.as_slice(), [0, 1 | 2, 4]), "{only_one:?}");
        assert_eq!(only_other, [2, 3]);
        assert_eq!(unmatched(&other, &other).unwrap(), [const { Vec::<usize>::new() }; 2]);
    }
}
