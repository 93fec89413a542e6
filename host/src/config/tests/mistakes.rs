//! Every mistake has its answer, at its place.

use super::*;

/// Each problem, with what stands in the file where it points.
fn problems_of(text: &str) -> Vec<(String, String)> {
    match load_text(text) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid { problems, .. }) => problems
            .iter()
            .map(|problem| {
                let at = problem.position.unwrap();
                let line = text.lines().nth(at.line as usize - 1).unwrap();
                (line.chars().skip(at.column as usize - 1).collect(), problem.to_string())
            })
            .collect(),
        Err(error) => panic!("{error}"),
    }
}

/// `text` with `from` replaced by `to` has exactly one problem: it points at `target`, is at `path`, and says `message`.
#[track_caller]
fn mistake(text: &str, from: &str, to: &str, target: &str, path: &str, message: &str) {
    assert!(text.contains(from), "`{from}` is not in the text");
    let problems = problems_of(&text.replacen(from, to, 1));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let (found, problem) = &problems[0];
    assert!(found.starts_with(target), "{problem} points at `{found}`, not at `{target}`");
    assert!(
        problem.starts_with(path) && problem.contains(message),
        "`{problem}` is not at {path}: {message}"
    );
}

#[track_caller]
fn minimal(from: &str, to: &str, target: &str, path: &str, message: &str) {
    mistake(MINIMAL, from, to, target, path, message);
}

#[track_caller]
fn full(from: &str, to: &str, target: &str, path: &str, message: &str) {
    mistake(FULL, from, to, target, path, message);
}

#[test]
fn unknown_keys_and_wrong_types_have_a_place() {
    minimal(
        "  kafka:",
        "  kafak: {}\n  kafka:",
        "kafak: {}",
        "source.kafak",
        "unknown key; allowed here: `kafka`, `generate`, `batch`",
    );
    minimal("id: demo\n", "", "source:", "", "the key `id` is missing");
    minimal("brokers: 'localhost:9092',", "", "{ ", "source.kafka", "`brokers` is missing");
    minimal(
        "    sink: {",
        "    positions: perhaps\n    sink: {",
        "perhaps",
        "layers.bronze.positions",
        "`perhaps`: expected `true` or `false`",
    );
    full("1MiB, time", "1mb, time", "1mb, time", "source.batch.bytes", "`1mb`: not a size");
    full("delay: 10m", "delay: 10", "10, idle", "event_time.delay", "`10`: not a duration");
    full(
        "policy: strict",
        "policy: loose",
        "loose",
        "decode.policy",
        "expected one of `merge`, `rescue`, `strict`",
    );
    full(
        "{ timestamp: 2026-11-21T00:00:00Z }",
        "yesterday",
        "yesterday",
        "source.kafka.start",
        "expected one of `earliest`, `latest`, `timestamp`",
    );
    full("2026-11-21T00:00:00Z", "2026-11-21", "2026-11-21 }", "source.kafka.start.timestamp", "not a time");
    full("http: 9187", "http: example.org", "example.org", "http", "not an address");
    full("topics: [iot-sensors, iot-more]", "topics: iot", "iot", "source.kafka.topics", "expected a list");
    minimal("id: demo", "id: [demo", "", "", "");
}

#[test]
fn a_missing_variable_is_named() {
    minimal("localhost:9092", "${BROKERS}", "'${BROKERS}'", "source.kafka.brokers", "`BROKERS` is not set");
}

