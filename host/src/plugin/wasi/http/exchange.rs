//! A request under way, and what comes of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::super::held::Reservation;
use super::super::waiting::Bell;
use super::client::Client;
use super::error_code::ErrorCode;
use super::{Answer, MOST_AT_ONCE};

/// What came back.
pub(super) struct Response {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub headers_held: Reservation,
    pub body: Vec<u8>,
    pub body_held: Reservation,
}

/// The place where the response will be. Whoever waits for it gives up at the deadline.
pub struct Exchange {
    place: Mutex<Place>,
    deadline: Instant,
    bell: Arc<Bell>,
}

enum Place {
    Empty,
    Come(Answer<Response>),
    Taken,
}

/// What is there to be taken.
pub(super) enum Taken {
    NotYet,
    Now(Answer<Response>),
    Before,
}

impl Exchange {
    pub fn new(deadline: Instant, bell: Arc<Bell>) -> Arc<Self> {
        Arc::new(Self { place: Mutex::new(Place::Empty), deadline, bell })
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub fn has_come(&self) -> bool {
        !matches!(*self.place(), Place::Empty)
    }

    pub(super) fn take(&self) -> Taken {
        let mut place = self.place();
        if matches!(*place, Place::Empty) && Instant::now() < self.deadline {
            return Taken::NotYet;
        }
        match std::mem::replace(&mut *place, Place::Taken) {
            Place::Empty => Taken::Now(Err(ErrorCode::HttpResponseTimeout)),
            Place::Come(response) => Taken::Now(response),
            Place::Taken => Taken::Before,
        }
    }

    /// The first answer counts.
    pub(super) fn settle(&self, response: Answer<Response>) {
        let mut place = self.place();
        if matches!(*place, Place::Empty) {
            *place = Place::Come(response);
        }
        drop(place);
        self.bell.ring();
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that it takes to send a request, but for its body.
pub(super) struct Launch {
    pub client: Client,
    pub request: reqwest::Request,
    pub exchange: Arc<Exchange>,
    /// For the response.
    pub held: Reservation,
    pub token: Token,
}

impl Launch {
    pub fn send(mut self, body: Vec<u8>) {
        if !body.is_empty() {
            *self.request.body_mut() = Some(body.into());
        }
        self.client.clone().send(self);
    }
}

/// One of the requests that may be under way.
#[expect(dead_code, reason = "it counts as long as it lives")]
pub(super) struct Token(Arc<()>);

/// The requests of one instance that are under way.
#[derive(Default)]
pub struct UnderWay(Arc<()>);

impl UnderWay {
    pub(super) fn admit(&self) -> Option<Token> {
        (Arc::strong_count(&self.0) <= MOST_AT_ONCE).then(|| Token(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_at_once_are_bounded() {
        let under_way = UnderWay::default();
        let tokens: Vec<_> = (0..MOST_AT_ONCE).map(|_| under_way.admit().unwrap()).collect();
        assert!(under_way.admit().is_none());
        drop(tokens);
        assert!(under_way.admit().is_some());
    }

    #[test]
    fn who_waits_gives_up_at_the_deadline() {
        let exchange = Exchange::new(Instant::now() + Duration::from_secs(60), Arc::default());
        assert!(matches!(exchange.take(), Taken::NotYet));
        exchange.settle(Err(ErrorCode::HttpProtocolError));
        exchange.settle(Err(ErrorCode::LoopDetected));
        assert!(matches!(exchange.take(), Taken::Now(Err(ErrorCode::HttpProtocolError))));
        assert!(matches!(exchange.take(), Taken::Before));
        let exchange = Exchange::new(Instant::now(), Arc::default());
        assert!(matches!(exchange.take(), Taken::Now(Err(ErrorCode::HttpResponseTimeout))));
    }
}
