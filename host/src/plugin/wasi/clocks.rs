//! Clocks. They stand still unless the step was granted `clock`.

use std::time::{Duration, Instant, SystemTime};

use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource};
use wasmtime::{Result, StoreContextMut};

use super::super::guest::Guest;
use super::Wasi;
use super::streams::POLLABLE;
use super::waiting::Pollable;

type Context<'a> = StoreContextMut<'a, Guest>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub(super) struct Datetime {
    pub seconds: u64,
    pub nanoseconds: u32,
}

impl Datetime {
    const STOPPED: Self = Self { seconds: 0, nanoseconds: 0 };
    const ONE_SECOND: Self = Self { seconds: 1, nanoseconds: 0 };
    const ONE_NANOSECOND: Self = Self { seconds: 0, nanoseconds: 1 };
}

impl From<SystemTime> for Datetime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
    }
}

impl Wasi {
    /// Nanoseconds since this instance was made.
    fn ticks(&self) -> u64 {
        match self.grants.clock {
            true => u64::try_from(self.born.elapsed().as_nanos()).unwrap_or(u64::MAX),
            false => 0,
        }
    }

    /// While the clock stands still, whoever waits goes on at once.
    fn after(&mut self, nanoseconds: u64) -> Result<Resource<()>> {
        if !self.grants.clock {
            return Ok(Resource::new_own(POLLABLE));
        }
        let now = Instant::now();
        // Beyond what an instant can be is further than any call waits.
        let at =
            now.checked_add(Duration::from_nanos(nanoseconds)).unwrap_or(now + Duration::from_secs(1 << 30));
        self.handles.add(Pollable::At(at))
    }
}

pub(super) fn monotonic_clock(clock: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    clock.func_wrap("now", |context: Context<'_>, (): ()| Ok((context.data().wasi.ticks(),)))?;
    clock.func_wrap("resolution", |_, (): ()| Ok((1u64,)))?;
    clock.func_wrap("subscribe-instant", |mut context: Context<'_>, (at,): (u64,)| {
        let wasi = &mut context.data_mut().wasi;
        Ok((wasi.after(at.saturating_sub(wasi.ticks()))?,))
    })?;
    clock.func_wrap("subscribe-duration", |mut context: Context<'_>, (nanoseconds,): (u64,)| {
        Ok((context.data_mut().wasi.after(nanoseconds)?,))
    })
}

pub(super) fn wall_clock(clock: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    clock.func_wrap("now", |context: Context<'_>, (): ()| {
        Ok((if context.data().wasi.grants.clock { SystemTime::now().into() } else { Datetime::STOPPED },))
    })?;
    clock.func_wrap("resolution", |context: Context<'_>, (): ()| {
        let moves = context.data().wasi.grants.clock;
        Ok((if moves { Datetime::ONE_NANOSECOND } else { Datetime::ONE_SECOND },))
    })
}
