//! What the documents tell users to write is valid.

use std::fs;

use anyhow::{Context, Result};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::plugin_page::{Columns, Example, examples, page_path, read, root, standard_plugins};

const README: &str = include_str!("../../README.md");

/// The first fenced block of YAML.
fn first_yaml(document: &str) -> Option<&str> {
    Some(document.split_once("```yaml\n")?.1.split_once("```")?.0)
}

/// What `sluicebox check` says of the file, beside which the CSV file lies that its step names, if it names one.
fn check(id: &str, file: &str, table: Option<&str>, broker: &Broker, topic: &str) -> Result<String> {
    let pipeline = Pipeline::with_file(file, id, broker, topic, Settings::default())?;
    if let Some(table) = table {
        let (_, name) = file.split_once("csv: ./").context("a table that no step names")?;
        let name = name.split([',', ' ', '\n']).next().unwrap_or_default();
        fs::write(pipeline.folder().join(name), table)?;
    }
    let said = pipeline.check().with_context(|| file.to_owned())?;
    pipeline.close()?;
    Ok(said)
}

/// Each example of a step, between records and a sink, passes `sluicebox check`: its configuration is valid, and
/// fits the columns that the index begins with, or those that its page declares.
#[test]
fn every_example_of_a_plugin_passes_the_check() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("documents", 1)?;
    let index = read(&root().join("docs/plugins.md"))?;
    let columns = Columns::of_index()?;
    let mut all = examples(&index, &columns)?;
    for name in standard_plugins()? {
        let of_page = examples(&read(&page_path(&name))?, &columns)?;
        assert!(!of_page.is_empty(), "the page of {name} has no example");
        all.extend(of_page);
    }
    for Example { columns: Columns(columns), step, table, .. } in &all {
        let event_time =
            if columns.contains(" ts: ") { "event_time: { column: ts, delay: 10m }\n" } else { "" };
        let step: String = step.lines().map(|line| format!("      {line}\n")).collect();
        let file = format!(
            "id: ${{PIPELINE}}\n\
             source: {{ kafka: {{ brokers: \"${{BOOTSTRAP_SERVERS}}\", topics: [\"${{TOPIC}}\"] }} }}\n\
             {columns}{event_time}\
             state: ./lake/_sluicebox\n\
             dead_letters: {{ delta: ./lake/dead_letters }}\n\
             layers:\n  silver:\n    steps:\n{step}    quarantine: {{ delta: ./lake/quarantine }}\n    \
             sink: {{ delta: ./lake/silver }}\n"
        );
        let said = check("documents", &file, table.as_deref(), broker, &topic)?;
        assert!(said.contains("schema silver: "), "{said}");
    }
    Ok(())
}

/// The README's pipeline passes the check, and is as short as it claims to be.
#[test]
fn the_pipeline_of_the_readme_passes_the_check() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("readme", 1)?;
    let file = first_yaml(README).context("an example in the README")?;
    assert!(file.lines().count() < 40);
    check("readme", &file.replace("topics: [iot-sensors]", "topics: [\"${TOPIC}\"]"), None, broker, &topic)?;
    Ok(())
}
