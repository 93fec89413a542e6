//! What a shadow costs: a step alone, with a shadow that comes out the same, and with one that does not.
//! `cargo xtask test -- --test shadow_figures -- --ignored --nocapture`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use arrow::array::RecordBatch;
use serde_json::{Value, json};
use sluicebox::decode::Decoded;
use sluicebox::pipeline::shadow::{Place, Shadow, ShadowSpec};
use sluicebox::plugin::{Engine, EngineSettings, Limits, Rows, thread_cpu_time};
use sluicebox::progress::{OffsetRange, TopicPartition};
use sluicebox::telemetry::Metrics;
use sluicebox_tests::fixed_batch::{
    ROWS, cleanse_config, component, decoder, events, filter_config, open_step,
};

const TURNS: usize = 400;

#[test]
#[ignore = "figures, not a test"]
fn what_a_shadow_costs() -> Result<()> {
    let Decoded::Rows(decoded) = decoder().decode(&events()) else {
        panic!("a strict schema does not change")
    };
    let filter = json!({"keep": {"and": [{"column": "level", "ne": "debug"}, {"column": "temp", "ge": 60}]}});
    let cleanse = json!({"steps": [
        {"trim": ["device", "site"]},
        {"lower": ["device", "site"]},
        {"add": {"column": "fahrenheit", "expression": "temp * 1.8 + 33"}},
    ]});
    println!("ns per row of CPU time, medians of {TURNS} turns over {ROWS} rows");
    println!("{:<10}{:>8}{:>14}{:>12}{:>12}", "step", "alone", "shadow alone", "same", "different");
    for (plugin, config, other) in
        [("filter", filter_config(), filter), ("cleanse", cleanse_config(), cleanse)]
    {
        let alone = with_shadow(plugin, &config, None, &decoded.batch)?;
        let shadow = with_shadow(plugin, &other, None, &decoded.batch)?;
        let same = with_shadow(plugin, &config, Some(&config), &decoded.batch)?;
        let different = with_shadow(plugin, &config, Some(&other), &decoded.batch)?;
        println!("{plugin:<10}{alone:>8.1}{shadow:>14.1}{same:>12.1}{different:>12.1}");
    }
    Ok(())
}

fn with_shadow(plugin: &str, config: &Value, shadow: Option<&Value>, batch: &RecordBatch) -> Result<f64> {
    let engine = Engine::new(&EngineSettings::default())?;
    let mut step = open_step(plugin, config.clone());
    let mut shadow = match shadow {
        Some(config) => {
            let plugin = engine.load(&component(plugin), None)?;
            let spec = ShadowSpec::new("silver", "step", plugin, config.clone(), Limits::default(), None);
            Some(Shadow::open(&Arc::new(spec), &step))
        }
        None => None,
    };
    let (metrics, partition) = (Metrics::new(BTreeMap::new()), TopicPartition::new("t", 0));
    let range = OffsetRange { from: 0, to: ROWS as i64 };
    let place = Place { layer: "silver", step: "step", partition: &partition, range };
    let mut times = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let started = thread_cpu_time();
        let rows = Rows::new(batch.clone());
        let shadowed = shadow.as_mut().map(|shadow| (shadow, rows.clone()));
        let mut outcome = step.run(rows, None)?;
        if let Some((shadow, rows)) = shadowed {
            shadow.observe(rows, (&step, &mut outcome), None, &place, &metrics);
        }
        drop(outcome.rows.into_batch());
        times.push(thread_cpu_time().saturating_sub(started));
    }
    times.sort_unstable();
    Ok(per_row(times[TURNS / 2]))
}

fn per_row(time: Duration) -> f64 {
    time.as_nanos() as f64 / ROWS as f64
}
