//! What a step is granted is there, and nothing else is.

use std::os::unix::fs::symlink;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use arrow::array::{Array, AsArray};
use serde_json::json;
use sluicebox::plugin::{Capability, Grants, HttpHost, Limits, Plugin, Step, StepOutcome, StepSettings};

use super::fixture::*;
use super::servers::Server;

fn probe() -> Arc<Plugin> {
    static LOADED: OnceLock<Arc<Plugin>> = OnceLock::new();
    LOADED.get_or_init(|| engine().load(&component("hostile-grants"), None).unwrap()).clone()
}

fn run(grants: Grants, tries: &[&[&str]]) -> StepOutcome {
    run_within(grants, limits(), tries)
}

fn run_within(grants: Grants, limits: Limits, tries: &[&[&str]]) -> StepOutcome {
    let settings = StepSettings { grants: grants.into(), limits, ..settings(json!({ "tries": tries })) };
    Step::open(probe(), settings, &schema()).unwrap().run(rows(1), None).unwrap()
}

fn seen(mut outcome: StepOutcome) -> Vec<String> {
    assert!(outcome.failed.is_none(), "{:?}", outcome.failed);
    let seen = outcome.rows.column("seen").unwrap();
    let seen = seen.as_string::<i32>();
    (0..seen.len()).map(|row| seen.value(row).to_owned()).collect()
}

fn failure(outcome: StepOutcome) -> String {
    outcome.failed.unwrap().reasons.value(0).to_owned()
}

/// All that the probe can try, but for what needs a folder or a server.
const EVERYTHING: [&[&str]; 8] = [
    &["clock"],
    &["sleep", "3600000"],
    &["random"],
    &["env"],
    &["folders"],
    &["open", "etc/passwd"],
    &["http", "http://localhost:1"],
    &["http", "https://example.com"],
];

#[test]
fn a_plugin_asks_for_what_it_imports() {
    assert_eq!(probe().asks(), Capability::ALL);
    assert_eq!(transform().asks(), []);
}

/// The same in every run, with no time passing and nobody asked.
#[test]
fn without_grants_there_is_nothing() {
    let started = Instant::now();
    let found = seen(run(Grants::default(), &EVERYTHING));
    assert_eq!(
        found,
        [
            "0.000000000 0",
            "slept",
            "336293b338b04461",
            "[]",
            "[]",
            "no folder",
            "ErrorCode::HttpRequestDenied",
            "ErrorCode::HttpRequestDenied",
        ]
    );
    assert_eq!(seen(run(Grants::default(), &EVERYTHING)), found);
    assert!(started.elapsed() < Duration::from_secs(60));
}

/// One grant opens one door.
#[test]
fn a_grant_is_for_one_capability() {
    let place = tempfile::tempdir().unwrap();
    let nothing = seen(run(Grants::default(), &EVERYTHING));
    let host = HttpHost { host: "localhost".to_owned(), port: Some(1) };
    for (grants, changed) in [
        (Grants::default().random(), &[2][..]),
        (Grants::default().variable("A", "b"), &[3]),
        (Grants::default().folder("/", place.path()).unwrap(), &[4, 5]),
        (Grants::default().http(vec![host]).unwrap(), &[6]),
    ] {
        let name = format!("{grants:?}");
        let found = seen(run(grants, &EVERYTHING));
        let differ: Vec<usize> = (0..found.len()).filter(|at| found[*at] != nothing[*at]).collect();
        assert_eq!(differ, changed, "{name}: {found:?}");
    }
}

#[test]
fn a_clock_moves_and_waiting_has_an_end() {
    let clock = || Grants::default().clock();
    let found = seen(run(clock(), &[&["clock"], &["sleep", "50"], &["clock"]]));
    let read = |text: &str| {
        let (wall, ticks) = text.split_once(' ').unwrap();
        (wall.parse::<f64>().unwrap(), ticks.parse::<u64>().unwrap())
    };
    let (before, after) = (read(&found[0]), read(&found[2]));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - before.0).abs() < 60.0, "{found:?}");
    assert!(after.1 - before.1 >= 50_000_000, "{found:?}");

    let limits = Limits { wait: Duration::from_millis(300), ..limits() };
    let started = Instant::now();
    let reason = failure(run_within(clock(), limits.clone(), &[&["sleep", "3600000"]]));
    assert!(reason.contains("waited for more than 300 ms in one call"), "{reason}");
    // Many short waits are a long one.
    let naps: &[&str] = &["sleep", "50"];
    let reason = failure(run_within(clock(), limits, &[naps; 100]));
    assert!(reason.contains("waited for more than 300 ms in one call"), "{reason}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn random_numbers_differ() {
    let random = || seen(run(Grants::default().random(), &[&["random"], &["random"]]));
    let (one, other) = (random(), random());
    assert!(one[0] != one[1] && one[0] != other[0] && one[0] != "336293b338b04461", "{one:?} {other:?}");
}

