//! Random numbers that are none: the same for every instance, from its start on. For seeds of hash tables.

use wasmtime::component::LinkerInstance;
use wasmtime::{StoreContextMut, bail};

use super::super::guest::Guest;

const SEED: u64 = 0x736c_7569_6365;
const MAX_BYTES: u64 = 64 << 10;

/// The numbers of splitmix64.
#[derive(Debug)]
pub(in super::super) struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(SEED)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// `prefix`: of both functions' names.
pub(super) fn numbers(random: &mut LinkerInstance<'_, Guest>, prefix: &str) -> wasmtime::Result<()> {
    type Context<'a> = StoreContextMut<'a, Guest>;
    random.func_wrap(&format!("{prefix}-bytes"), |mut context: Context<'_>, (length,): (u64,)| {
        if length > MAX_BYTES {
            bail!("it asks for {length} random bytes at once, the limit is {MAX_BYTES}");
        }
        let random = &mut context.data_mut().random;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            bytes.extend(random.next().to_le_bytes());
        }
        bytes.truncate(usize::try_from(length)?);
        Ok((bytes,))
    })?;
    random.func_wrap(&format!("{prefix}-u64"), |mut context: Context<'_>, (): ()| {
        Ok((context.data_mut().random.next(),))
    })
}

pub(super) fn seed(seed: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    seed.func_wrap("insecure-seed", |_, (): ()| Ok(((0u64, 0u64),)))
}
