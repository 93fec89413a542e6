//! Plugins in a registry, a real one on loopback: pushed, pulled, pinned and locked.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;
use sluicebox_tests::broker::Broker;
use sluicebox_tests::pipeline::{Pipeline, Settings};
use sluicebox_tests::program::{Said, assert_says, sluicebox_with};
use sluicebox_tests::registry::{PASSWORD, Registry, USER};
use sluicebox_tests::swaps::{another_build, component};
use tempfile::TempDir;

/// A folder of somebody who works with plugins, with a cache and credentials of its own.
struct Desk(TempDir);

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(fs::write(self.0.path().join(name), bytes)?)
    }

    fn run(&self, arguments: &[&str]) -> Result<Said> {
        let home = self.0.path().display().to_string();
        let variables = [
            ("XDG_CACHE_HOME", format!("{home}/cache")),
            ("DOCKER_CONFIG", home),
            ("SOURCE_DATE_EPOCH", "7".to_owned()),
        ];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        sluicebox_with(self.0.path(), arguments, &variables)
    }

    /// Pushes the bytes, and returns the reference by digest that the program printed.
    fn push(&self, bytes: &[u8], reference: &str) -> Result<String> {
        self.write("plugin.wasm", bytes)?;
        let said = self.run(&["plugin", "push", "plugin.wasm", reference])?.success()?;
        let digest = said.lines().find_map(|line| line.strip_prefix("by digest: ")).unwrap_or_default();
        Ok(digest.to_owned())
    }

    fn inspect(&self, plugin: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.run(&["plugin", "inspect", plugin, "--json"])?.success()?)?)
    }
}

/// What comes back is what was pushed, by tag and by digest; the same component has the same digest whenever it is pushed;
/// a tag moves, a digest does not; rows go through a plugin that was never a file here.
#[test]
fn a_plugin_comes_back_as_it_was_pushed() -> Result<()> {
    let registry = Registry::start()?;
    let desk = Desk::new()?;
    let filter = component("filter")?;
    let tag = format!("oci://{}/team/filter:1", registry.host());
    let digest = desk.push(&filter, &tag)?;
    assert_eq!(desk.push(&filter, &tag)?, digest);
    desk.write("here.wasm", &filter)?;
    let here = desk.inspect("./here.wasm")?;
    let other_desk = Desk::new()?;
    assert_eq!(other_desk.inspect(&tag)?, here);
    assert_eq!(other_desk.inspect(&digest)?, here);

    let moved = desk.push(&another_build(&filter, 1), &tag)?;
    assert_ne!(moved, digest);
    assert_ne!(other_desk.inspect(&tag)?["sha256"], here["sha256"]);
    assert_eq!(other_desk.inspect(&digest)?["sha256"], here["sha256"]);

    other_desk.write("rows.jsonl", "{\"n\": 1}\n{\"n\": 3}\n")?;
    let keep = "keep={column: n, lt: 2}";
    let ran = other_desk.run(&["plugin", "run", &digest, "--input", "rows.jsonl", "-c", keep])?.success()?;
    assert_says(&ran, "1 dropped, 1 kept");

    let missing = desk.run(&["plugin", "inspect", &tag.replace("filter:1", "filter:2")])?.failure()?;
    assert_says(&missing, "is not in the registry");
    desk.write("junk.wasm", "junk")?;
    assert_says(&desk.run(&["plugin", "push", "junk.wasm", &tag])?.failure()?, "not a WebAssembly component");
    assert_says(&desk.run(&["plugin", "push", "here.wasm", &digest])?.failure()?, "pushed under a tag");
    Ok(())
}

/// A registry that wants a password gets it from Docker's configuration; without it, or with a wrong one, the message says
/// what to do.
#[test]
fn credentials_come_from_dockers_configuration() -> Result<()> {
    let registry = Registry::with_password()?;
    let desk = Desk::new()?;
    desk.write("filter.wasm", component("filter")?)?;
    let tag = format!("oci://{}/filter:1", registry.host());
    let push = || desk.run(&["plugin", "push", "filter.wasm", &tag]);
    assert_says(&push()?.failure()?, &format!("docker login {}", registry.host()));
    let login = |password: &str| {
        let auths =
            serde_json::json!({ "auths": { registry.host(): { "username": USER, "password": password } } });
        desk.write("config.json", auths.to_string())
    };
    login("wrong")?;
    assert_says(&push()?.failure()?, &format!("does not let `{USER}` push to `filter`"));
    login(PASSWORD)?;
    push()?.success()?;
    assert_eq!(desk.inspect(&tag)?["name"], "filter");
    Ok(())
}