#[test]
fn only_named_variables_are_seen() {
    let grants = Grants::default().variable("REGION", "north");
    assert_eq!(seen(run(grants, &[&["env"]])), [r#"[("REGION", "north")]"#]);
}

#[test]
fn a_folder_is_there_to_be_read_and_nothing_outside_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("granted");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    std::fs::write(folder.join("rates.csv"), "eur,1.1\n").unwrap();
    std::fs::write(folder.join("deep/b"), "b").unwrap();
    std::fs::write(place.path().join("secret"), "s").unwrap();
    symlink("../secret", folder.join("out")).unwrap();
    symlink("/etc", folder.join("etc")).unwrap();
    let absolute = folder.join("rates.csv").display().to_string();
    let grants = || Grants::default().folder("/reference", &folder).unwrap();

    let found = seen(run(
        grants(),
        &[
            &["folders"],
            &["list", "."],
            &["open", "rates.csv"],
            &["open", "deep/../rates.csv"],
            &["stat", "deep/b"],
            &["open", "deep"],
            &["open", "none"],
        ],
    ));
    assert_eq!(
        found,
        [
            r#"["/reference"]"#,
            "deep etc out rates.csv",
            "eur,1.1\n",
            "eur,1.1\n",
            "1 true",
            "is-directory",
            "no-entry",
        ]
    );
    let outside = ["../secret", "out", "etc/passwd", "/etc/passwd", "deep/../../secret", absolute.as_str()];
    for path in outside {
        let found = seen(run(grants(), &[&["open", path], &["stat", path]]));
        assert_eq!(found, ["not-permitted", "not-permitted"], "{path}");
    }
    assert_eq!(seen(run(grants(), &[&["change", "rates.csv"]])), ["[]"], "something was not refused");
    assert_eq!(std::fs::read_to_string(folder.join("rates.csv")).unwrap(), "eur,1.1\n");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 4);
}

#[test]
fn open_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "a").unwrap();
    let grants = Grants::default().folder("/", folder.path()).unwrap();
    let found = seen(run(grants, &[&["hoard", "a"], &["open", "a"]]));
    assert_eq!(found, ["held 32", "a"]);
}

fn http(ports: &[u16]) -> Grants {
    let host = |port: &u16| HttpHost { host: "localhost".to_owned(), port: Some(*port) };
    Grants::default().http(ports.iter().map(host).collect()).unwrap()
}

#[test]
fn requests_reach_the_named_host_and_no_other() {
    let other = Server::start(0);
    let named = Server::start(other.port);
    let (port, foreign) = (named.port, other.port);
    let url = |rest: &str| format!("http://localhost:{port}|{rest}");
    let found = seen(run(
        http(&[port]),
        &[
            &["http", &url("/hello?a=b")],
            &["http", &url("/host")],
            &["http", &url("/none")],
            &["post", &url("/length"), "100000"],
            // The redirect is the plugin's to follow, within its grants.
            &["http", &url("/elsewhere")],
            &["header", "Host"],
        ],
    ));
    assert_eq!(
        found,
        [
            "200 5 hello".to_owned(),
            format!("200 {} localhost:{port}", format!("localhost:{port}").len()),
            "404 0 ".to_owned(),
            "200 10 got 100000".to_owned(),
            format!("302 0  -> http://127.0.0.1:{foreign}/"),
            "Some(HeaderError::Forbidden)".to_owned(),
        ]
    );
    let asked = named.asked();
    for denied in [
        format!("http://127.0.0.1:{port}|/hello?a=b"),
        format!("http://[::1]:{port}|/"),
        format!("http://localhost:{foreign}|/"),
        format!("http://127.0.0.1:{foreign}|/"),
        format!("http://localhost.:{port}|/"),
        "http://localhost|/".to_owned(),
        "https://example.com|/".to_owned(),
    ] {
        let found = seen(run(http(&[port]), &[&["http", &denied]]));
        assert_eq!(found, ["ErrorCode::HttpRequestDenied"], "{denied}");
    }
    for malformed in [
        format!("http://localhost:{port}@127.0.0.1:{foreign}|/"),
        format!("http://127.0.0.1:{foreign}/?|@localhost:{port}/"),
        format!("http://127.0.0.1:{foreign}#localhost:{port}|/"),
        format!("http://localhost|:{port}/"),
        format!("file://localhost:{port}|/etc/passwd"),
    ] {
        let found = seen(run(http(&[port]), &[&["http", &malformed]]));
        assert_eq!(found, ["ErrorCode::HttpRequestUriInvalid"], "{malformed}");
    }
    assert_eq!((named.asked(), other.asked()), (asked, 0), "somebody was asked who should not have been");
}

