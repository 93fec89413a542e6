//! Which partition a key belongs to, as Kafka's own Java clients have it: 32-bit Murmur2 with their seed.
//!
//! Source: `org.apache.kafka.common.utils.Utils.murmur2`, and `toPositive`.

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;

/// Not negative. The partition is the remainder by their number.
pub(super) fn hash(key: &[u8]) -> i32 {
    let mut hash = SEED ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        word = word.wrapping_mul(MULTIPLIER);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MULTIPLIER) ^ word.wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Kafka's own test of its function (`UtilsTest.testMurmur2`).
    #[test]
    fn hashes_are_those_of_javas_clients() {
        let known: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, expected) in known {
            assert_eq!(hash(key), expected & 0x7fff_ffff, "{}", String::from_utf8_lossy(key));
        }
    }
}
