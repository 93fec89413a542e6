//! The sessions that are open.

use std::collections::BTreeSet;

use aggregation::{Accumulators, Aggregated};
use sluicebox_plugin::{
    Batch, Delta, Error, Field, Fields, Key, KeyShape, KeyedState, Scalar, State, Stored, field,
    timestamp_micros,
};

/// What is known of a session, beside its group and start.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The greatest event time of its rows.
    pub last: i64,
    pub accumulators: Accumulators,
}

/// Sessions by group and start. Those of one group are at least the gap apart.
pub struct Sessions {
    gap: i64,
    aggregates: Vec<Aggregated>,
    sessions: KeyedState<Key, Session>,
    /// Neighbours in time are neighbours here.
    by_start: BTreeSet<Key>,
    /// In the order in which they will be over.
    by_last: BTreeSet<(i64, Key)>,
}

impl Sessions {
    /// `shape`: the columns of the group, then the start.
    pub fn new(shape: KeyShape, aggregates: Vec<Aggregated>, gap: i64) -> Sessions {
        let sessions = KeyedState::new(shape, aggregates.clone());
        Sessions { gap, aggregates, sessions, by_start: BTreeSet::new(), by_last: BTreeSet::new() }
    }

    /// Adds a row to the session that it belongs to, which may be a new one, or two that it joins to one.
    pub fn add(&mut self, group: &[u8], time: i64, values: &[Scalar]) -> Result<(), Error> {
        let at = key_of(group, time);
        let in_group = |key: &&Key| is_in_group(key, group);
        let before = self.by_start.range::<Key, _>(..=&at).next_back().filter(in_group).cloned();
        let after = self.by_start.range::<Key, _>(&at..).find(|key| **key != at).filter(in_group).cloned();
        let before = before.filter(|key| {
            self.sessions.get(key).is_some_and(|session| time < session.last.saturating_add(self.gap))
        });
        let after = match after {
            Some(key) if start_of(&key)? < time.saturating_add(self.gap) => Some(key),
            _ => None,
        };
        // The row comes last of its equals in time, so it is added before what is later in time, and after the rest.
        let (key, mut session) = match before.and_then(|key| Some((key.clone(), self.remove(&key)?))) {
            Some(found) => found,
            None => (at, Session { last: time, accumulators: Accumulators::new(&self.aggregates) }),
        };
        session.accumulators.add(time, values);
        session.last = session.last.max(time);
        if let Some(later) = after.and_then(|key| self.remove(&key)) {
            session.last = session.last.max(later.last);
            session.accumulators.merge(later.accumulators);
        }
        self.insert(key, session);
        Ok(())
    }

    /// Takes out the session that ended first, if the watermark has passed its last row by the gap.
    pub fn remove_first_over(&mut self, watermark: i64) -> Option<(Key, Session)> {
        let (last, key) = self.by_last.first()?;
        if last.saturating_add(self.gap) > watermark {
            return None;
        }
        let key = key.clone();
        let session = self.remove(&key)?;
        Some((key, session))
    }

    fn insert(&mut self, key: Key, session: Session) {
        self.by_start.insert(key.clone());
        self.by_last.insert((session.last, key.clone()));
        self.sessions.insert(key, session);
    }

    fn remove(&mut self, key: &Key) -> Option<Session> {
        let session = self.sessions.remove(key)?;
        self.by_start.remove(key);
        self.by_last.remove(&(session.last, key.clone()));
        Some(session)
    }
}

fn key_of(group: &[u8], start: i64) -> Key {
    let mut key = group.to_vec();
    Key::append_int(start, &mut key);
    Key::from(key.as_slice())
}

/// Keys end with the start, whose length is always the same.
fn is_in_group(key: &Key, group: &[u8]) -> bool {
    let (bytes, start) = (key.as_bytes(), Key::INT_LENGTH);
    bytes.len() == group.len() + start && bytes.starts_with(group)
}

fn start_of(key: &Key) -> Result<i64, Error> {
    key.last_int().ok_or_else(|| Error::Data("a stored session has no start".into()))
}

impl State for Sessions {
    fn layout(&self) -> Fields {
        self.sessions.layout()
    }

    fn changes(&mut self) -> Result<Delta, Error> {
        self.sessions.changes()
    }

    fn restore(&mut self, upserts: &Batch) -> Result<(), Error> {
        self.sessions.restore(upserts)?;
        self.by_start = self.sessions.iter().map(|(key, _)| key.clone()).collect();
        self.by_last = self.sessions.iter().map(|(key, session)| (session.last, key.clone())).collect();
        Ok(())
    }
}

impl Stored for Session {
    type Shape = Vec<Aggregated>;

    fn fields(shape: &Vec<Aggregated>) -> Vec<Field> {
        let last = Field { nullable: false, ..field("last", timestamp_micros()) };
        std::iter::once(last).chain(Accumulators::fields(shape)).collect()
    }

    fn write(&self, shape: &Vec<Aggregated>) -> Result<Vec<Scalar>, Error> {
        let last = std::iter::once(Scalar::Int(self.last));
        Ok(last.chain(self.accumulators.write(shape)?).collect())
    }

    fn read(shape: &Vec<Aggregated>, values: &[Scalar]) -> Result<Session, Error> {
        match values.split_first() {
            Some((Scalar::Int(last), rest)) => {
                Ok(Session { last: *last, accumulators: Accumulators::read(shape, rest)? })
            }
            _ => Err(Error::Data("a stored session has no end".into())),
        }
    }
}
