//! What every sink must do, whichever it is: the contract of [`SinkApplier`], as scenarios.
//!
//! The sinks in files are tried here, beside their code; the one in Kafka by the end-to-end tests, which take this file in.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Applied, Entry, EntryNumber, SinkApplier, SinkError, SinkRecord};

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    BeforeEffect,
    /// The response is lost.
    AfterEffect,
}

/// A new sink of one kind. Entries up to 3 hold nothing for it.
#[async_trait]
pub trait Trial: Send + Sync {
    /// Another applier of the same sink.
    async fn open(&self) -> Result<Box<dyn SinkApplier>, SinkError>;

    /// An entry with a row for each of the ids, whose files are in place.
    async fn entry(&self, number: EntryNumber, ids: Range<i64>) -> Arc<Entry>;

    /// The ids that readers see, in ascending order.
    async fn visible(&self) -> Vec<i64>;

    /// Has the next application fail in the step in which it comes to be.
    fn fail_next(&self, fault: Fault);

    /// Whether it failed there.
    fn has_failed(&self) -> bool;

    /// The sink as it was before its last application.
    async fn go_back(&self);
}

/// Tests of the scenarios for a kind of sink: what makes a new one, and what makes one that can be told to fail.
macro_rules! conforms {
    ($new:expr) => {
        conforms!($new, $new);
    };
    ($new:expr, $failing:expr) => {
        #[tokio::test]
        async fn nothing_is_visible_before_it_is_applied() {
            conformance::check_invisible(&$new()).await;
        }

        #[tokio::test]
        async fn entries_are_applied_once() {
            conformance::check_once(&$new()).await;
        }

        #[tokio::test]
        async fn a_lost_response_is_found_out() {
            for fault in [Fault::BeforeEffect, Fault::AfterEffect] {
                conformance::check_lost_response(&$failing(), fault).await;
            }
        }

        #[tokio::test]
        async fn a_stale_applier_doubles_nothing() {
            conformance::check_stale(&$new()).await;
        }

        #[tokio::test]
        async fn another_applier_goes_on_where_one_was_stopped() {
            conformance::check_take_over(|| $new()).await;
        }

        #[tokio::test]
        async fn a_mark_that_went_back_is_seen() {
            conformance::check_went_back(&$new()).await;
        }
    };
}
pub(crate) use conforms;

/// Asks again after faults of the moment, as whoever applies does.
async fn mark(applier: &mut dyn SinkApplier) -> EntryNumber {
    const LONGEST: Duration = Duration::from_secs(30);
    let asked = Instant::now();
    loop {
        match applier.mark().await {
            Ok(mark) => return mark.number,
            Err(SinkError::Unavailable(_)) if asked.elapsed() < LONGEST => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("no mark: {error}"),
        }
    }
}

pub async fn check_invisible(trial: &impl Trial) {
    let mut applier = trial.open().await.expect("opened");
    assert_eq!(mark(&mut *applier).await, 3);
    let entry = trial.entry(4, 0..10).await;
    assert_eq!(trial.visible().await, Vec::<i64>::new());
    assert_eq!(applier.apply(&[entry], 4).await.expect("applied"), Applied::Done);
    assert_eq!(trial.visible().await, Vec::from_iter(0..10));
}

pub async fn check_once(trial: &impl Trial) {
    let mut applier = trial.open().await.expect("opened");
    let entries = [trial.entry(4, 0..10).await, trial.entry(6, 10..15).await];
    assert_eq!(applier.apply(&entries, 7).await.expect("applied"), Applied::Done);
    for again in 0..2 {
        assert_eq!(mark(&mut *applier).await, 7, "{again}");
        assert_eq!(applier.apply(&entries, 7).await.expect("expected"), Applied::Busy);
        assert_eq!(trial.visible().await, Vec::from_iter(0..15));
        applier = trial.open().await.expect("opened again");
    }
    // A mark alone, and entries after it.
    assert_eq!(applier.apply(&[], 9).await.expect("a mark alone"), Applied::Done);
    assert_eq!(mark(&mut *applier).await, 9);
    let next = trial.entry(10, 15..16).await;
    assert_eq!(applier.apply(&[next], 10).await.expect("applied"), Applied::Done);
    assert_eq!(trial.visible().await, Vec::from_iter(0..16));
}

