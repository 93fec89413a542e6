//! `sluicebox generate`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{print, settings};
use crate::config;
use crate::generate::{Generated, Generator};
use crate::kafka::{Feed, FeedSettings};

pub async fn generate(file: &Path) -> Result<ExitCode> {
    let config::Feed { kafka, generate } = config::load_feed(file)?;
    let generator = Generator::new(settings::generator_settings(&generate)).context("generate")?;
    let feed = FeedSettings {
        brokers: kafka.brokers,
        topic: kafka.topic.clone(),
        partitions: i32::try_from(generate.partitions).unwrap_or(i32::MAX),
        overrides: kafka
            .settings
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
    };
    let feed = Feed::open(feed).await?;
    let sent = tokio::task::spawn_blocking(move || fill(&feed, &generator, generate.rate)).await??;
    print(&format!("{}: {sent} records sent", kafka.topic));
    Ok(ExitCode::SUCCESS)
}

/// Sends what the topic lacks, partition by partition in turn; returns how many records.
fn fill(feed: &Feed, generator: &Generator, rate: Option<u64>) -> Result<u64> {
    let mut next = feed.ends()?;
    let begun = Instant::now();
    // About ten times a second.
    let at_once = rate.map_or(u64::MAX, |rate| (rate / 10).max(1));
    let (mut record, mut sent) = (Generated::default(), 0);
    loop {
        let before = sent;
        for (partition, next) in (0_u32..).zip(&mut next) {
            let offset = u64::try_from(*next).unwrap_or_default();
            if generator.records_of(partition).is_some_and(|records| offset >= records) {
                continue;
            }
            generator.write(partition, offset, &mut record);
            let key = (!record.key.is_empty()).then_some(&*record.key);
            let at = (i32::try_from(partition).unwrap_or(i32::MAX), *next);
            feed.send(at, generator.time_us(partition, offset) / 1000, key, &record.payload)?;
            *next += 1;
            sent += 1;
            if let Some(rate) = rate.filter(|_| sent % at_once == 0) {
                let due = Duration::from_secs_f64(sent as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        }
        if sent == before {
            feed.flush()?;
            return Ok(sent);
        }
    }
}
