//! What the documents tell users to write is valid.

use anyhow::{Context, Result};
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};

const README: &str = include_str!("../../README.md");
const PLUGINS: &str = include_str!("../../docs/plugins.md");

/// The fenced blocks of YAML.
fn examples(document: &str) -> Vec<&str> {
    document.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
}

fn check(id: &str, file: &str, broker: &Broker, topic: &str) -> Result<String> {
    let pipeline = Pipeline::with_file(file, id, broker, topic, Settings::default())?;
    let said = pipeline.check().with_context(|| file.to_owned())?;
    pipeline.close()?;
    Ok(said)
}

/// Each example of a step, between records and a sink, passes `sluicebox check`: its configuration is valid, and
/// fits the columns that the page begins with.
#[test]
fn every_example_of_a_plugin_passes_the_check() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("documents", 1)?;
    let examples = examples(PLUGINS);
    let (columns, steps) = examples.split_first().context("the page begins with the columns")?;
    assert!(steps.len() >= 5);
    for step in steps {
        let step: String = step.lines().map(|line| format!("      {line}\n")).collect();
        let file = format!(
            "id: ${{PIPELINE}}\n\
             source: {{ kafka: {{ brokers: \"${{BOOTSTRAP_SERVERS}}\", topics: [\"${{TOPIC}}\"] }} }}\n\
             {columns}\
             event_time: {{ column: ts, delay: 10m }}\n\
             state: ./lake/_sluicebox\n\
             dead_letters: {{ delta: ./lake/dead_letters }}\n\
             layers:\n  silver:\n    steps:\n{step}    quarantine: {{ delta: ./lake/quarantine }}\n    \
             sink: {{ delta: ./lake/silver }}\n"
        );
        let said = check("documents", &file, broker, &topic)?;
        assert!(said.contains("schema silver: "), "{said}");
    }
    Ok(())
}

/// The README's pipeline passes the check, and is as short as it claims to be.
#[test]
fn the_pipeline_of_the_readme_passes_the_check() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("readme", 1)?;
    let file = *examples(README).first().context("an example in the README")?;
    assert!(file.lines().count() < 40);
    check("readme", &file.replace("topics: [iot-sensors]", "topics: [\"${TOPIC}\"]"), broker, &topic)?;
    Ok(())
}
