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
    if a.len() != b.len() {
        return false;
    }
    // The two ends of short texts overlap.
    match a.len() {
        0 => true,
        1 => a[0] == b[0],
        2..4 => same_ends::<2>(a, b),
        4..8 => same_ends::<4>(a, b),
        _ => {
            same_ends::<8>(a, b) && a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).all(|(a, b)| a == b)
        }
    }
}

#[inline(always)]
fn same_ends<const LENGTH: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<LENGTH>() == b.first_chunk() && a.last_chunk::<LENGTH>() == b.last_chunk()
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
