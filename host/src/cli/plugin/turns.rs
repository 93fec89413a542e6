//! Times of pieces of work that take turns, so that what slows the machine down slows all of them alike.

use std::time::{Duration, Instant};

use anyhow::Result;

/// A piece of work, which says how much CPU time it took.
pub type Side<'a> = Box<dyn FnMut() -> Result<Duration> + 'a>;

const LEAST_TURNS: usize = 5;

/// How long each side took, the median of its turns.
#[derive(Debug)]
pub struct Medians {
    pub turns: usize,
    pub times: Vec<Duration>,
}

/// Lets all sides run once in each turn until `budget` is used up, the first turn unmeasured.
pub fn take_turns(sides: &mut [Side<'_>], budget: Duration) -> Result<Medians> {
    let started = Instant::now();
    let mut times = vec![Vec::new(); sides.len()];
    let mut turns = 0;
    for side in sides.iter_mut() {
        side()?;
    }
    while turns < LEAST_TURNS || started.elapsed() < budget {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            times.push(side()?);
        }
        turns += 1;
    }
    Ok(Medians { turns, times: times.into_iter().map(median).collect() })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_own_median() {
        let mut calls = 0;
        let sides = [3, 5]
            .map(|milliseconds| -> Side<'_> { Box::new(move || Ok(Duration::from_millis(milliseconds))) });
        let mut sides: Vec<Side<'_>> = sides.into();
        sides.push(Box::new(|| {
            calls += 1;
            Ok(Duration::from_millis(if calls == 1 { 1000 } else { calls }))
        }));
        let found = take_turns(&mut sides, Duration::ZERO).unwrap();
        drop(sides);
        assert_eq!(found.turns, LEAST_TURNS);
        assert_eq!(found.times, [3, 5, 4].map(Duration::from_millis), "the first turn does not count");
        assert_eq!(calls, 1 + LEAST_TURNS as u64);
    }
}
