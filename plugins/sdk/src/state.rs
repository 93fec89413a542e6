//! Keyed state that knows what changed.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::{Batch, Column, ColumnBuilder, Delta, Error, Field, Fields, Key, KeyShape, Kind, Scalar, State};

/// A key or a value of a [`KeyedState`]: how it becomes columns and comes back.
pub trait Stored: Sized + Clone {
    /// What the type alone does not say of its columns; `()` where it says all.
    type Shape;

    /// The columns, of types that [`ColumnBuilder`] can build.
    fn fields(shape: &Self::Shape) -> Vec<Field>;

    /// One value for each column.
    fn write(&self, shape: &Self::Shape) -> Result<Vec<Scalar>, Error>;

    /// Back from one value for each column. [`Error::Data`] if they are none that `write` gives.
    fn read(shape: &Self::Shape, values: &[Scalar]) -> Result<Self, Error>;
}

impl Stored for Key {
    type Shape = KeyShape;

    fn fields(shape: &KeyShape) -> Vec<Field> {
        shape.0.clone()
    }

    fn write(&self, shape: &KeyShape) -> Result<Vec<Scalar>, Error> {
        shape.decode(self)
    }

    fn read(shape: &KeyShape, values: &[Scalar]) -> Result<Key, Error> {
        Ok(shape.encode(values))
    }
}

macro_rules! stored_scalar {
    ($type:ty, $name:literal, $kind:ident, $case:ident) => {
        impl Stored for $type {
            type Shape = ();

            fn fields(_: &()) -> Vec<Field> {
                vec![Field { nullable: false, ..crate::field($name, Kind::$kind) }]
            }

            fn write(&self, _: &()) -> Result<Vec<Scalar>, Error> {
                Ok(vec![Scalar::$case(self.clone())])
            }

            fn read(_: &(), values: &[Scalar]) -> Result<Self, Error> {
                match values {
                    [Scalar::$case(value)] => Ok(value.clone()),
                    _ => Err(Error::Data(concat!("stored state is not ", stringify!($type)).into())),
                }
            }
        }
    };
}

stored_scalar!(i64, "int", Int64, Int);
stored_scalar!(f64, "float", Float64, Float);
stored_scalar!(bool, "bool", Boolean, Bool);
stored_scalar!(String, "text", Utf8, Text);

/// Values by key. Reading and changing it is all that a plugin does: what changed since the host last asked is tracked.
pub struct KeyedState<K: Stored, V: Stored> {
    key_shape: K::Shape,
    value_shape: V::Shape,
    entries: HashMap<K, V>,
    changed: HashSet<K>,
}

impl<K: Stored + Ord + Hash, V: Stored> KeyedState<K, V> {
    pub fn new(key_shape: K::Shape, value_shape: V::Shape) -> KeyedState<K, V> {
        KeyedState { key_shape, value_shape, entries: HashMap::new(), changed: HashSet::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// The value of a key, to change; it counts as changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (known, _) = self.entries.get_key_value(key)?;
        if !self.changed.contains(key) {
            self.changed.insert(known.clone());
        }
        self.entries.get_mut(key)
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.changed.insert(key.clone());
        self.entries.insert(key, value);
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.entries.remove(key)?;
        self.changed.insert(key.clone());
        Some(value)
    }

    /// All entries, in no particular order: sort what you emit.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    pub fn key_shape(&self) -> &K::Shape {
        &self.key_shape
    }

    fn write(&self, keys: &[&K], with_values: bool) -> Result<Option<Batch>, Error> {
        if keys.is_empty() {
            return Ok(None);
        }
        let mut fields = K::fields(&self.key_shape);
        if with_values {
            fields.extend(V::fields(&self.value_shape));
        }
        let mut builders = builders(&fields)?;
        for key in keys {
            let mut row = key.write(&self.key_shape)?;
            if let (true, Some(value)) = (with_values, self.entries.get(*key)) {
                row.extend(value.write(&self.value_shape)?);
            }
            for (builder, value) in builders.iter_mut().zip(&row) {
                builder.push(value);
            }
        }
        let columns: Vec<Column> = builders.into_iter().map(ColumnBuilder::finish).collect();
        Ok(Some(Batch { rows: keys.len() as u32, columns }))
    }
}

