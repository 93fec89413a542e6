//! Whole files.

mod digest;
mod grants;
mod mistakes;

use std::path::Path;

use serde_json::json;

use super::*;

const FULL: &str = include_str!("../fixtures/full.yaml");

const MINIMAL: &str = "\
id: demo
source:
  kafka: { brokers: 'localhost:9092', topics: [events] }
state: ./lake/_sluicebox
dead_letters: { delta: ./lake/dead_letters }
layers:
  bronze:
    sink: { delta: ./lake/bronze }
";

fn load_text_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pipeline.yaml");
    std::fs::write(&file, text).unwrap();
    load_with(&file, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn load_text(text: &str) -> Result<Loaded, ConfigError> {
    load_text_with(text, &[])
}

#[test]
fn every_key_is_read() {
    let loaded = load_text_with(FULL, &[("SASL_PASSWORD", "pa'ss\": x"), ("THREADS", "7")]).unwrap();
    let pipeline = &loaded.pipeline;
    let kafka = pipeline.source.kafka.as_ref().unwrap();
    assert_eq!(kafka.brokers, "localhost:9092");
    assert_eq!(kafka.start, Start::Timestamp("2026-11-21T00:00:00Z".parse().unwrap()));
    assert_eq!(kafka.on_lost_offsets, OnLostOffsets::Skip);
    let settings: Vec<_> =
        kafka.settings.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(
        settings,
        [
            ("security.protocol", "SASL_SSL"),
            ("session.timeout.ms", "6000"),
            ("sasl.password", "pa'ss\": x"),
            ("enable.ssl.certificate.verification", "true"),
            ("api.version", "1.10"),
        ]
    );
    assert_eq!(pipeline.source.batch.bytes, ByteSize::mebibytes(1));
    let columns: Vec<_> = pipeline.decode.schema.as_ref().unwrap().keys().collect();
    assert_eq!(columns, ["machine_id", "ts", "reading"]);
    assert_eq!(pipeline.event_time.as_ref().unwrap().idle, Some(Period::seconds(30)));
    assert_eq!(pipeline.threads, Some(7));
    assert_eq!(pipeline.http.unwrap().to_string(), "127.0.0.1:9187");
    let step = &pipeline.layers["silver"].steps[0];
    assert_eq!(step.sha256.as_deref().unwrap(), "0123456789abcdef".repeat(4));
    let keep = json!({"column": "machine_id", "in": ["a", "1", 2]});
    let other = json!([3.5, true, null, null, -4, 1000.0, "007"]);
    assert_eq!(step.config.0, json!({"keep": keep, "other": other}));
    assert_eq!(step.on_error, OnError::Quarantine);
    assert!(step.as_shadow().is_none());
    let shadow = pipeline.layers["silver"].steps[1].as_shadow().unwrap();
    assert_eq!((shadow.name.as_str(), shadow.plugin.as_str()), ("tidy.shadow", "./plugins/tidy-2.wasm"));
    assert_eq!(shadow.config.0, json!({"spaces": "none"}));
    assert_eq!(shadow.limits.time, Period::milliseconds(500));
    let reference = pipeline.layers["silver"].steps[1].reference.as_ref().unwrap();
    assert_eq!((reference.location(), reference.delimiter()), ("./machines.csv", b';'));
    assert_eq!(reference.header, Some(false));
    assert_eq!(reference.refresh, Some(Period::seconds(300)));
    assert_eq!(reference.max_bytes, ByteSize::mebibytes(8));
    let location = Location::Local(loaded.directory.join("machines.csv"));
    assert_eq!(loaded.reference_location(reference), Ok(location));
}

#[test]
fn what_depends_on_the_place_of_the_file_is_resolved() {
    let loaded = load_text(FULL).unwrap();
    assert_eq!(loaded.file, loaded.directory.join("pipeline.yaml"));
    let sinks: Vec<_> = loaded
        .sinks
        .iter()
        .map(|sink| {
            let Some(Location::Local(path)) = sink.target.location() else {
                panic!("{} is not local", sink.target)
            };
            (sink.name.as_str(), path.strip_prefix(&loaded.directory).unwrap_or(path).to_str().unwrap())
        })
        .collect();
    assert_eq!(
        sinks,
        [
            ("silver", "lake/silver"),
            ("silver.quarantine", "lake/silver_quarantine"),
            ("bronze", "/lake/bronze"),
            ("dead_letters", "lake/dead_letters"),
        ]
    );
    assert_eq!(loaded.state, Location::Local(loaded.directory.join("lake/_sluicebox")));
    assert_eq!(loaded.captures, Some(Location::Local(loaded.directory.join("captures"))));
    assert_eq!(loaded.layers_parents_first, ["bronze", "silver"]);
    assert_eq!(loaded.parents()["silver"].as_deref(), Some("bronze"));
    let steps = &loaded.pipeline.layers["silver"].steps;
    assert_eq!(loaded.plugin_source(&steps[0]), PluginSource::Bundled("filter".to_owned()));
    assert_eq!(
        loaded.plugin_source(&steps[1]),
        PluginSource::File(loaded.directory.join("./plugins/tidy.wasm"))
    );
}

#[test]
fn a_plugin_may_be_in_a_registry() {
    let loaded =
        load_text(&FULL.replace("./plugins/tidy.wasm", "oci://a.example:5000/b/tidy.wasm:1")).unwrap();
    let step = &loaded.pipeline.layers["silver"].steps[1];
    assert_eq!(loaded.plugin_source(step), PluginSource::Registry(step.plugin.parse().unwrap()));
    assert_eq!(loaded.lock, Lock::default());
}

#[test]
fn what_is_absent_has_its_default() {
    let pipeline = load_text(MINIMAL).unwrap().pipeline;
    let kafka = pipeline.source.kafka.as_ref().unwrap();
    assert_eq!((kafka.start, kafka.on_lost_offsets), (Start::Earliest, OnLostOffsets::Stop));
    assert_eq!(pipeline.source.batch, BatchLimits::default());
    assert_eq!(pipeline.decode, Decode::default());
    assert_eq!(pipeline.epoch.interval, Period::seconds(10));
    assert_eq!((pipeline.http, pipeline.threads, &pipeline.event_time), (None, None, &None));
    let bronze = &pipeline.layers["bronze"];
    assert!(bronze.positions && bronze.steps.is_empty());
    assert_eq!((bronze.late, bronze.sink.mode), (Late::Drop, Mode::Append));
    // A section whose keys are all commented out is an empty one.
    assert_eq!(load_text(&format!("{MINIMAL}decode:\nfailures:\n")).unwrap().pipeline, pipeline);
}

#[test]
fn dotenv_gives_what_the_process_does_not_have() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pipeline.yaml");
    std::fs::write(&file, MINIMAL.replace("demo", "${ID}")).unwrap();
    std::fs::write(directory.path().join(".env"), "ID=from-dotenv\n").unwrap();
    assert_eq!(load_with(&file, []).unwrap().pipeline.id, "from-dotenv");
    let process = [("ID".to_owned(), "from-process".to_owned())];
    assert_eq!(load_with(&file, process).unwrap().pipeline.id, "from-process");
    std::fs::write(directory.path().join(".env"), "ID=x\nsecret\n").unwrap();
    let error = load_with(&file, []).unwrap_err().to_string();
    assert!(error.contains(".env:2:1: not of the form") && !error.contains("secret"), "{error}");
}

