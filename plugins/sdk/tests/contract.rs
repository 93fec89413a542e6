//! Any change under `wit/` bumps the contract's version: hosts tell by it what a component was built for.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Each version of the contract, and the SHA-256 of the files under `wit/` in it. Append, never edit.
const VERSIONS: &[(&str, &str)] = &[
    ("0.1.0", "7d9e72914da7eac7efbb3df9af5c2548407b04e238fc0f976c1c4d497e6e07f2"),
    ("0.2.0", "1d05ffa2b6b68656b5b3036aa16495989f5e8ebc7dd993a7f28aecc0e49a70ba"),
    ("0.3.0", "c844c9e6a4e8073775a552c81c2839bfc0887cb098f48306d91ad1d9bb829a88"),
];

#[test]
fn a_change_of_the_contract_bumps_its_version() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut digest = Sha256::new();
    let mut version = None;
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        digest.update(path.file_name().unwrap().as_encoded_bytes());
        digest.update([0]);
        digest.update(&text);
        let package = text.lines().find_map(|line| line.strip_prefix("package sluicebox:plugin@"));
        version = version.or(package.map(|rest| rest.trim_end_matches(';').to_owned()));
    }
    let version = version.expect("wit/ names the package and its version");
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let (last, expected) = VERSIONS.last().expect("there is a version");
    assert_eq!(
        (version.as_str(), digest.as_str()),
        (*last, *expected),
        "wit/ has changed: raise its package's version and append the version and its digest here"
    );
}
