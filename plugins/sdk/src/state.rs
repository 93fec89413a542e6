//! Keyed state that knows what changed.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::{Batch, Column, ColumnBuilder, Delta, Error, Field, Fields, Key, KeyShape, Kind, Scalar, State};

/// A key or a value of a [`KeyedState`]: how it becomes columns and comes back.
pub trait Stored: Sized + Clone {
    /// What the type alone does not say of its columns; `()` where it says all.
    type Shape;

    /// Of a value: the version of its columns and of what they mean. To be raised when either changes.
    const VERSION: u32 = 1;

    /// The columns, of types that [`ColumnBuilder`] can build.
    fn fields(shape: &Self::Shape) -> Vec<Field>;

    /// One value for each column.
    fn write(&self, shape: &Self::Shape) -> Result<Vec<Scalar>, Error>;

    /// Back from one value for each column. [`Error::Data`] if they are none that `write` gives.
    fn read(shape: &Self::Shape, values: &[Scalar]) -> Result<Self, Error>;

    /// Of a value: how those are read that another version stored, or that have other columns. `None`: not at all, and
    /// the change to this plugin is refused.
    fn read_stored(_shape: &Self::Shape, _version: u32, _fields: &[Field]) -> Option<ReadStored<Self>> {
        None
    }
}

/// A value from what another version of the plugin stored for it, one scalar for each column.
pub type ReadStored<V> = Box<dyn Fn(&[Scalar]) -> Result<V, Error>>;

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
    /// Of the values that are restored, if they are not of this version.
    stored: Option<(Vec<Field>, ReadStored<V>)>,
}

impl<K: Stored + Ord + Hash, V: Stored> KeyedState<K, V> {
    pub fn new(key_shape: K::Shape, value_shape: V::Shape) -> KeyedState<K, V> {
        KeyedState { key_shape, value_shape, entries: HashMap::new(), changed: HashSet::new(), stored: None }
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

/// Why rows are not taken over, for people.
pub(crate) fn cannot_migrate(stored: &Fields, own: &Fields) -> Error {
    let told = |fields: &Fields| {
        let names: Vec<&str> =
            fields.key.iter().chain(&fields.value).map(|field| field.name.as_str()).collect();
        format!("version {} ({})", fields.version, names.join(", "))
    };
    Error::Data(format!("stored is state of {}, which {} does not take over", told(stored), told(own)))
}

// A key column may have the name of a value column, and the fields of a layout may not.
const KEY: &str = "key_";
const VALUE: &str = "value_";

fn prefixed(prefix: &str, fields: Vec<Field>) -> Vec<Field> {
    fields.into_iter().map(|field| Field { name: format!("{prefix}{}", field.name), ..field }).collect()
}

impl<K: Stored + Ord + Hash, V: Stored> State for KeyedState<K, V> {
    fn layout(&self) -> Fields {
        Fields {
            version: V::VERSION,
            key: prefixed(KEY, K::fields(&self.key_shape)),
            value: prefixed(VALUE, V::fields(&self.value_shape)),
        }
    }

    fn migrate(&mut self, stored: &Fields) -> Result<(), Error> {
        let own = self.layout();
        let without_prefix =
            |field: &Field| Some(Field { name: field.name.strip_prefix(VALUE)?.into(), ..field.clone() });
        let value: Option<Vec<Field>> = stored.value.iter().map(without_prefix).collect();
        let read = value.filter(|_| stored.key == own.key).and_then(|value| {
            let read = V::read_stored(&self.value_shape, stored.version, &value)?;
            Some((value, read))
        });
        self.stored = Some(read.ok_or_else(|| cannot_migrate(stored, &own))?);
        Ok(())
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
        fields.extend(match &self.stored {
            Some((fields, _)) => fields.clone(),
            None => V::fields(&self.value_shape),
        });
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
            let key = K::read(&self.key_shape, key)?;
            match &self.stored {
                Some((_, read)) => self.insert(key, read(value)?),
                None => _ = self.entries.insert(key, V::read(&self.value_shape, value)?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyedState, ReadStored, Stored};
    use crate::{Error, Field, Kind, Scalar, State, field};

    /// What was a bare count has a sum beside it since version 2.
    #[derive(Debug, Clone, PartialEq)]
    struct Mean {
        count: i64,
        sum: f64,
    }

    impl Stored for Mean {
        type Shape = ();
        const VERSION: u32 = 2;

        fn fields(_: &()) -> Vec<Field> {
            vec![field("count", Kind::Int64), field("sum", Kind::Float64)]
        }

        fn write(&self, _: &()) -> Result<Vec<Scalar>, Error> {
            Ok(vec![Scalar::Int(self.count), Scalar::Float(self.sum)])
        }

        fn read(_: &(), values: &[Scalar]) -> Result<Mean, Error> {
            match values {
                [Scalar::Int(count), Scalar::Float(sum)] => Ok(Mean { count: *count, sum: *sum }),
                _ => Err(Error::Data("no mean".into())),
            }
        }

        fn read_stored(_: &(), version: u32, fields: &[Field]) -> Option<ReadStored<Mean>> {
            (version == 1 && fields[0].name == "int").then(|| -> ReadStored<Mean> {
                Box::new(|values| match values {
                    [Scalar::Int(count)] => Ok(Mean { count: *count, sum: 0.0 }),
                    _ => Err(Error::Data("no count".into())),
                })
            })
        }
    }

    #[test]
    fn what_another_version_stored_is_taken_over_and_told_as_changed() {
        let mut before = state();
        before.insert("a".into(), 3);
        let stored = before.changes().unwrap().upserts.unwrap();
        let mut after: KeyedState<String, Mean> = KeyedState::new((), ());
        after.migrate(&before.layout()).unwrap();
        after.restore(&stored).unwrap();
        assert_eq!(after.get("a"), Some(&Mean { count: 3, sum: 0.0 }));
        let told = after.changes().unwrap().upserts.unwrap();
        let mut again: KeyedState<String, Mean> = KeyedState::new((), ());
        again.restore(&told).unwrap();
        assert_eq!(again.get("a"), after.get("a"));
    }

    #[test]
    fn what_nobody_knows_to_read_is_refused() {
        let mut state: KeyedState<String, Mean> = KeyedState::new((), ());
        let mut other = state.layout();
        other.version = 7;
        assert!(state.migrate(&other).is_err());
        let before: KeyedState<i64, i64> = KeyedState::new((), ());
        assert!(state.migrate(&before.layout()).is_err(), "keys are what they were");
        let mut plain = self::state();
        assert!(plain.migrate(&state.layout()).is_err());
    }

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
