//! `sluicebox plugin rollback`: steps are held back to the components of an earlier configuration, by the lock file.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::runtime::Handle;

use super::{plugins, print};
use crate::cli::assemble::Assembled;
use crate::cli::{PipelineFile, assemble, components, ledger, lock_file, stores};
use crate::config::{self, Hold, InForce, Loaded, Lock};
use crate::ledger::LedgerState;
use crate::ledger::entry::{Configuration, PluginReference};
use crate::ledger::state::{Configured, Replaced};
use crate::pipeline::deployment::rehearse;
use crate::pipeline::state_objects::StateObjects;
use crate::telemetry::Metrics;

const SHORTEST_DIGEST: usize = 6;
const REFUSED: &str = "nothing was changed: that would not run";

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pipeline: PipelineFile,
    /// The configuration to go back to: the number of the entry that put it in force, or the beginning of its digest, as
    /// `--list` shows them. Unless it is given, the last one in which a step had another component, if what the pipeline
    /// file says is in force.
    #[arg(long, value_name = "ENTRY|DIGEST", conflicts_with_all = ["list", "release"])]
    to: Option<String>,
    /// Show the configurations that one can go back to.
    #[arg(long, conflicts_with = "release")]
    list: bool,
    /// Let go of all steps that are held back: they run what the pipeline file names again.
    #[arg(long)]
    release: bool,
}

pub async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let pipeline = config::load(&arguments.pipeline.file)?;
    let ledger = ledger::open_existing(&pipeline).await?;
    let state = ledger.state();
    if arguments.list {
        list(&pipeline, &state).await?;
    } else if arguments.release {
        release(pipeline, &state).await?;
    } else {
        let target = match &arguments.to {
            Some(to) => named(&state, to)?,
            None => last_with_other_components(&pipeline, &state).await?,
        };
        go_back(pipeline, &state, target).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(pipeline: &Loaded, state: &LedgerState) -> Result<()> {
    let kept = components::kept_plugins(pipeline)?.list().await?;
    show(&state.configuration, state.configured, ", in force", &kept);
    for replaced in state.replaced.iter().rev() {
        show(&replaced.configuration, replaced.configured, "", &kept);
    }
    Ok(())
}

fn show(configuration: &Configuration, configured: Configured, standing: &str, kept: &BTreeSet<String>) {
    let time = chrono::DateTime::from_timestamp_millis(configured.at_ms)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        .unwrap_or_default();
    let digest = configuration.digest.get(..12).unwrap_or(&configuration.digest);
    print(&format!("entry {} {time}: configuration {digest}{standing}", configured.entry));
    for PluginReference { layer, step, name, version, digest, .. } in &configuration.plugins {
        let lost = if kept.contains(digest) { "" } else { " (not kept)" };
        print(&format!("    {layer}.{step}: {name} {version}, sha256 {digest}{lost}"));
    }
}

/// Where to go back to without being told. Whoever has not what is in force has perhaps gone back already, on another
/// machine: going back from that would be going forth.
async fn last_with_other_components<'state>(
    pipeline: &Loaded,
    state: &'state LedgerState,
) -> Result<&'state Replaced> {
    if let Some(hold) = components::holds(pipeline).next() {
        bail!(
            "{}.{} is held back already: say with `--to` where to go back to (`--list` shows it), or let go with `--release`",
            hold.layer,
            hold.step
        );
    }
    for (layer, step) in pipeline.steps() {
        let says = components::named_digest(pipeline, step).await;
        if let (Some(says), Some(runs)) = (says, state.configuration.plugin(layer, &step.name))
            && says.hex() != runs.digest
        {
            bail!(
                "{layer}.{} runs the component {}, and what the pipeline file and its lock file say here is {}: bring the \
                 files in force to this machine, or say with `--to` where to go back to (`--list` shows it)",
                step.name,
                runs.digest,
                says.hex()
            );
        }
    }
    let differs = |replaced: &&Replaced| {
        replaced.configuration.plugins.iter().any(|was| {
            state.configuration.plugin(&was.layer, &was.step).is_some_and(|is| is.digest != was.digest)
        })
    };
    state.replaced.iter().rev().find(differs).context(
        "there is nothing to go back to: the ledger remembers no configuration in which a step had another component",
    )
}