fn builders(fields: &[Field]) -> Result<Vec<ColumnBuilder>, Error> {
    let unsupported = |field: &Field| Error::Schema(format!("state cannot hold column `{}`", field.name));
    fields.iter().map(|field| ColumnBuilder::new(&field.kind).ok_or_else(|| unsupported(field))).collect()
}

impl<K: Stored + Ord + Hash, V: Stored> State for KeyedState<K, V> {
    fn layout(&self) -> Fields {
        // A key column may have the name of a value column, and the fields of a layout may not.
        let prefixed = |prefix: &str, fields: Vec<Field>| {
            fields
                .into_iter()
                .map(|field| Field { name: format!("{prefix}_{}", field.name), ..field })
                .collect()
        };
        Fields {
            key: prefixed("key", K::fields(&self.key_shape)),
            value: prefixed("value", V::fields(&self.value_shape)),
        }
    }

    fn changes(&mut self) -> Result<Delta, Error> {
        let mut changed: Vec<&K> = self.changed.iter().collect();
        changed.sort();
        let (upserts, deletes): (Vec<&K>, Vec<&K>) =
            changed.iter().partition(|key| self.entries.contains_key(**key));
        let delta = Delta { upserts: self.write(&upserts, true)?, deletes: self.write(&deletes, false)? };
        self.changed.clear();
        Ok(delta)
    }

    fn restore(&mut self, upserts: &Batch) -> Result<(), Error> {
        let key_fields = K::fields(&self.key_shape);
        let mut fields = key_fields.clone();
        fields.extend(V::fields(&self.value_shape));
        if fields.len() != upserts.columns.len() {
            return Err(Error::Data("stored state has other columns than the plugin's".into()));
        }
        for row in 0..upserts.rows as usize {
            let values: Option<Vec<Scalar>> = fields
                .iter()
                .zip(&upserts.columns)
                .map(|(field, column)| Scalar::read(column, &field.kind, row))
                .collect();
            let values =
                values.ok_or_else(|| Error::Data("stored state has columns of other types".into()))?;
            let (key, value) = values.split_at(key_fields.len());
            self.entries.insert(K::read(&self.key_shape, key)?, V::read(&self.value_shape, value)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::KeyedState;
    use crate::State;

    fn state() -> KeyedState<String, i64> {
        KeyedState::new((), ())
    }

    #[test]
    fn a_restored_copy_has_the_same_entries_and_no_changes() {
        let mut first = state();
        first.insert("b".into(), 2);
        first.insert("a".into(), 1);
        let mut second = state();
        second.restore(&first.changes().unwrap().upserts.unwrap()).unwrap();
        assert_eq!((second.get("a"), second.get("b"), second.len()), (Some(&1), Some(&2), 2));
        let delta = second.changes().unwrap();
        assert!(delta.upserts.is_none() && delta.deletes.is_none());
    }

    #[test]
    fn each_change_is_told_once_and_a_key_only_on_one_side() {
        let mut state = state();
        state.insert("kept".into(), 1);
        state.insert("gone".into(), 2);
        state.remove(&"gone".to_owned());
        let delta = state.changes().unwrap();
        assert_eq!((delta.upserts.unwrap().rows, delta.deletes.unwrap().rows), (1, 1));
        *state.get_mut("kept").unwrap() += 1;
        let delta = state.changes().unwrap();
        assert_eq!((delta.upserts.unwrap().rows, delta.deletes.is_none()), (1, true));
        assert!(state.changes().unwrap().upserts.is_none());
    }
}
