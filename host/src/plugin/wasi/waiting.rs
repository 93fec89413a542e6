//! Waiting for a time or for a response. It takes no CPU time, so it has a limit of its own: together, in one call.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut, bail};

use super::super::guest::Guest;
use super::Wasi;
use super::http::Exchange;
use super::streams::POLLABLE;

thread_local! {
    static WAITED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// How long plugins have waited on this thread, ever.
pub(in super::super) fn thread_waited() -> Duration {
    WAITED.get()
}

/// Rung when something has come that an instance may be waiting for.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_all();
    }

    /// Until it is rung, or was since the last time; at most for so long.
    fn wait(&self, most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.condition.wait_timeout_while(rung, most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// How long one call may wait, and has.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    waited: Duration,
    pub bell: Arc<Bell>,
}

impl Patience {
    pub fn new(limit: Duration) -> Self {
        Self { limit, waited: Duration::ZERO, bell: Arc::default() }
    }

    pub fn start_call(&mut self) {
        self.waited = Duration::ZERO;
    }

    /// What is left for this call.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.waited)
    }

    /// Waits until `until`, or until the bell rings. An error if that takes longer than there is patience.
    fn wait(&mut self, until: Instant) -> Result<()> {
        let started = Instant::now();
        let wanted = until.saturating_duration_since(started);
        if wanted > Duration::ZERO && self.left() == Duration::ZERO {
            bail!("it waited for more than {} ms in one call", self.limit.as_millis());
        }
        self.bell.wait(wanted.min(self.left()));
        let waited = started.elapsed();
        self.waited += waited;
        WAITED.set(WAITED.get() + waited);
        Ok(())
    }
}

/// What a pollable stands for that is not ready by itself.
pub(super) enum Pollable {
    At(Instant),
    Response(Arc<Exchange>),
}

impl Pollable {
    /// None if it is ready, else when it is at the latest.
    fn pending_until(&self) -> Option<Instant> {
        let until = match self {
            Self::At(instant) => *instant,
            Self::Response(exchange) if exchange.has_come() => return None,
            Self::Response(exchange) => exchange.deadline(),
        };
        (until > Instant::now()).then_some(until)
    }
}

impl Wasi {
    fn pending_until(&mut self, pollable: &Resource<()>) -> Result<Option<Instant>> {
        match pollable.rep() {
            POLLABLE => Ok(None),
            _ => Ok(self.handles.get::<Pollable>(pollable)?.pending_until()),
        }
    }

    /// The places of those that are ready, once one is.
    fn poll(&mut self, pollables: &[Resource<()>]) -> Result<Vec<u32>> {
        if pollables.is_empty() {
            bail!("it waits for nothing");
        }
        loop {
            let mut ready = Vec::new();
            let mut first: Option<Instant> = None;
            for (place, pollable) in (0..).zip(pollables) {
                match self.pending_until(pollable)? {
                    None => ready.push(place),
                    Some(until) => first = Some(first.map_or(until, |first| first.min(until))),
                }
            }
            match first {
                Some(first) if ready.is_empty() => self.patience.wait(first)?,
                _ => return Ok(ready),
            }
        }
    }
}

pub(super) fn poll(poll: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    type Context<'a> = StoreContextMut<'a, Guest>;
    super::resources(poll, &["pollable"])?;
    poll.func_wrap("[method]pollable.ready", |mut context: Context<'_>, (it,): (Resource<()>,)| {
        Ok((context.data_mut().wasi.pending_until(&it)?.is_none(),))
    })?;
    poll.func_wrap("[method]pollable.block", |mut context: Context<'_>, (it,): (Resource<()>,)| {
        context.data_mut().wasi.poll(&[it]).map(drop)
    })?;
    poll.func_wrap("poll", |mut context: Context<'_>, (all,): (Vec<Resource<()>>,)| {
        Ok((context.data_mut().wasi.poll(&all)?,))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_rang_before_is_heard() {
        let bell = Bell::default();
        bell.ring();
        let started = Instant::now();
        bell.wait(Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(30));
        bell.wait(Duration::from_millis(1));
    }

    #[test]
    fn patience_ends_and_comes_back_with_the_next_call() {
        let mut patience = Patience::new(Duration::from_millis(20));
        let far = Instant::now() + Duration::from_secs(60);
        patience.wait(far).unwrap();
        assert!(patience.wait(far).unwrap_err().to_string().contains("more than 20 ms"));
        patience.wait(Instant::now()).unwrap();
        patience.start_call();
        patience.wait(far).unwrap();
        assert!(thread_waited() >= Duration::from_millis(40));
    }
}
