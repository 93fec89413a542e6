//! Grants in a pipeline file.

use std::collections::BTreeMap;

use super::*;

/// A pipeline whose step is granted this, beside a folder `reference` and a file `reference.csv`.
fn load_granting(grants: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("reference")).unwrap();
    std::fs::write(directory.path().join("reference.csv"), "a").unwrap();
    let file = directory.path().join("pipeline.yaml");
    let step = format!("    steps: [{{ name: look, plugin: look, grants: {grants} }}]\n    sink:");
    std::fs::write(&file, MINIMAL.replacen("    sink:", &step, 1)).unwrap();
    load_with(&file, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn granted(grants: &str) -> Grants {
    let loaded = load_granting(grants, &[("REGION", "north"), ("KEY", "s3cret")]).unwrap();
    loaded.pipeline.layers["bronze"].steps[0].grants.clone()
}

#[test]
fn each_capability_is_read() {
    let grants = granted(
        "{ clock: true, random: true, env: [REGION, KEY], dir: ./reference, http: [a.example, 'b:80'] }",
    );
    assert!(grants.clock && grants.random);
    let variables: Vec<_> =
        grants.env.iter().map(|variable| (variable.name.as_str(), variable.value.expose())).collect();
    assert_eq!(variables, [("REGION", "north"), ("KEY", "s3cret")]);
    assert_eq!(grants.dir.0["/"], "./reference");
    assert_eq!(grants.http.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a.example", "b:80"]);
    assert!(!format!("{grants:?}").contains("s3cret"));

    let grants = granted("{ dir: { /a: ./reference, /b/c: reference } }");
    assert_eq!(grants.dir.0.keys().collect::<Vec<_>>(), ["/a", "/b/c"]);
    assert!(!grants.is_nothing());
    assert!(granted("{}").is_nothing() && granted("{ clock: false, env: [] }").is_nothing());
}

#[test]
fn what_cannot_be_granted_is_told_with_its_place() {
    for (grants, path, says) in [
        (
            "{ time: true }",
            "grants.time",
            "unknown key; allowed here: `clock`, `random`, `env`, `dir`, `http`",
        ),
        ("{ clock: now }", "grants.clock", "expected `true` or `false`"),
        ("{ env: [NO_SUCH] }", "grants.env[0]", "`NO_SUCH` is not set"),
        ("{ dir: ./none }", "grants.dir", "there is no folder `./none`"),
        ("{ dir: reference.csv }", "grants.dir", "there is no folder `reference.csv`"),
        ("{ dir: [reference] }", "grants.dir", "the path of a folder, or a mapping"),
        ("{ dir: { a: reference } }", "grants.dir", "an absolute path, as in `/reference`"),
        ("{ http: ['https://a.example'] }", "grants.http[0]", "without `https://`"),
        ("{ http: [a.example/v1] }", "grants.http[0]", "paths cannot be granted"),
        ("{ http: ['*.example'] }", "grants.http[0]", "no patterns"),
    ] {
        let Err(ConfigError::Invalid { problems, .. }) = load_granting(grants, &[]) else {
            panic!("{grants} is not refused");
        };
        let problem = problems[0].to_string();
        assert!(problem.starts_with(&format!("layers.bronze.steps[0].{path}: ")), "{grants}: {problem}");
        assert!(problem.contains(says), "{grants}: {problem}");
        assert!(problems[0].position.is_some());
    }
}

/// So that workers with other values do not mix their rows, and a changed value is a change that the ledger shows.
#[test]
fn a_variable_decides_rows_by_its_value() {
    let of = |grants: &str, region: &str| {
        let loaded = load_granting(grants, &[("REGION", region), ("OTHER", region)]).unwrap();
        digest(&loaded.pipeline, &BTreeMap::new())
    };
    let north = of("{ env: [REGION] }", "north");
    assert_eq!(of("{ env: [REGION] }", "north"), north);
    assert_ne!(of("{ env: [REGION] }", "south"), north);
    assert_ne!(of("{ env: [OTHER] }", "north"), north);
    assert_ne!(of("{ clock: true }", "north"), of("{}", "north"));
}