#[test]
fn each_rule_is_checked() {
    minimal("id: demo", "id: Demo", "Demo", "id", "an id is");
    minimal("localhost:9092", "a:1,,b:2", "'a:1", "source.kafka.brokers", "commas");
    minimal("[events]", "[]", "topics: []", "source.kafka.topics", "at least one topic");
    minimal("[events]", "['^ev.*']", "'^ev", "source.kafka.topics[0]", "a topic's name");
    minimal("[events]", "[a, a]", "a] }", "source.kafka.topics[1]", "twice");
    full("api.version", "group.id", "1.10", "source.kafka.settings.group.id", "remove it");
    full("rows: 1000", "rows: 0", "0, bytes", "source.batch.rows", "above zero");
    full("time: 50ms", "time: 0s", "0s }", "source.batch.time", "above zero");
    full("interval: 1s", "interval: 0s", "0s, rows", "epoch.interval", "above zero");
    full("max_depth: 8", "max_depth: 0", "0", "decode.max_depth", "above zero");
    full("max_columns: 200", "max_columns: 2", "schema:", "decode.schema", "more columns");
    full("machine_id: utf8", "_offset: utf8", "utf8", "decode.schema._offset", "itself");
    full("column: ts", "column: time", "time, delay", "event_time.column", "no such column");
    full("threads: ${THREADS:-2}", "threads: 4000000000", "4000000000", "threads", "at most 1024");
    full("idle: 30s", "idle: 0s", "0s, max_ahead", "event_time.idle", "above zero");
    full("max_share: 0.25", "max_share: 1.5", "1.5", "failures.max_share", "at most 1");
    full("THREADS:-2", "THREADS:-0", "${THREADS", "threads", "above zero");
    full("in_flight: 8MiB", "in_flight: 8B", "8B", "memory.in_flight", "one batch");
    minimal("  bronze:\n    sink: { delta: ./lake/bronze }\n", "", "layers:", "layers", "at least one layer");
    minimal("  bronze:", "  dead_letters:", "dead_letters:", "layers.dead_letters", "taken");
    full("name: tidy", "name: plausible", "plausible", "layers.silver.steps[1].name", "its own");
    full("name: tidy", "name: ''", "''", "layers.silver.steps[1].name", "starts with a letter");
    full("tidy.wasm", "tidy.wat", "./plugins/tidy.wat", "layers.silver.steps[1].plugin", "ending in `.wasm`");
    full(
        "./plugins/tidy.wasm",
        "oci://a/tidy",
        "oci://a/tidy",
        "layers.silver.steps[1].plugin",
        "neither a tag",
    );
    full("sha256: 0123", "sha256: 012", "012456", "layers.silver.steps[0].sha256", "64 hex");
    full("{ entries: 100", "{ entries: 0", "0, bytes", "backlog.entries", "above zero");
    full("stop_after: 6h", "stop_after: 9m", "9m", "backlog.stop_after", "below `backlog.age`");
    full(
        "max_share: 0.9",
        "max_share: 0.0",
        "0.0",
        "layers.silver.steps[0].limits.rejections.max_share",
        "at most 1",
    );
    full(
        "output_rows: 5000",
        "output_rows: 0",
        "0",
        "layers.silver.steps[0].limits.output_rows",
        "above zero",
    );
    full(
        "tidy-2.wasm",
        "tidy-2",
        "./plugins/tidy-2",
        "layers.silver.steps[1].shadow.plugin",
        "ending in `.wasm`",
    );
    full("each: 5,", "each: 0,", "0, bytes", "layers.silver.steps[1].shadow.samples.each", "above zero");
    full("24MiB", "33MiB", "33MiB", "layers.silver.steps[0].limits.recycle_memory", "above `memory`");
    full(
        "memory: 32MiB, recycle_memory: 24MiB",
        "memory: 0B",
        "0B, time",
        "layers.silver.steps[0].limits.memory",
        "above zero",
    );
    full("file_size: 64MiB", "file_size: 0B", "0B, mode", "layers.bronze.sink.file_size", "above zero");
    full("[date, hour]", "[date, date]", "date], file", "layers.bronze.sink.partition_by[1]", "only once");
    full("key: [machine_id], ", "", "sink: {", "layers.silver.sink.key", "needs `key`");
    full(", order_by: ts", "", "sink: {", "layers.silver.sink.order_by", "needs `order_by`");
    full("mode: append", "key: [a]", "key: [a]", "layers.bronze.sink.key", "goes with `mode: upsert`");
    full("mode: append", "order_by: a", "a }", "layers.bronze.sink.order_by", "goes with `mode: upsert`");
}

#[test]
fn quarantine_and_event_time_are_there_where_they_are_needed() {
    let without_quarantine = FULL.replacen("    quarantine: { delta: ./lake/silver_quarantine }\n", "", 1);
    let problems = problems_of(&without_quarantine);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].1.contains("layers.silver.steps[0].on_error: the layer has no `quarantine`"));
    assert!(problems[1].1.contains("layers.silver.late: the layer has no `quarantine`"));
    let event_time = "event_time: { column: ts, delay: 10m, idle: 30s, max_ahead: 1h }\n";
    full(event_time, "", "quarantine", "layers.silver.late", "nothing is late without event time");
}

