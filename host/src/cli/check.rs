//! `sluicebox check`: everything that can be known before a pipeline runs, without writing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{assemble, plugins, print};
use crate::config;
use crate::ledger::Ledger;
use crate::pipeline::TaskPlan;
use crate::source::kafka::KafkaSource;

pub async fn check(file: &Path) -> Result<ExitCode> {
    let pipeline = config::load(file)?;
    print(&format!("file: pipeline `{}` is well formed", pipeline.pipeline.id));
    let assembled = assemble::assemble(&pipeline, &plugins::engine()?)?;
    for plugin in &assembled.configuration.plugins {
        print(&format!(
            "plugin: {}.{}: {} {}, sha256 {}",
            plugin.layer, plugin.step, plugin.name, plugin.version, plugin.digest
        ));
    }
    match &assembled.blueprint.declared {
        Some(records) => show_schemas(&assembled.blueprint.plan(records)?),
        None => {
            print("schema: inferred from the records; declare `decode.schema` to have the layers checked")
        }
    }
    let begun = Ledger::is_begun(assemble::entry_store(&pipeline)?).await.context("state")?;
    let ledger = if begun { "the pipeline's ledger is" } else { "a ledger will be begun" };
    print(&format!("state: {ledger} at {}", pipeline.state));
    for (sink, storage) in assemble::sinks_in_order(&pipeline).zip(assemble::table_storages(&pipeline)?) {
        let table = crate::sink::delta::inspect(&storage, &pipeline.pipeline.id, &sink.name, 0)
            .await
            .with_context(|| sink.name.clone())?;
        match table {
            Some(table) => {
                print(&format!("table {}: version {}, {} rows", sink.name, table.version, table.rows))
            }
            None => print(&format!("table {}: will be created at {}", sink.name, sink.location)),
        }
    }
    let settings = assemble::kafka_settings(&pipeline.pipeline);
    let partitions = tokio::task::spawn_blocking(move || KafkaSource::look_up(&settings)).await??;
    print(&format!(
        "kafka: {} partitions in {}",
        partitions.len(),
        pipeline.pipeline.source.kafka.topics.join(", ")
    ));
    Ok(ExitCode::SUCCESS)
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
