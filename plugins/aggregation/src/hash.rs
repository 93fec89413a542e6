//! Hashes of values that are the same on every machine and in every version: they end up in stored sketches.

use sluicebox_plugin::Scalar;

/// 64 well mixed bits. Not against an adversary: whoever knows it can make values collide.
pub fn hash(value: &Scalar) -> u64 {
    match value {
        Scalar::Null => mix(1),
        Scalar::Bool(value) => mix(2 + u64::from(*value)),
        Scalar::Int(value) => mix(*value as u64 ^ SEED),
        // Equal floats have equal hashes, and so have all NaN.
        Scalar::Float(value) if value.is_nan() => mix(f64::NAN.to_bits() ^ SEED),
        Scalar::Float(value) => mix((value + 0.0).to_bits() ^ SEED),
        Scalar::Text(text) => hash_bytes(text.as_bytes()),
        Scalar::Bytes(bytes) => hash_bytes(bytes),
    }
}

/// The golden ratio, as good as any number.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let start = SEED ^ bytes.len() as u64;
    let state = words.iter().fold(start, |state, word| mix(state ^ u64::from_le_bytes(*word)));
    mix(state ^ u64::from_le_bytes(last))
}

/// The finaliser of MurmurHash3: a bijection in which each bit of the input turns about half of the output's.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A hash that changed would make nonsense of stored sketches.
    #[test]
    fn hashes_are_what_they_always_were() {
        let hashes =
            [Scalar::Int(0), Scalar::Float(1.5), Scalar::Text("plant-01".into())].map(|value| hash(&value));
        assert_eq!(hashes, [0x9ca0_66f1_a4ab_2eea, 0x35af_cf05_f201_3659, 0xb5d0_f9ab_6550_1db4]);
    }

    #[test]
    fn like_values_differ_and_equal_ones_do_not() {
        let texts = (0..1_000).map(|i| Scalar::Text(format!("plant-{i}/machine-{}", i % 7)));
        let zeros = (0..20).map(|length| Scalar::Bytes(vec![0; length]));
        let hashes: HashSet<u64> = texts.chain(zeros).map(|value| hash(&value)).collect();
        assert_eq!(hashes.len(), 1_020);
        assert_eq!(hash(&Scalar::Float(0.0)), hash(&Scalar::Float(-0.0)));
        assert_eq!(hash(&Scalar::Float(f64::NAN)), hash(&Scalar::Float(-f64::NAN)));
    }
}