#[test]
fn requests_are_bounded_in_time_and_size() {
    let server = Server::start(0);
    let url = |path: &str| format!("http://localhost:{}|{path}", server.port);
    let limits = Limits { wait: Duration::from_secs(2), ..limits() };
    let found = |tries: &[&[&str]]| seen(run_within(http(&[server.port]), limits.clone(), tries));
    let too_large = "ErrorCode::HttpResponseBodySize(Some(4194304))";
    assert_eq!(found(&[&["http", &url("/endless")]]), [too_large]);
    assert_eq!(found(&[&["http", &url("/claims")]]), [too_large]);
    assert_eq!(
        found(&[&["post", &url("/length"), "1048577"]]),
        ["ErrorCode::HttpRequestBodySize(Some(1048576))"]
    );
    assert!(found(&[&["http", &url("/gone")]])[0].starts_with("ErrorCode::"));
    assert!(found(&[&["never-sends", &url("/length")]])[0].contains("was not finished"));

    let started = Instant::now();
    let timeout = "ErrorCode::HttpResponseTimeout";
    for path in ["/slow", "/drips"] {
        assert_eq!(found(&[&["http", &url(path)]]), [timeout], "{path}");
    }
    // The plugin's own time is shorter, and once its patience is gone nothing is waited for.
    assert_eq!(found(&[&["http", &url("/slow"), "100"]]), [timeout]);
    assert_eq!(found(&[&["http", &url("/slow")], &["http", &url("/slow")]]), [timeout, timeout]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// `host` above all: the server of the named host may serve others.
#[test]
fn headers_of_a_response_are_not_sent_as_they_come() {
    let server = Server::start(0);
    let url = |path: &str| format!("http://localhost:{}|{path}", server.port);
    let found = seen(run(http(&[server.port]), &[&["echo", &url("/names-another"), &url("/host")]]));
    assert_eq!(found, ["ErrorCode::HttpRequestDenied, ErrorCode::HttpRequestDenied"]);
    assert_eq!(server.asked(), 1);
}

/// A name with a dot at its end is not this machine's own, wherever it leads.
#[test]
fn names_are_looked_up_where_addresses_are_judged() {
    let server = Server::start(0);
    let host = HttpHost { host: "localhost.".to_owned(), port: Some(server.port) };
    let url = format!("http://localhost.:{}|/host", server.port);
    let grants = Grants::default().http(vec![host]).unwrap();
    // Where nobody knows the name, it may take a while until that is clear.
    let limits = Limits { wait: Duration::from_secs(60), ..limits() };
    let found = seen(run_within(grants, limits, &[&["http", &url]]));
    assert!(
        found[0] == "ErrorCode::DestinationIpProhibited" || found[0].starts_with("ErrorCode::DnsError"),
        "{found:?}"
    );
    assert_eq!(server.asked(), 0);
}

/// With grants or without: requests can be made in any case.
#[test]
fn what_is_held_for_an_instance_is_bounded() {
    let limits = Limits { cpu: Duration::from_secs(5), ..limits() };
    let tries: [&[&str]; 6] = [
        &["hoard-requests", "path", "8192"],
        &["hoard-requests", "authority", "8000"],
        &["hoard-requests", "path", "8193"],
        &["hoard-requests", "authority", "8193"],
        &["hoard-requests", "method", "65"],
        &["hoard-requests", "scheme", "65"],
    ];
    let found = seen(run_within(Grants::default(), limits, &tries));
    assert_eq!(found, ["2048 true", "2097 true", "0 false", "0 false", "0 false", "0 false"]);
}

#[test]
fn a_body_is_sent_as_a_whole_or_not_at_all() {
    let server = Server::start(0);
    let url = format!("http://localhost:{}|/length", server.port);
    let grants = || http(&[server.port]);
    assert_eq!(seen(run(grants(), &[&["post-at-once", &url, "4096"]])), ["200 8 got 4096"]);
    let reason = failure(run(grants(), &[&["post-at-once", &url, "4097"]]));
    assert!(reason.contains("it writes 4097 bytes at once, and 4096 may be"), "{reason}");
}

/// The linker is the plugin's, the grants are the step's.
#[test]
fn steps_of_one_plugin_have_grants_of_their_own() {
    let open = |grants: Grants| {
        let settings = StepSettings { grants: grants.into(), ..settings(json!({ "tries": [["env"]] })) };
        Step::open(probe(), settings, &schema()).unwrap()
    };
    let mut steps =
        [open(Grants::default()), open(Grants::default().variable("A", "b")), open(Grants::default())];
    for _ in 0..2 {
        let found = steps.each_mut().map(|step| seen(step.run(rows(1), None).unwrap())[0].clone());
        assert_eq!(found, ["[]", r#"[("A", "b")]"#, "[]"]);
    }
}
