//! Strings and byte strings without copies.

use crate::ByteStrings;

/// The values of a `utf8` or `binary` column.
#[derive(Clone, Copy)]
pub struct Strings<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
}

impl<'a> Strings<'a> {
    pub fn new(bytes: &'a ByteStrings) -> Strings<'a> {
        Strings { offsets: &bytes.offsets, data: &bytes.data }
    }

    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn bytes(&self, row: usize) -> &'a [u8] {
        &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// The text of a `utf8` column's row. The host checked the encoding; bytes that are none after all read as "".
    #[inline]
    pub fn text(&self, row: usize) -> &'a str {
        std::str::from_utf8(self.bytes(row)).unwrap_or_default()
    }

    pub fn offsets(&self) -> &'a [i32] {
        self.offsets
    }

    pub fn data(&self) -> &'a [u8] {
        self.data
    }
}

/// Equality by words: `==` on slices is a call to a byte loop in WebAssembly.
#[inline(always)]
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let length = a.len();
    if length != b.len() {
        return false;
    }
    if length < 8 {
        return a.iter().zip(b).all(|(a, b)| a == b);
    }
    let mut at = 0;
    while at + 8 <= length {
        if word(a, at) != word(b, at) {
            return false;
        }
        at += 8;
    }
    word(a, length - 8) == word(b, length - 8)
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::same_bytes;

    #[test]
    fn words_compare_as_slices_do() {
        let text = b"abcdefghijklmnopqrstuvwxyz";
        for length in 0..text.len() {
            let a = &text[..length];
            assert!(same_bytes(a, a));
            for changed in 0..length {
                let mut b = a.to_vec();
                b[changed] ^= 1;
                assert!(!same_bytes(a, &b), "length {length}, byte {changed}");
            }
            assert!(!same_bytes(a, &text[..length + 1]));
        }
    }
}