pub async fn check_lost_response(trial: &impl Trial, fault: Fault) {
    let mut applier = trial.open().await.expect("opened");
    let entries = [trial.entry(4, 0..10).await];
    trial.fail_next(fault);
    let lost = applier.apply(&entries, 4).await;
    assert!(trial.has_failed(), "it came to be in another step");
    // A sink may find out by itself.
    if let Err(error) = lost {
        assert!(matches!(error, SinkError::Unavailable(_)), "{error}");
    }
    if mark(&mut *applier).await < 4 {
        assert_eq!(applier.apply(&entries, 4).await.expect("applied"), Applied::Done);
    }
    assert_eq!(mark(&mut *applier).await, 4);
    assert_eq!(trial.visible().await, Vec::from_iter(0..10), "{fault:?}");
}

pub async fn check_stale(trial: &impl Trial) {
    let (mut first, mut second) = (trial.open().await.expect("opened"), trial.open().await.expect("opened"));
    let entries = [trial.entry(4, 0..10).await, trial.entry(5, 10..20).await];
    assert_eq!(first.apply(&entries, 5).await.expect("applied"), Applied::Done);
    // It has not looked since.
    second.apply(&entries[..1], 4).await.expect("expected");
    assert_eq!(trial.visible().await, Vec::from_iter(0..20));
    assert_eq!(mark(&mut *second).await, 5);
    let next = [trial.entry(7, 20..21).await];
    assert_eq!(second.apply(&next, 7).await.expect("applied"), Applied::Done);
    first.apply(&next, 7).await.expect("expected");
    assert_eq!(trial.visible().await, Vec::from_iter(0..21));
}

/// Stops an application at each of its awaits.
pub async fn check_take_over<T: Trial>(new: impl Fn() -> T) {
    for polls in 1.. {
        let trial = new();
        let mut first = trial.open().await.expect("opened");
        let mut second = trial.open().await.expect("opened");
        let entries = [trial.entry(4, 0..10).await, trial.entry(5, 10..20).await];
        let is_done = {
            let mut application = pin!(first.apply(&entries, 5));
            let mut left = polls;
            poll_fn(|context| match application.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending if left <= 1 => Poll::Ready(false),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await
        };
        let done = mark(&mut *second).await;
        assert!((3..=5).contains(&done), "{done}");
        let missing: Vec<_> = entries.iter().filter(|entry| entry.number > done).cloned().collect();
        // What the first one began may still come to be: a write that nobody waits for any more.
        while !missing.is_empty() && second.apply(&missing, 5).await.expect("expected") == Applied::Busy {
            if mark(&mut *second).await == 5 {
                break;
            }
        }
        assert_eq!(mark(&mut *second).await, 5);
        assert_eq!(trial.visible().await, Vec::from_iter(0..20), "stopped after {polls} polls");
        if is_done {
            return;
        }
    }
}

pub async fn check_went_back(trial: &impl Trial) {
    let mut applier = trial.open().await.expect("opened");
    for (number, ids) in [(4, 0..10), (5, 10..20)] {
        let entry = trial.entry(number, ids).await;
        assert_eq!(applier.apply(&[entry], number).await.expect("applied"), Applied::Done);
    }
    let record = SinkRecord { mark: 5, table: applier.table() };
    trial.go_back().await;
    let mut later = match trial.open().await {
        Ok(applier) => applier,
        Err(error) => panic!("not told as what it is: {error}"),
    };
    later.recorded(&record);
    match later.mark().await {
        Err(SinkError::Refused(_)) => {}
        Err(SinkError::Unavailable(why)) => panic!("not a fault of the moment: {why}"),
        Ok(mark) => assert!(mark.number < 5, "it says {}", mark.number),
    }
}
