//! The columns as a serde `Serializer` of one row.

use std::fmt::Display;

use serde::ser::{self, Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};

use crate::ColumnBuilder;
use crate::row_error::RowError;

use super::{ColumnWriter, Content};

impl ColumnWriter {
    fn leaf(&mut self, push: impl FnOnce(&mut ColumnBuilder) -> bool) -> Result<(), RowError> {
        let fits = if let Content::Leaf(builder) = &mut self.content { push(builder) } else { false };
        fits.then_some(()).ok_or_else(|| RowError::new("the value is of another type than the column"))
    }

    fn int(&mut self, value: impl TryInto<i64> + Display + Copy) -> Result<(), RowError> {
        let wide = value.try_into().map_err(|_| RowError::new(format!("{value} is beyond 64 bits")))?;
        self.leaf(|builder| builder.push_int(wide))
    }
}

/// The fields of a struct in the making: children that were passed by are null.
pub struct StructWriter<'a> {
    children: std::slice::IterMut<'a, ColumnWriter>,
}

impl SerializeStruct for StructWriter<'_> {
    type Ok = ();
    type Error = RowError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), RowError> {
        for child in self.children.by_ref() {
            if child.name == key {
                return value.serialize(&mut *child).map_err(|error| error.within(&child.name));
            }
            child.push_null().map_err(|error| error.within(&child.name))?;
        }
        Err(RowError::new(format!("there is no field `{key}` at this place")))
    }

    fn end(self) -> Result<(), RowError> {
        for child in self.children {
            child.push_null().map_err(|error| error.within(&child.name))?;
        }
        Ok(())
    }
}

/// The items of a list in the making.
pub struct ListWriter<'a> {
    offsets: &'a mut Vec<i32>,
    items: &'a mut usize,
    item: &'a mut ColumnWriter,
}

impl SerializeSeq for ListWriter<'_> {
    type Ok = ();
    type Error = RowError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RowError> {
        *self.items += 1;
        value.serialize(&mut *self.item)
    }

    fn end(self) -> Result<(), RowError> {
        self.offsets.push(*self.items as i32);
        Ok(())
    }
}

macro_rules! ints {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(self, value: $type) -> Result<(), RowError> {
            self.int(value)
        })+
    };
}

fn unsupported<T>(what: &str) -> Result<T, RowError> {
    Err(RowError::new(format!("{what} cannot be written to columns")))
}

impl<'a> Serializer for &'a mut ColumnWriter {
    type Ok = ();
    type Error = RowError;
    type SerializeSeq = ListWriter<'a>;
    type SerializeStruct = StructWriter<'a>;
    type SerializeTuple = Impossible<(), RowError>;
    type SerializeTupleStruct = Impossible<(), RowError>;
    type SerializeTupleVariant = Impossible<(), RowError>;
    type SerializeMap = Impossible<(), RowError>;
    type SerializeStructVariant = Impossible<(), RowError>;

    ints!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    ints!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);

    fn serialize_bool(self, value: bool) -> Result<(), RowError> {
        self.leaf(|builder| builder.push_bool(value))
    }

    fn serialize_f32(self, value: f32) -> Result<(), RowError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), RowError> {
        self.leaf(|builder| builder.push_float(value))
    }

    fn serialize_char(self, value: char) -> Result<(), RowError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), RowError> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), RowError> {
        self.leaf(|builder| builder.push_bytes(value))
    }

    fn serialize_none(self) -> Result<(), RowError> {
        self.push_null()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), RowError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), RowError> {
        self.push_null()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), RowError> {
        self.push_null()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), RowError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), RowError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), RowError> {
        unsupported("a variant with data")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter<'a>, RowError> {
        let Content::List { present, offsets, item, items } = &mut self.content else {
            return Err(RowError::new("the value is a sequence, the column no list"));
        };
        present.push(true);
        Ok(ListWriter { offsets, items, item })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<StructWriter<'a>, RowError> {
        let Content::Struct { present, children } = &mut self.content else {
            return Err(RowError::new("the value is a struct, the column none"));
        };
        present.push(true);
        Ok(StructWriter { children: children.iter_mut() })
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, RowError> {
        unsupported("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, RowError> {
        unsupported("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, RowError> {
        unsupported("a variant with data")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, RowError> {
        unsupported("a map")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, RowError> {
        unsupported("a variant with data")
    }
}

impl ser::Error for RowError {
    fn custom<T: Display>(message: T) -> RowError {
        RowError::new(message.to_string())
    }
}
