//! Random numbers. Unless the step was granted `random` they are none: the same for every instance, from its start on.
//! For seeds of hash tables.

use wasmtime::component::LinkerInstance;
use wasmtime::{Result, StoreContextMut, bail};

use super::super::guest::Guest;
use super::Wasi;

const SEED: u64 = 0x736c_7569_6365;
const MAX_BYTES: u64 = 64 << 10;

/// The numbers of splitmix64.
#[derive(Debug)]
pub(super) struct Random(u64);

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

impl Wasi {
    fn number(&mut self) -> Result<u64> {
        match self.grants.random {
            true => getrandom::u64().map_err(|error| wasmtime::format_err!("no random numbers: {error}")),
            false => Ok(self.random.next()),
        }
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        if length > MAX_BYTES {
            bail!("it asks for {length} random bytes at once, the limit is {MAX_BYTES}");
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            bytes.extend(self.number()?.to_le_bytes());
        }
        bytes.truncate(usize::try_from(length)?);
        Ok(bytes)
    }
}

/// `prefix`: of both functions' names.
pub(super) fn numbers(random: &mut LinkerInstance<'_, Guest>, prefix: &str) -> Result<()> {
    type Context<'a> = StoreContextMut<'a, Guest>;
    random.func_wrap(&format!("{prefix}-bytes"), |mut context: Context<'_>, (length,): (u64,)| {
        Ok((context.data_mut().wasi.bytes(length)?,))
    })?;
    random.func_wrap(&format!("{prefix}-u64"), |mut context: Context<'_>, (): ()| {
        Ok((context.data_mut().wasi.number()?,))
    })
}

pub(super) fn seed(seed: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    seed.func_wrap("insecure-seed", |mut context: StoreContextMut<'_, Guest>, (): ()| {
        let wasi = &mut context.data_mut().wasi;
        Ok((if wasi.grants.random { (wasi.number()?, wasi.number()?) } else { (0u64, 0u64) },))
    })
}
