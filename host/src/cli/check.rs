//! `sluicebox check`: everything that can be known before a pipeline runs, without writing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::assemble::Assembled;
use super::sinks::SinkView;
use super::{assemble, components, grants, plugins, print, settings, sinks, stores};
use crate::config::{self, Lock};
use crate::ledger::Ledger;
use crate::pipeline::TaskPlan;
use crate::pipeline::tree::LayerTree;
use crate::source::SourceSettings;
use crate::source::kafka::KafkaSource;

pub async fn check(file: &Path) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    print(&format!("file: pipeline `{}` is well formed", pipeline.pipeline.id));
    let components = components::gather(&pipeline).await?;
    let mut assembled = assemble::assemble(&pipeline, &components, &plugins::engine()?, None)?;
    assembled.read_references().await?;
    show_references(&assembled.blueprint.tree);
    for plugin in &assembled.configuration.plugins {
        print(&format!(
            "plugin: {}.{}: {} {}, sha256 {}",
            plugin.layer, plugin.step, plugin.name, plugin.version, plugin.digest
        ));
    }
    for layer in &assembled.blueprint.tree.layers {
        for step in &layer.steps {
            let told = grants::told(&step.plugin.asks(), &step.grants.capabilities());
            told.iter().for_each(|line| print(&format!("grants: {}.{}: {line}", layer.name, step.name)));
        }
    }
    for hold in components::holds(&pipeline) {
        print(&format!(
            "held back: {}.{} does not run `{}`, by {} (`sluicebox plugin rollback --release`)",
            hold.layer,
            hold.step,
            hold.plugin,
            Lock::path(file).display()
        ));
    }
    components::idle_holds(&pipeline).iter().for_each(|said| print(&format!("warning: {said}")));
    match &assembled.blueprint.declared {
        Some(records) => {
            show_schemas(&assembled.blueprint.plan(records)?);
            assembled.blueprint.tree.try_references(&assembled.blueprint.decoded(records)?)?;
        }
        None => {
            print("schema: inferred from the records; declare `decode.schema` to have the layers checked")
        }
    }
    check_shadows(&assembled)?;
    let begun = Ledger::is_begun(stores::entry_store(&pipeline)?).await.context("state")?;
    let ledger = if begun { "the pipeline's ledger is" } else { "a ledger will be begun" };
    print(&format!("state: {ledger} at {}", pipeline.state));
    for (sink, storage) in sinks::sinks_in_order(&pipeline).zip(sinks::storages(&pipeline)?) {
        let view = storage.view(&pipeline.pipeline.id, &sink.name, 0).await;
        let name = &sink.name;
        print(&match view.with_context(|| name.clone())? {
            Some(SinkView::Table(table)) => {
                format!("table {name}: version {}, {} rows", table.version, table.rows)
            }
            Some(SinkView::Folder(folder)) => {
                format!("folder {name}: mark {}, {} rows", folder.mark.number, folder.rows())
            }
            Some(SinkView::Topic(mark)) => format!("topic {name}: mark {}, in {}", mark.entry, sink.target),
            None => format!("{} {name}: will be begun at {}", sink.target.what(), sink.target),
        });
    }
    match settings::source_settings(&pipeline.pipeline)? {
        SourceSettings::Kafka(settings) => {
            let topics = settings.topics.join(", ");
            let partitions = tokio::task::spawn_blocking(move || KafkaSource::look_up(&settings)).await??;
            print(&format!("kafka: {} partitions in {topics}", partitions.len()));
        }
        SourceSettings::Generated(settings) => {
            let of = settings.generator.settings();
            let records =
                of.records.map_or("records without end".to_owned(), |count| format!("{count} records"));
            print(&format!("generated: {records} in {} partitions", of.partitions));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A pipeline would run without a shadow that is not in order; whoever checks it wants to know.
fn check_shadows(assembled: &Assembled) -> Result<()> {
    if let Some(fault) = assembled.shadow_faults.first() {
        bail!("shadow: {fault}");
    }
    let tree = &assembled.blueprint.tree;
    let open = match &assembled.blueprint.declared {
        Some(records) => assembled.blueprint.open_layers(records)?,
        None => Vec::new(),
    };
    for (index, layer) in tree.layers.iter().enumerate() {
        let opened = open.get(index);
        for (index, step) in layer.steps.iter().enumerate() {
            let Some(shadow) = &step.shadow else { continue };
            let plugin = shadow.plugin();
            let columns = match opened.and_then(|layer| layer.steps.get(index)) {
                Some(primary) => match shadow.try_out(primary)?.as_slice() {
                    [] => "; the same columns".to_owned(),
                    unlike => format!("; other columns: {}", unlike.join("; ")),
                },
                None => String::new(),
            };
            let (layer, step) = (&layer.name, &step.name);
            let (name, version, digest) = (plugin.name(), plugin.version(), plugin.digest());
            print(&format!("shadow: {layer}.{step}: {name} {version}, sha256 {digest}{columns}"));
            let lacks: Vec<_> = shadow.lacks().iter().map(|capability| capability.name()).collect();
            if !lacks.is_empty() {
                let lacks = lacks.join(", ");
                print(&format!("shadow: {layer}.{step}: may ask for {lacks}, and is granted nothing"));
            }
        }
    }
    Ok(())
}

fn show_references(tree: &LayerTree) {
    for layer in &tree.layers {
        for (step, table) in
            layer.steps.iter().filter_map(|step| Some((&step.name, step.reference.as_ref()?)))
        {
            let columns: Vec<String> = table
                .schema
                .fields()
                .iter()
                .map(|field| format!("{} {}", field.name(), crate::schema::type_name(field.data_type())))
                .collect();
            print(&format!(
                "reference: {}.{step}: {} rows of ({}), version {}",
                layer.name,
                table.rows(),
                columns.join(", "),
                table.version
            ));
        }
    }
}

fn show_schemas(plan: &TaskPlan) {
    for layout in plan.layouts.iter() {
        let columns: Vec<String> = layout
            .table
            .columns()
            .iter()
            .map(|column| format!("{} {}", column.name, crate::schema::type_name(&column.data_type)))
            .collect();
        print(&format!("schema {}: {}", layout.name, columns.join(", ")));
    }
}
