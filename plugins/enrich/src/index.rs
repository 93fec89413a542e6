//! From keys to the rows of a table.

use sluicebox_kernels::NULL;
use sluicebox_plugin::same_bytes;

/// Keys, each with one row. Open addressing: a slot holds the number of an entry plus one, or nothing. At least half of
/// the slots are free.
#[derive(Default)]
pub struct Index {
    slots: Vec<u32>,
    hashes: Vec<u32>,
    rows: Vec<i32>,
    /// Where each entry's key ends among all keys' bytes.
    ends: Vec<u32>,
    keys: Vec<u8>,
}

impl Index {
    /// The row of the key; [`NULL`] if it has none.
    #[inline]
    pub fn get(&self, key: &[u8]) -> i32 {
        if self.slots.is_empty() {
            return NULL;
        }
        match self.slots[self.find(hash(key), key)] {
            0 => NULL,
            entry => self.rows[entry as usize - 1],
        }
    }

    /// The place of the key's row, which is new with [`NULL`] in it.
    pub fn row_of(&mut self, key: &[u8]) -> &mut i32 {
        if self.slots.len() < 2 * (self.rows.len() + 1) {
            self.grow();
        }
        let hash = hash(key);
        let slot = self.find(hash, key);
        if self.slots[slot] == 0 {
            self.keys.extend_from_slice(key);
            self.ends.push(self.keys.len() as u32);
            self.hashes.push(hash);
            self.rows.push(NULL);
            self.slots[slot] = self.rows.len() as u32;
        }
        &mut self.rows[self.slots[slot] as usize - 1]
    }

    /// The slot that the key is in, or the free one that it belongs in. There are slots, and free ones among them.
    #[inline]
    fn find(&self, hash: u32, key: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return slot,
                entry => {
                    let entry = entry as usize - 1;
                    if self.hashes[entry] == hash && same_bytes(self.key(entry), key) {
                        return slot;
                    }
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    fn key(&self, entry: usize) -> &[u8] {
        let start = if entry == 0 { 0 } else { self.ends[entry - 1] };
        &self.keys[start as usize..self.ends[entry] as usize]
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(16);
        self.slots = vec![0; slots];
        for (entry, hash) in self.hashes.iter().enumerate() {
            let mut slot = *hash as usize & (slots - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = entry as u32 + 1;
        }
    }
}

/// Well mixed, and never stored. Not against an adversary: the keys are those of a table that the pipeline's owner chose.
#[inline]
fn hash(key: &[u8]) -> u32 {
    let (words, rest) = key.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let start = 0x9e37_79b9_7f4a_7c15 ^ key.len() as u64;
    let state = words.iter().fold(start, |state, word| mix(state ^ u64::from_le_bytes(*word)));
    (mix(state ^ u64::from_le_bytes(last)) >> 32) as u32
}

#[inline]
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^ bits >> 32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(keys in prop::collection::vec(prop::collection::vec(0u8..3, 0..10), 0..300)) {
            let (mut index, mut map) = (Index::default(), HashMap::new());
            for (row, key) in keys.iter().enumerate() {
                prop_assert_eq!(*index.row_of(key), map.get(key).copied().unwrap_or(NULL));
                *index.row_of(key) = row as i32;
                map.insert(key.clone(), row as i32);
            }
            for key in &keys {
                prop_assert_eq!(index.get(key), map[key]);
            }
            prop_assert_eq!(index.get(&[9; 11]), NULL);
        }
    }

    #[test]
    fn hashes_spread() {
        let mut index = Index::default();
        for row in 0..100_000_i32 {
            *index.row_of(&(i64::from(row) << 20).to_be_bytes()) = row;
        }
        let longest = index.slots.split(|slot| *slot == 0).map(<[u32]>::len).max();
        assert!(longest < Some(200), "{longest:?} slots in a row are taken");
    }
}
