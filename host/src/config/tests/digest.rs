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
        ("file_size: 64MiB", "file_size: 1MiB"),
        ("THREADS:-2", "THREADS:-3"),
        ("in_flight: 8MiB", "in_flight: 9MiB"),
        ("http: 9187", "http: 9188"),
        ("max_share: 0.25", "max_share: 0.5"),
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
        ("name: tidy", "name: neat"),
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
