//! Back to the plugins of an earlier configuration, under running workers and for those that start.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::load::{Load, mixed_stream};
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::program::{assert_says, sluicebox};
use sluicebox_tests::registry::Registry;
use sluicebox_tests::swaps::{another_build, component, swaps, wait_for_swaps};

const SETTINGS: Settings = Settings { batch_rows: 500, epoch_ms: 200, epoch_rows: 5_000 };
const PARTITIONS: usize = 2;
/// The version of a table without rows.
const CREATED: Option<u64> = Some(0);

fn push(pipeline: &Pipeline, component: &[u8], reference: &str) -> Result<()> {
    fs::write(pipeline.folder().join("pushed.wasm"), component)?;
    sluicebox(pipeline.folder(), &["plugin", "push", "pushed.wasm", reference])?.success()?;
    Ok(())
}

/// The digests in force, as `rollback --list` shows them.
fn in_force(pipeline: &Pipeline) -> Result<String> {
    let list = pipeline.sluicebox(&["plugin", "rollback", "--list"])?.success()?;
    let (first, _) = list.split_once(", in force").context("nothing is in force")?;
    Ok(first.rsplit(' ').next().unwrap_or_default().to_owned())
}

/// The plugin with state comes from a registry. Its tag moves, the lock is updated, and two workers take it up; the registry
/// goes away, and a rollback goes back to what is kept in the state location; it is released again. All of it under load,
/// with a worker killed in between: nothing is lost, and nothing comes twice.
#[test]
fn a_tag_that_moved_is_taken_up_rolled_back_and_released_under_load() -> Result<()> {
    let mut registry = Registry::start()?;
    let broker = Broker::shared()?;
    let stream = mixed_stream(41, 1500);
    let topic = broker.create_topic("rollbacks", PARTITIONS)?;
    let mut pipeline = Pipeline::new("rollbacks", broker, &topic, SETTINGS)?;
    let cache = tempfile::tempdir()?;
    pipeline.set("XDG_CACHE_HOME", &cache.path().display().to_string());
    let tag = format!("oci://{}/team/dedupe:stable", registry.host());
    pipeline
        .rewrite(|file| file.replace("plugin: dedupe\n", &format!("plugin: {tag}\n")) + "watch: true\n")?;
    let dedupe = component("dedupe")?;
    push(&pipeline, &dedupe, &tag)?;
    pipeline.sluicebox(&["plugin", "lock"])?.success()?;
    let nothing_yet = pipeline.sluicebox(&["plugin", "rollback"])?.failure()?;
    assert_says(&nothing_yet, "there is no ledger here");

    let load = Load::start(broker, &topic, PARTITIONS, stream.clone(), 1500)?;
    let one = pipeline.worker("one")?.start()?;
    let two = pipeline.worker("two")?.start()?;
    pipeline.wait_for_commit_after("gold", CREATED)?;
    assert_says(&pipeline.sluicebox(&["plugin", "rollback"])?.failure()?, "there is nothing to go back to");
    let first = in_force(&pipeline)?;

    push(&pipeline, &another_build(&dedupe, 1), &tag)?;
    assert_says(&pipeline.sluicebox(&["plugin", "lock", "--update"])?.success()?, "(changed)");
    wait_for_swaps(&pipeline, 1)?;
    let second = in_force(&pipeline)?;
    assert_ne!(first, second);

    registry.stop()?;
    fs::remove_dir_all(cache.path())?;
    assert_says(&pipeline.sluicebox(&["plugin", "rollback"])?.success()?, "silver.once: dedupe");
    wait_for_swaps(&pipeline, 2)?;
    assert_eq!(in_force(&pipeline)?, first);
    two.kill()?;
    let two = pipeline.worker("two")?.start()?;
    two.wait_for_log("held back by")?;
    assert_says(&pipeline.check()?, "held back: silver.once does not run");

    registry.restart()?;
    pipeline.sluicebox(&["plugin", "rollback", "--release"])?.success()?;
    wait_for_swaps(&pipeline, 3)?;
    assert_eq!(in_force(&pipeline)?, second);
    let version = pipeline.version("gold")?;
    pipeline.wait_for_commit_after("gold", version)?;

    let ends = load.stop()?;
    one.stop()?;
    two.stop()?;
    pipeline.catch_up("one")?;
    let digests: Vec<BTreeSet<String>> = swaps(&pipeline)?;
    assert_eq!((digests.len(), &digests[0]), (3, &digests[2]));
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}

