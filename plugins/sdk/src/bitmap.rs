//! Bitmaps in the layout of the contract: bit i is byte i/8, bit i%8.

use crate::Strings;

/// One bit for each row. Bits past the last row have no meaning.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Bitmap {
    bytes: Vec<u8>,
    rows: usize,
}

impl Bitmap {
    pub fn filled(rows: usize, value: bool) -> Bitmap {
        Bitmap { bytes: vec![if value { u8::MAX } else { 0 }; rows.div_ceil(8)], rows }
    }

    /// Takes bytes in the layout of the contract, at least as many as `rows` needs.
    pub fn from_vec(bytes: Vec<u8>, rows: usize) -> Bitmap {
        debug_assert!(bytes.len() >= rows.div_ceil(8), "a bitmap of {rows} rows");
        Bitmap { bytes, rows }
    }

    /// Copies as many bytes as `rows` needs.
    pub fn from_bytes(bytes: &[u8], rows: usize) -> Bitmap {
        Bitmap { bytes: bytes[..rows.div_ceil(8)].to_vec(), rows }
    }

    /// The bits that `test` gives for each of `values`. Sixteen rows a turn: an interruption check is paid each turn.
    #[inline]
    pub fn of_values<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> Bitmap {
        let mut bytes = Vec::with_capacity(values.len().div_ceil(8));
        let mut blocks = values.chunks_exact(16);
        for block in &mut blocks {
            let mut bits = 0u16;
            for (i, value) in block.iter().enumerate() {
                bits |= u16::from(test(*value)) << i;
            }
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        for block in blocks.remainder().chunks(8) {
            bytes.push(
                block.iter().enumerate().fold(0, |bits, (i, value)| bits | u8::from(test(*value)) << i),
            );
        }
        Bitmap { bytes, rows: values.len() }
    }

    /// The bits that `test` gives for each text. Eight rows a turn.
    #[inline]
    pub fn of_texts(texts: Strings<'_>, test: impl Fn(&[u8]) -> bool) -> Bitmap {
        let (offsets, data) = (texts.offsets(), texts.data());
        let rows = texts.len();
        let mut bytes = Vec::with_capacity(rows.div_ceil(8));
        let mut start = 0;
        // Offsets are never beyond the data: cutting them there costs less than the branches of a check.
        let cut = |offset: i32| (offset as usize).min(data.len());
        while let Some(block) = offsets[start..].first_chunk::<9>() {
            let mut bits = 0;
            for i in 0..8 {
                let end = cut(block[i + 1]);
                bits |= u8::from(test(&data[cut(block[i]).min(end)..end])) << i;
            }
            bytes.push(bits);
            start += 8;
        }
        if start < rows {
            bytes.push(
                (start..rows).fold(0, |bits, row| bits | u8::from(test(texts.bytes(row))) << (row - start)),
            );
        }
        Bitmap { bytes, rows }
    }

    /// The bits that `test` gives for each row number.
    #[inline]
    pub fn of_rows(rows: usize, test: impl Fn(usize) -> bool) -> Bitmap {
        let mut bytes = Vec::with_capacity(rows.div_ceil(8));
        for start in (0..rows).step_by(8) {
            let end = rows.min(start + 8);
            bytes.push((start..end).fold(0, |bits, row| bits | u8::from(test(row)) << (row - start)));
        }
        Bitmap { bytes, rows }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn get(&self, row: usize) -> bool {
        self.bytes[row / 8] >> (row % 8) & 1 == 1
    }

    pub fn set(&mut self, row: usize, value: bool) {
        let mask = 1 << (row % 8);
        if value {
            self.bytes[row / 8] |= mask;
        } else {
            self.bytes[row / 8] &= !mask;
        }
    }

    pub fn and(&mut self, other: &[u8]) {
        for (byte, other) in self.bytes.iter_mut().zip(other) {
            *byte &= other;
        }
    }

    pub fn or(&mut self, other: &[u8]) {
        for (byte, other) in self.bytes.iter_mut().zip(other) {
            *byte |= other;
        }
    }

    pub fn xor(&mut self, other: &[u8]) {
        for (byte, other) in self.bytes.iter_mut().zip(other) {
            *byte ^= other;
        }
    }

    pub fn inverted(mut self) -> Bitmap {
        self.invert();
        self
    }

    pub fn invert(&mut self) {
        for byte in &mut self.bytes {
            *byte = !*byte;
        }
    }

    /// The rows whose bit is clear, ascending.
    pub fn clear_rows(&self) -> impl Iterator<Item = usize> {
        ones(self.words(u64::MAX))
    }

    /// The rows whose bit is set, ascending.
    pub fn set_rows(&self) -> impl Iterator<Item = usize> {
        ones(self.words(0))
    }

    pub fn count_set(&self) -> usize {
        self.words(0).map(|word| word.count_ones() as usize).sum()
    }

    /// The bits, 64 a word, with those of `flip` the other way round, and none past the last row.
    fn words(&self, flip: u64) -> impl Iterator<Item = u64> {
        self.bytes[..self.rows.div_ceil(8)].chunks(8).enumerate().map(move |(at, bytes)| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let rows = (self.rows - at * 64).min(64);
            (u64::from_le_bytes(word) ^ flip) & u64::MAX >> (64 - rows)
        })
    }

    pub fn all_set(&self) -> bool {
        let (whole, rest) = (self.rows / 8, self.rows % 8);
        self.bytes[..whole].iter().all(|byte| *byte == u8::MAX)
            && (rest == 0 || self.bytes[whole] | u8::MAX << rest == u8::MAX)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The positions of the bits that are set.
fn ones(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.enumerate().flat_map(|(at, mut word)| {
        std::iter::from_fn(move || {
            let bit = word.trailing_zeros() as usize;
            (word != 0).then(|| {
                word &= word - 1;
                at * 64 + bit
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::Bitmap;

    #[test]
    fn values_and_rows_give_the_same_bits_at_every_length() {
        for rows in [0, 1, 7, 8, 9, 15, 16, 17, 40, 129] {
            let values: Vec<usize> = (0..rows).collect();
            let by_value = Bitmap::of_values(&values, |value| value % 3 == 0);
            assert_eq!(by_value, Bitmap::of_rows(rows, |row| row % 3 == 0));
            let clear: Vec<usize> = by_value.clear_rows().collect();
            assert_eq!(clear, values.iter().copied().filter(|row| row % 3 != 0).collect::<Vec<_>>());
            let set: Vec<usize> = by_value.inverted().set_rows().collect();
            assert_eq!(set, clear, "bits past the last row are no rows");
        }
    }

    #[test]
    fn all_set_ignores_the_bits_past_the_last_row() {
        let mut bits = Bitmap::from_bytes(&[0xff, 0x07], 11);
        assert!(bits.all_set());
        assert_eq!(bits.count_set(), 11);
        bits.set(10, false);
        assert!(!bits.all_set());
    }
}