#[test]
fn layers_form_a_tree() {
    full("from: bronze", "from: bronce", "bronce", "layers.silver.from", "the layers are `silver`, `bronze`");
    full("from: bronze", "from: silver", "silver", "layers.silver.from", "silver from silver");
    let problems = problems_of(&FULL.replacen("  bronze:\n", "  bronze:\n    from: silver\n", 1));
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].1.contains("silver from bronze from silver"));
}

#[test]
fn every_table_and_the_state_have_their_own_folder() {
    minimal(
        "./lake/dead_letters",
        "lake/x/../bronze",
        "lake/x/../bronze",
        "dead_letters.delta",
        "is also the table of sink `bronze`",
    );
    minimal(
        "./lake/dead_letters",
        "./lake/bronze/dead",
        "./lake/bronze/dead",
        "dead_letters.delta",
        "lies inside the table of sink `bronze`",
    );
    minimal(
        "./lake/bronze",
        "./lake/dead_letters/bronze",
        "./lake/dead_letters }",
        "dead_letters.delta",
        "holds the table of sink `bronze`",
    );
    minimal(
        "./lake/_sluicebox",
        "./lake/bronze/_sluicebox",
        "./lake/bronze/_",
        "state",
        "lies inside the table of sink `bronze`",
    );
    minimal(
        "./lake/bronze",
        "./lake/_sluicebox/bronze",
        "./lake/_sluicebox/bronze",
        "layers.bronze.sink.delta",
        "inside the state location",
    );
    minimal(
        "layers:\n",
        "capture: { folder: ./lake/bronze/x }\nlayers:\n",
        "./lake/bronze/x",
        "capture.folder",
        "lies inside the table of sink `bronze`",
    );
    let samples = "layers.silver.steps[1].shadow.samples.file";
    for (file, says) in [
        ("./lake/silver/tidy.jsonl", "lies inside the table of sink `silver`"),
        ("./lake/_sluicebox/tidy.jsonl", "lies inside the state location"),
        ("s3://bucket/tidy.jsonl", "the path of a file on this machine"),
    ] {
        full("./shadow/tidy.jsonl", file, file, samples, says);
    }
    minimal("./lake/bronze", "s3://bucket", "s3://", "layers.bronze.sink.delta", "s3://bucket/folder");
    minimal("./lake/_sluicebox", "ftp://host/state", "ftp://", "state", "is not a location");
}