#[test]
fn an_empty_file_lacks_the_first_key() {
    for text in ["", "# nothing\n", "---\n"] {
        let error = load_text(text).unwrap_err().to_string();
        assert!(error.ends_with(": the key `id` is missing") && !error.contains(":0"), "{error}");
    }
}

#[test]
fn an_absent_file_is_an_error_with_its_name() {
    let error = load(Path::new("/no/such/pipeline.yaml")).unwrap_err();
    assert!(
        matches!(&error, ConfigError::Unreadable { file, .. } if file == Path::new("/no/such/pipeline.yaml"))
    );
    assert!(error.to_string().starts_with("cannot read /no/such/pipeline.yaml: "));
}

#[test]
fn interpolated_values_are_not_shown() {
    let secret = "hunter2";
    let text = FULL.replace("{ keep: {", "{ token: \"${SASL_PASSWORD}\", keep: {");
    let loaded = load_text_with(&text, &[("SASL_PASSWORD", secret)]).unwrap();
    assert_eq!(loaded.pipeline.layers["silver"].steps[0].config.0["token"], secret);
    assert!(!format!("{loaded:?}").contains(secret));
    assert!(!serde_json::to_string(&loaded.pipeline.source).unwrap().contains(secret));

    for key in ["threads: ${THREADS:-2}", "bytes: 16MiB", "policy: strict", "http: 9187", "rows: 500"] {
        let (name, _) = key.split_once(':').unwrap();
        let text = FULL.replacen(key, &format!("{name}: \"${{SASL_PASSWORD}}\""), 1);
        let error = load_text_with(&text, &[("SASL_PASSWORD", secret)]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("`${SASL_PASSWORD}`: ") && !shown.contains(secret), "{shown}");
    }
}

/// A sink on the brokers of the source reaches them in the same way; one on others does not.
#[test]
fn a_topic_on_the_brokers_of_the_source_is_reached_as_they_are() {
    let source =
        "brokers: 'one:9092', settings: { sasl.password: p, session.timeout.ms: 6000, ssl.ca.location: a }, ";
    let reached = |sink: &str| {
        let text = MINIMAL.replace("brokers: 'localhost:9092', ", source);
        let loaded = load_text(&text.replace("delta: ./lake/bronze", sink)).unwrap();
        let sink = loaded.pipeline.layers["bronze"].sink.kafka.clone().unwrap();
        let (brokers, settings) = sink.reached(loaded.pipeline.source.kafka.as_ref());
        let settings = settings.iter().map(|(name, value)| format!("{name}={}", value.expose()));
        (brokers.to_owned(), settings.collect::<Vec<_>>())
    };
    let (brokers, settings) =
        reached("kafka: { topic: out, settings: { ssl.ca.location: b, linger.ms: 5 } }");
    assert_eq!(brokers, "one:9092");
    assert_eq!(settings, ["sasl.password=p", "ssl.ca.location=b", "linger.ms=5"]);
    let (brokers, settings) = reached("kafka: { topic: out, brokers: 'two:9092' }");
    assert_eq!((brokers.as_str(), settings.len()), ("two:9092", 0));
}
