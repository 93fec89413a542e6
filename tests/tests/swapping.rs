//! Plugins and their configuration change under running workers: at an epoch's boundary, with the state carried over,
//! or not at all.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::swaps::{another_build, component, swaps, wait_for_swaps};

const SETTINGS: Settings = Settings { batch_rows: 500, epoch_ms: 200, epoch_rows: 5_000 };
const PARTITIONS: usize = 4;
/// The version of a table without rows.
const CREATED: Option<u64> = Some(0);
/// Of the pipeline: two of them keep state.
const PLUGINS: [&str; 3] = ["filter", "dedupe", "window"];

fn write_plugin(pipeline: &Pipeline, plugin: &str, bytes: &[u8]) -> Result<()> {
    Ok(fs::write(pipeline.folder().join(format!("{plugin}.wasm")), bytes)?)
}

/// The sensors' pipeline with its plugins in files beside it.
fn pipeline(id: &str, broker: &Broker, topic: &str, watch: bool) -> Result<Pipeline> {
    let pipeline = Pipeline::new(id, broker, topic, SETTINGS)?;
    for plugin in PLUGINS {
        write_plugin(&pipeline, plugin, &component(plugin)?)?;
    }
    pipeline.rewrite(|file| {
        let with_files = PLUGINS.iter().fold(file, |file, plugin| {
            file.replace(&format!("plugin: {plugin}\n"), &format!("plugin: ./{plugin}.wasm\n"))
        });
        format!("{with_files}watch: {watch}\n")
    })?;
    Ok(pipeline)
}

/// Twenty new builds of three plugins, two of which keep state, under two workers and load, one of the workers killed now
/// and then. Each is put in force once, by whoever sees it first; nothing is lost and nothing comes twice.
#[test]
fn twenty_swaps_under_load_lose_nothing_and_repeat_nothing() -> Result<()> {
    const SWAPS: u8 = 20;
    let broker = Broker::shared()?;
    let stream = mixed_stream(31, 1500);
    let topic = broker.create_topic("swaps", PARTITIONS)?;
    let pipeline = pipeline("swaps", broker, &topic, true)?;
    let load = Load::start(broker, &topic, PARTITIONS, stream.clone(), 2000)?;
    let one = pipeline.worker("one")?.start()?;
    let mut two = pipeline.worker("two")?.start()?;
    pipeline.wait_for_commit_after("gold", CREATED)?;
    for swap in 0..SWAPS {
        let plugin = PLUGINS[usize::from(swap) % PLUGINS.len()];
        write_plugin(&pipeline, plugin, &another_build(&component(plugin)?, swap))?;
        if swap % 7 == 6 {
            two.kill()?;
            two = pipeline.worker("two")?.start()?;
        }
        wait_for_swaps(&pipeline, usize::from(swap) + 1)?;
    }
    let ends = load.stop()?;
    one.stop()?;
    two.stop()?;
    pipeline.catch_up("one")?;
    let swaps = swaps(&pipeline)?;
    let digests: BTreeSet<&String> = swaps.iter().flatten().collect();
    assert_eq!((swaps.len(), digests.len()), (usize::from(SWAPS), usize::from(SWAPS) + PLUGINS.len() - 1));
    pipeline.verify(&stream, &ends)?;
    pipeline.audit()?;
    pipeline.close()
}

/// What cannot run where the pipeline stands is refused with its reason, while the pipeline goes on as before: a file
/// that is no component, a configuration that the plugin does not take, state that the plugin would lay out otherwise,
/// a key that belongs to the process. What can run is taken up afterwards.
#[test]
fn a_change_that_cannot_run_is_refused_and_the_pipeline_goes_on() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(32, 1500);
    let topic = broker.create_topic("refused-swaps", PARTITIONS)?;
    let pipeline = pipeline("refused-swaps", broker, &topic, false)?;
    let load = Load::start(broker, &topic, PARTITIONS, stream.clone(), 1000)?;
    let worker = pipeline.worker("worker")?.start()?;
    pipeline.wait_for_commit_after("gold", CREATED)?;

    write_plugin(&pipeline, "filter", b"not a component")?;
    worker.hang_up()?;
    worker.wait_for_log("layers.silver.steps.plausible")?;
    write_plugin(&pipeline, "filter", &component("filter")?)?;
    for (from, to, says) in [
        ("lt: 200", "less: 200", "'less' was unexpected"),
        ("keys: [event_id]", "keys: [event_id, machine_id]", "step `once`: the state cannot be restored"),
        (
            "- { name: events, function: count }",
            "- { name: events, function: cound }",
            "`/aggregates/0/function`: expected one of",
        ),
        ("watch: false", "watch: false\nthreads: 7", "`threads` cannot change while the pipeline runs"),
    ] {
        pipeline.rewrite(|file| {
            assert!(file.contains(from), "the file has no `{from}`");
            file.replace(from, to)
        })?;
        worker.hang_up()?;
        worker.wait_for_log(says)?;
        pipeline.rewrite(|file| file.replace(to, from))?;
    }
    assert_eq!(swaps(&pipeline)?.len(), 0);
    let version = pipeline.version("gold")?;
    pipeline.wait_for_commit_after("gold", version)?;

    pipeline.rewrite(|file| file.replace("no machine survives that", "too hot for any machine"))?;
    worker.hang_up()?;
    wait_for_swaps(&pipeline, 1)?;
    let ends = load.stop()?;
    worker.stop()?;
    pipeline.catch_up("worker")?;
    pipeline.verify(&stream, &ends)?;
    pipeline.audit()?;
    pipeline.close()
}