#[test]
fn a_sink_is_a_table_a_folder_of_files_or_a_topic() {
    let at = "layers.bronze.sink";
    let sink = |keys: &str, near: &str, path: &str, says: &str| {
        minimal("{ delta: ./lake/bronze }", keys, near, &format!("{at}{path}"), says);
    };
    sink("{ format: csv, files: ./f, delta: ./d }", "sink:", "", "give one of `delta`, `files` and `kafka`");
    sink("{ partition_by: [a] }", "sink:", "", "give one of `delta`, `files` and `kafka`");
    sink("{ delta: ./d, format: csv }", "csv", ".format", "goes with `files`");
    sink("{ delta: ./d, compression: gzip }", "gzip", ".compression", "goes with `files`");
    sink("{ files: ./f, accept_version: 3 }", "3 }", ".accept_version", "goes with `delta`");
    sink("{ files: ./f, format: xml }", "xml", ".format", "expected one of `parquet`, `json_lines`, `csv`");
    let topic = |keys: &str, near: &str, path: &str, says: &str| {
        sink(&format!("{{ kafka: {{ topic: out, {keys} }} }}"), near, &format!(".kafka{path}"), says);
    };
    sink("{ kafka: { topic: out }, files: ./f }", "sink:", "", "give one of `delta`, `files` and `kafka`");
    sink("{ kafka: { topic: events } }", "events", ".kafka.topic", "read again, without end");
    sink("{ kafka: { topic: a/b } }", "a/b", ".kafka.topic", "1 to 249");
    sink(
        "{ kafka: { topic: out }, partition_by: [a] }",
        "partition_by",
        ".partition_by",
        "goes into `kafka`",
    );
    topic("key: [a, a]", "a] ", ".key[1]", "only once");
    topic("max_message: 1GiB", "1GiB", ".max_message", "at most 256 MiB");
    topic("partitions: 0", "0 ", ".partitions", "above zero");
    topic(
        "settings: { transactional.id: x }",
        "x ",
        ".settings.transactional.id",
        "Sluicebox sets this itself",
    );
    let upsert = "{ files: ./f, mode: upsert, key: [a], order_by: b }";
    sink(upsert, "upsert", ".mode", "`mode: upsert` goes with `delta`");
    minimal(
        "{ delta: ./lake/bronze }",
        "{ files: ./lake/dead_letters/x }",
        "./lake/dead_letters }",
        "dead_letters.delta",
        "holds the folder of sink `bronze`",
    );
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = MINIMAL.replace("id: demo", "id: Demo").replace("[events]", "[]") + "threads: 0\n";
    let paths: Vec<_> =
        problems_of(&text).iter().map(|(_, problem)| problem.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(paths, ["id", "source.kafka.topics", "threads"]);
    let error = load_text(&text).unwrap_err().to_string();
    assert!(error.lines().all(|line| line.contains("pipeline.yaml:")), "{error}");
}

#[test]
fn a_reference_table_is_one_table_of_one_form() {
    let at = "layers.silver.steps[1].reference";
    let one = "give one of `parquet`, `csv` and `delta`";
    full("csv: ./machines.csv", "csv: ./a.csv\n          delta: ./b", "reference:", at, one);
    full("delimiter: \";\"", "delimiter: \";;\"", "\";;\"", at, "one ASCII character");
    full("header: false", "version: 3", "3", at, "goes with `delta`");
    full("refresh: 5m", "refresh: 0s", "0s", at, "must be above zero");
    full("max_bytes: 8MiB", "max_bytes: 0MiB", "0MiB", at, "must be above zero");
    full("          schema: { id: utf8, site: utf8 }\n", "", "false", at, "give `schema`");
    full("./machines.csv", "ftp://host/machines.csv", "ftp:", at, "not a location");
    let parquet = "{ parquet: ./a, delimiter: \",\" }";
    minimal(
        "    sink:",
        &format!("    steps: [{{ name: a, plugin: enrich, reference: {parquet} }}]\n    sink:"),
        "\",\"",
        "layers.bronze.steps[0].reference.delimiter",
        "goes with `csv`",
    );
    minimal(
        "    sink:",
        "    steps: [{ name: a, plugin: enrich, reference: { delta: ./a, version: 1, refresh: 1s } }]\n    sink:",
        "1s",
        "layers.bronze.steps[0].reference.refresh",
        "never changes",
    );
}

#[test]
fn generated_fields_have_one_kind_of_value() {
    let generate = |keys: &str, near: &str, path: &str, says: &str| {
        let source = format!("generate: {{ {keys} }}");
        let at = format!("source.generate{path}");
        minimal("kafka: { brokers: 'localhost:9092', topics: [events] }", &source, near, &at, says);
    };
    let field = |keys: &str, near: &str, path: &str, says: &str| {
        generate(&format!("fields: {{ f: {{ {keys} }} }}"), near, &format!(".fields.f{path}"), says);
    };
    minimal(
        "  kafka: { brokers",
        "  batch: { rows: 1 }\n  generate: { fields: { f: { id: true } } }\n  kafka: { brokers",
        "source",
        "source",
        "give one of `kafka` and `generate`",
    );
    field("id: true, sequence: true", "f:", "", "give one of `id: true`");
    field("missing: 0.5", "f:", "", "give one of `id: true`");
    field("id: true, of: 3", "3", ".of", "goes with `name`");
    field("name: 'm-{}'", "f:", "", "`name` needs `of`");
    field("id: true, nulls: 1.5", "1.5", ".nulls", "at least 0 and at most 1");
    generate("partitions: 0, fields: { f: { id: true } }", "0,", ".partitions", "at most 10000");
    generate("fields: {}", "fields: {}", ".fields", "at least one field");
    let changes =
        "fields: { f: { id: true } }, changes: [{ after: 5, fields: {} }, { after: 5, fields: {} }]";
    generate(changes, "5, fields: {} }]", ".changes[1].after", "above the one before");
}