/// A pipeline that does not run, and whose worker must not undo what came after its file: one that starts with a file that
/// was replaced is refused, unless it insists; after a rollback it starts, for the lock file says so. A configuration that
/// has changed with the plugin stays as the file says. A component that does not take it is refused before anything
/// changes, and a step whose `plugin` is changed is let go.
#[test]
fn what_was_replaced_comes_back_only_when_it_is_meant() -> Result<()> {
    let broker = Broker::shared()?;
    let stream = mixed_stream(42, 300);
    let (topic, ends) = broker.topic_with("comebacks", PARTITIONS, &stream, 6_000)?;
    let pipeline = Pipeline::new("comebacks", broker, &topic, SETTINGS)?;
    let write = |name: &str, bytes: &[u8]| fs::write(pipeline.folder().join(name), bytes);
    let filter = component("filter")?;
    write("filter.wasm", &filter)?;
    pipeline.rewrite(|file| file.replace("plugin: filter\n", "plugin: ./filter.wasm\n"))?;
    pipeline.catch_up("worker")?;
    let first = in_force(&pipeline)?;
    write("filter.wasm", &another_build(&filter, 1))?;
    pipeline.catch_up("worker")?;
    let second = in_force(&pipeline)?;

    write("filter.wasm", &filter)?;
    assert_says(&pipeline.fail("late")?, "--replace-configuration");
    assert_eq!(in_force(&pipeline)?, second);
    write("filter.wasm", &another_build(&filter, 1))?;
    pipeline.catch_up("worker")?;

    // Back by what the state location keeps: the file is gone altogether.
    fs::remove_file(pipeline.folder().join("filter.wasm"))?;
    let said = pipeline.sluicebox(&["plugin", "rollback", "--to", &first])?.success()?;
    assert_says(&said, "silver.plausible: filter");
    assert!(!said.contains("has changed besides its plugins"), "{said}");
    pipeline.catch_up("worker")?;
    assert_eq!(in_force(&pipeline)?, first);
    assert_says(&pipeline.sluicebox(&["plugin", "lock"])?.success()?, "silver.plausible: still held back");
    let lock_file = pipeline.folder().join("pipeline.lock");
    let of_rollback = fs::read_to_string(&lock_file)?;

    // The configuration is the file's; the plugin is what is rolled back.
    write("filter.wasm", &another_build(&filter, 1))?;
    pipeline.sluicebox(&["plugin", "rollback", "--release"])?.success()?;
    pipeline.catch_up("worker")?;
    assert_eq!(in_force(&pipeline)?, second);
    // What the rollback went back from is in force again: a lock file from then does not go back once more.
    let of_release = fs::read_to_string(&lock_file)?;
    write("pipeline.lock", of_rollback.as_bytes())?;
    assert_says(&pipeline.fail("late")?, "--replace-configuration");
    assert_eq!(in_force(&pipeline)?, second);
    write("pipeline.lock", of_release.as_bytes())?;
    pipeline.rewrite(|file| file.replace("no machine survives that", "too hot for any machine"))?;
    let said = pipeline.sluicebox(&["plugin", "rollback", "--to", &first])?.success()?;
    assert_says(&said, "has changed besides its plugins");
    pipeline.catch_up("worker")?;
    assert!(![&first, &second].contains(&&in_force(&pipeline)?));

    // Another `plugin` in the file lets go of the step.
    pipeline.rewrite(|file| file.replace("plugin: ./filter.wasm\n", "plugin: filter\n"))?;
    let checked = pipeline.check()?;
    assert!(!checked.contains("held back"), "{checked}");
    assert_says(&checked, "holds back silver.plausible, but there is no such step");
    pipeline.rewrite(|file| file.replace("plugin: filter\n", "plugin: ./filter.wasm\n"))?;
    assert_says(&pipeline.check()?, "held back");

    let lock = fs::read_to_string(&lock_file)?;
    pipeline.rewrite(|file| file.replace("lt: 200", "less: 200"))?;
    let again = pipeline.sluicebox(&["plugin", "rollback"])?.failure()?;
    assert_says(&again, "held back already");
    let refused = pipeline.sluicebox(&["plugin", "rollback", "--to", &first])?.failure()?;
    assert_says(&refused, "nothing was changed: that would not run");
    assert_eq!(fs::read_to_string(&lock_file)?, lock);
    pipeline.rewrite(|file| file.replace("less: 200", "lt: 200"))?;
    pipeline.verify(&stream, &ends)?;
    pipeline.close()
}