/// The configuration that is meant.
fn named<'state>(state: &'state LedgerState, to: &str) -> Result<&'state Replaced> {
    let entry = to.parse().ok();
    let is_meant = |replaced: &&Replaced| {
        entry == Some(replaced.configured.entry)
            || (to.len() >= SHORTEST_DIGEST && replaced.configuration.digest.starts_with(to))
    };
    let meant: Vec<&Replaced> = state.replaced.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [one] => Ok(one),
        [] => bail!(
            "`{to}` is no configuration that was replaced: `sluicebox plugin rollback --list` shows them"
        ),
        _ => bail!("`{to}` is more than one configuration: give the number of its entry"),
    }
}

async fn go_back(mut pipeline: Loaded, state: &LedgerState, target: &Replaced) -> Result<()> {
    let (mut holds, mut told) = (Vec::new(), Vec::new());
    let kept = components::kept_plugins(&pipeline)?.list().await?;
    for (layer, step) in pipeline.steps() {
        let Some(was) = target.configuration.plugin(layer, &step.name) else {
            told.push(format!("{layer}.{}: was not there at that time, and goes on as it is", step.name));
            holds.extend(pipeline.lock.hold(layer, step).cloned());
            continue;
        };
        let named = components::named_digest(&pipeline, step).await;
        if named.is_some_and(|named| named.hex() == was.digest) {
            told.push(format!("{layer}.{}: the pipeline file names that component by itself", step.name));
            continue;
        }
        if !kept.contains(&was.digest) {
            bail!(
                "{layer}.{} ran the component {}, which is not kept in {} any more: say with `--to` where else to go back \
                 to (`--list` shows it)",
                step.name,
                was.digest,
                pipeline.state
            );
        }
        told.push(format!("{layer}.{}: {} {}, sha256 {}", step.name, was.name, was.version, was.digest));
        holds.push(Hold {
            layer: layer.to_owned(),
            step: step.name.clone(),
            sha256: was.digest.clone(),
            plugin: step.plugin.clone(),
            pin: step.sha256.clone(),
        });
    }
    pipeline.lock.holds = holds;
    pipeline.lock.replaces = Some(in_force(state));
    let pipeline = Arc::new(pipeline);
    let assembled = rehearsed(&pipeline, state).await.context(REFUSED)?;
    told.iter().for_each(|line| print(line));
    if assembled.configuration.digest != target.configuration.digest {
        print(
            "the pipeline file has changed besides its plugins since then: configurations, limits, tables and the rest go on \
             as it says now",
        );
    }
    write(&pipeline, "release them with `sluicebox plugin rollback --release`")
}

/// What the lock comes to, if it runs where the pipeline stands.
async fn rehearsed(pipeline: &Arc<Loaded>, state: &LedgerState) -> Result<Assembled> {
    let gathered = components::gather(pipeline).await?;
    let (pipeline, state, runtime) = (pipeline.clone(), state.clone(), Handle::current());
    // Plugins run in it: they would hold up the runtime's own threads.
    let rehearsal = move || {
        let mut assembled = assemble::assemble(&pipeline, &gathered, &plugins::engine()?, None)?;
        runtime.block_on(assembled.read_references())?;
        let objects = StateObjects::new(stores::state_store(&pipeline)?);
        let metrics = Arc::new(Metrics::new(assembled.blueprint.tree.step_names()));
        runtime.block_on(rehearse(&assembled.blueprint, &state, &objects, &metrics))?;
        Ok(assembled)
    };
    tokio::task::spawn_blocking(rehearsal).await?
}

async fn release(mut pipeline: Loaded, state: &LedgerState) -> Result<()> {
    if pipeline.lock.holds.is_empty() {
        print("no step is held back");
        return Ok(());
    }
    let released = std::mem::take(&mut pipeline.lock.holds);
    pipeline.lock.replaces = Some(in_force(state));
    let pipeline = Arc::new(pipeline);
    rehearsed(&pipeline, state).await.context(REFUSED)?;
    released.iter().for_each(|hold| print(&format!("{}.{}: let go", hold.layer, hold.step)));
    write(&pipeline, "commit it")
}

fn in_force(state: &LedgerState) -> InForce {
    InForce { entry: state.configured.entry, digest: state.configuration.digest.clone() }
}

fn write(pipeline: &Loaded, what_next: &str) -> Result<()> {
    let file = Lock::path(&pipeline.file);
    lock_file::write(&file, &pipeline.lock)?;
    let taken_up = match pipeline.pipeline.watch {
        true => "workers that see it take it up by themselves",
        false => "workers take it up on SIGHUP, or when they start",
    };
    print(&format!("wrote {}: {taken_up}; bring it to all workers, and {what_next}", file.display()));
    Ok(())
}
