//! What the digest covers.

use std::collections::BTreeMap;

use super::*;

#[test]
fn the_digest_is_of_what_decides_the_rows() {
    let plugins = |digest: &str| -> BTreeMap<StepName, String> {
        [(("silver".to_owned(), "plausible".to_owned()), digest.to_owned())].into()
    };
    let of = |text: &str| digest(&load_text(text).unwrap().pipeline, &plugins("abc"));
    let full = of(FULL);
    assert_eq!(full.len(), 64);
    for (from, to) in [
        ("localhost:9092", "elsewhere:9092"),
        ("session.timeout.ms: 6000", "session.timeout.ms: 7000"),
        ("SASL_PASSWORD:-none", "SASL_PASSWORD:-other"),
        ("rows: 1000", "rows: 7"),
        ("interval: 1s", "interval: 2s"),
        ("watch: true", "watch: false"),
        ("stop_after: 6h", "stop_after: 7h"),
        ("recycle_memory: 24MiB", "recycle_memory: 25MiB"),
        ("log_lines: 8", "log_lines: 9"),
        ("log_bytes: 1KiB", "log_bytes: 2KiB"),
        ("max_share: 0.9, min_rows: 50", "max_share: 0.8, min_rows: 60"),
        ("tidy-2.wasm", "tidy-3.wasm"),
        ("spaces: none", "spaces: one"),
        ("each: 5,", "each: 6,"),
        ("file_size: 64MiB", "file_size: 1MiB"),
        ("refresh: 5m", "refresh: 6m"),
        ("max_bytes: 8MiB", "max_bytes: 9MiB"),
        ("THREADS:-2", "THREADS:-3"),
        ("in_flight: 8MiB", "in_flight: 9MiB"),
        ("http: 9187", "http: 9188"),
        ("max_share: 0.25", "max_share: 0.5"),
        ("folder: ./captures, max_files: 5", "folder: ./elsewhere, max_files: 6"),
        ("./plugins/tidy.wasm", "./elsewhere/tidy.wasm"),
        ("column: machine_id, in: [a, \"1\", 2]", "in: [a, \"1\", 2], column: machine_id"),
    ] {
        let changed = FULL.replacen(from, to, 1);
        assert_ne!(changed, FULL, "{from}");
        assert_eq!(of(&changed), full, "{from} does not decide rows");
    }
    for (from, to) in [
        ("id: iot-sensors", "id: iot-sensor"),
        ("[iot-sensors, iot-more]", "[iot-sensors]"),
        ("on_lost_offsets: skip", "on_lost_offsets: stop"),
        ("api.version: 1.10", "isolation.level: read_uncommitted"),
        ("policy: strict", "policy: merge"),
        ("max_depth: 8", "max_depth: 9"),
        ("    machine_id: utf8\n    ts: timestamp\n", "    ts: timestamp\n    machine_id: utf8\n"),
        ("delay: 10m", "delay: 11m"),
        ("machine_id, in: [a", "machine_id, in: [b"),
        ("time: 1s, output", "time: 2s, output"),
        ("output_rows: 5000", "output_rows: 6000"),
        ("reason: 1KiB", "reason: 2KiB"),
        ("name: tidy", "name: neat"),
        ("./machines.csv", "./machines2.csv"),
        ("{ id: utf8, site: utf8 }", "{ site: utf8, id: utf8 }"),
        ("late: quarantine", "late: drop"),
        ("[date, hour]", "[date]"),
        ("./lake/silver,", "./lake/silver2,"),
        ("    positions: false\n", ""),
    ] {
        let changed = FULL.replacen(from, to, 1);
        assert_ne!(changed, FULL, "{from}");
        assert_ne!(of(&changed), full, "{from} decides rows");
    }
    assert_ne!(digest(&load_text(FULL).unwrap().pipeline, &plugins("abd")), full);
}