/// The pipeline's filter from a registry.
fn pipeline(id: &str, reference: &str, cache: &Path) -> Result<Pipeline> {
    let broker = Broker::shared()?;
    let topic = broker.create_topic(id, 1)?;
    let mut pipeline = Pipeline::new(id, broker, &topic, Settings::default())?;
    pipeline.rewrite(|file| file.replace("plugin: filter\n", &format!("plugin: {reference}\n")))?;
    pipeline.set("XDG_CACHE_HOME", &cache.display().to_string());
    Ok(pipeline)
}

/// A tag runs only once it is locked, as what it was locked to, wherever it moves, until the lock is updated. With lock and
/// cache no registry is needed; without the cache the message says what is missing. A digest needs no lock. Pins hold
/// whatever the registry gives.
#[test]
fn a_tag_means_what_the_lock_file_says() -> Result<()> {
    let mut registry = Registry::start()?;
    let desk = Desk::new()?;
    let filter = component("filter")?;
    let tag = format!("oci://{}/team/filter:1", registry.host());
    let digest = desk.push(&filter, &tag)?;
    let sha256 = desk.inspect(&digest)?["sha256"].as_str().unwrap_or_default().to_owned();
    let cache = tempfile::tempdir()?;
    let mut pipeline = pipeline("locks", &tag, cache.path())?;
    let lock_file = pipeline.folder().join("pipeline.lock");

    assert_says(&pipeline.sluicebox(&["check"])?.failure()?, "run `sluicebox plugin lock -f");
    assert_says(&pipeline.sluicebox(&["plugin", "lock"])?.success()?, "(new)");
    let locked = fs::read_to_string(&lock_file)?;
    assert_says(&locked, &sha256);
    assert_says(&locked, digest.rsplit_once('@').map_or("", |(_, digest)| digest));
    assert_says(&pipeline.check()?, &sha256);

    desk.push(&another_build(&filter, 1), &tag)?;
    assert_says(&pipeline.sluicebox(&["plugin", "lock"])?.success()?, "says it already");
    assert_says(&pipeline.check()?, &sha256);
    let unknown = pipeline.sluicebox(&["plugin", "lock", "--update", "oci://a/b:c"])?.failure()?;
    assert_says(&unknown, "names the tag `oci://a/b:c`");
    assert_says(&pipeline.sluicebox(&["plugin", "lock", "--update", &tag])?.success()?, "(changed)");
    assert!(!pipeline.check()?.contains(&sha256));

    registry.stop()?;
    pipeline.check()?;
    pipeline.set("SLUICEBOX_OFFLINE", "1");
    pipeline.check()?;
    assert_says(&pipeline.sluicebox(&["plugin", "lock", "--update"])?.failure()?, "SLUICEBOX_OFFLINE");
    let empty = tempfile::tempdir()?;
    pipeline.set("XDG_CACHE_HOME", &empty.path().display().to_string());
    assert_says(&pipeline.sluicebox(&["check"])?.failure()?, "bring the cache along");
    pipeline.set("SLUICEBOX_OFFLINE", "");
    assert_says(&pipeline.sluicebox(&["check"])?.failure()?, "cannot reach the registry");
    registry.restart()?;
    pipeline.check()?;

    pipeline.rewrite(|file| file.replace(&tag, &digest))?;
    assert_says(&pipeline.sluicebox(&["plugin", "lock"])?.success()?, "not named any more");
    assert!(!lock_file.exists());
    assert_says(&pipeline.check()?, &sha256);
    for pin in ["0".repeat(64), sha256] {
        let fits = !pin.starts_with("000");
        pipeline.rewrite(|file| file.replace(&digest, &format!("{digest}\n        sha256: {pin}")))?;
        match fits {
            true => assert_says(&pipeline.check()?, &pin),
            false => assert_says(&pipeline.sluicebox(&["check"])?.failure()?, "but the pipeline asks for"),
        }
        pipeline.rewrite(|file| file.replace(&format!("\n        sha256: {pin}"), ""))?;
    }
    fs::write(&lock_file, "plugins: { a: { manifest: b, sha256: c } }\n")?;
    assert_says(&pipeline.sluicebox(&["check"])?.failure()?, "pipeline.lock:1:");
    pipeline.close()
}
