//! What a step is granted in the pipeline file is what its plugin finds, and everybody is told.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use arrow::array::AsArray;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::numbers::Numbers;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::program::{hostile_component, languages, sluicebox};
use sluicebox_tests::tables::strings;

const FILE: &str = include_str!("../pipelines/capabilities.yaml");
const SETTINGS: Settings = Settings { batch_rows: 100, epoch_ms: 200, epoch_rows: 1_000_000 };
const PATIENCE: Duration = Duration::from_secs(60);

/// What the plugin has told, each thing once.
fn told(pipeline: &Pipeline) -> Result<BTreeSet<String>> {
    let mut told = BTreeSet::new();
    pipeline.table("bronze")?.scan(|batch| {
        let seen = strings(batch, "seen")?;
        told.extend(seen.as_string::<i32>().iter().flatten().map(str::to_owned));
        Ok(())
    })?;
    Ok(told)
}

fn wait_until_told(pipeline: &Pipeline, text: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !told(pipeline)?.contains(text) {
        ensure!(Instant::now() < deadline, "{text} was not told: {:?}", told(pipeline)?);
        // Files tell nobody on their own.
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The named variable and the folder are there, and nothing else. Another value of the variable is another configuration:
/// it is taken up as one, and the ledger has both, with the mark of what is not deterministic.
#[test]
fn a_step_finds_what_it_was_granted() -> Result<()> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic("capabilities", 1)?;
    let mut numbers = Numbers::open(broker, &topic)?;
    let mut pipeline = Pipeline::with_file(FILE, "capabilities", broker, &topic, SETTINGS)?;
    pipeline.set("PROBE", &hostile_component("hostile-grants")?);
    fs::create_dir(pipeline.folder().join("reference"))?;
    fs::write(pipeline.folder().join("reference/rates.csv"), "eur,1.1")?;

    let refused = pipeline.check().expect_err("REGION is not set").to_string();
    assert!(
        refused.contains("layers.bronze.steps[0].grants.env[0]: the variable `REGION` is not set"),
        "{refused}"
    );
    let dotenv = pipeline.folder().join(".env");
    fs::write(&dotenv, "REGION=north\n")?;
    let checked = pipeline.check()?;
    let line = "grants: bronze.look: asks for clock, random, env, dir, http; granted env, dir; not deterministic: dir";
    assert!(checked.contains(line), "{checked}");

    let worker = pipeline.worker("worker")?.start()?;
    numbers.send(0, 10)?;
    pipeline.wait_for_commit_after("bronze", Some(0))?;
    fs::write(&dotenv, "REGION=south\n")?;
    worker.wait_for_log("the configuration changed")?;
    numbers.send(0, 10)?;
    wait_until_told(&pipeline, r#"[("REGION", "south")]"#)?;
    worker.stop()?;

    let expected = [
        "0.000000000 0",
        "ErrorCode::HttpRequestDenied",
        r#"[("REGION", "north")]"#,
        r#"[("REGION", "south")]"#,
        "eur,1.1",
        "not-permitted",
    ];
    assert_eq!(told(&pipeline)?, expected.map(str::to_owned).into());
    let shown = pipeline.sluicebox(&["ledger", "show"])?.success()?;
    assert_eq!(shown.matches("not deterministic: dir").count(), 2, "{shown}");
    pipeline.audit()?;
    pipeline.close()
}

/// What `sluicebox plugin run` makes of these rows, and whether it says that there are failed ones.
fn run(plugin: &str, rows: &str, arguments: &[&str]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("rows.jsonl"), rows)?;
    fs::create_dir(folder.path().join("rates"))?;
    fs::write(folder.path().join("rates/rates.csv"), "USD,0.5\n")?;
    let plugin = languages()?.join(format!("{plugin}.wasm")).display().to_string();
    let command = [&["plugin", "run", &plugin, "--input", "rows.jsonl"][..], arguments].concat();
    let said = sluicebox(folder.path(), &command)?;
    Ok(said.output + &said.errors)
}

/// Python's `open`, JavaScript's `fetch` and C's `time` find what the step was granted, and nothing without.
#[test]
fn grants_are_used_by_the_libraries_of_other_languages() -> Result<()> {
    let prices = r#"{"price": 3.0, "currency": "USD"}"#;
    let rates = ["-c", "rates=/rates/rates.csv"];
    let granted = run("exchange", prices, &[&rates[..], &["--grant", "dir=/rates=rates"]].concat())?;
    assert!(granted.contains("1.5") && granted.contains("1 kept"), "{granted}");
    let refused = run("exchange", prices, &rates)?;
    assert!(refused.contains("FileNotFoundError"), "{refused}");

    let shop = TcpListener::bind("127.0.0.1:0")?;
    let host = format!("localhost:{}", shop.local_addr()?.port());
    let asked = thread::spawn(move || -> std::io::Result<String> {
        let (mut connection, _) = shop.accept()?;
        let mut request = String::new();
        BufReader::new(connection.try_clone()?).read_line(&mut request)?;
        let body = r#"{"tea": 7}"#;
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        Ok(request)
    });
    let articles = r#"{"article": "tea"}"#;
    let url = format!("url=http://{host}/stock");
    let refused = run("stock", articles, &["-c", &url])?;
    assert!(refused.contains("1 failed") && refused.contains("host API"), "{refused}");
    let granted = run("stock", articles, &["-c", &url, "--grant", &format!("http={host}")])?;
    assert!(granted.contains('7') && granted.contains("1 kept"), "{granted}");
    let asked = asked.join().ok().context("the shop panicked")??;
    assert!(asked.starts_with("GET /stock HTTP/1.1"), "{asked}");

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let sold = format!("{{\"sold_at\": {}}}", now - 5_000_000);
    let granted = run("age", &sold, &["--grant", "clock"])?;
    assert!(granted.contains(" 50000"), "{granted}");
    let refused = run("age", &sold, &[])?;
    assert!(refused.contains(&format!("-{}", now - 5_000_000)), "the clock stands at zero: {refused}");
    Ok(())
}
