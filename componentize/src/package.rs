//! What cargo knows of a package.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::shown;
use crate::toolchain::cargo;

/// A package that can be compiled to a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub(crate) manifest: PathBuf,
    /// The name of its library's file, without the extension.
    pub(crate) library: String,
    /// Cargo's folder of what is built.
    pub target: PathBuf,
}

impl Package {
    /// The package whose `Cargo.toml` lies in `folder`.
    pub fn find(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        ensure!(
            manifest.is_file(),
            "there is no {}: only crates in Rust are built so; for other languages see the project's own README",
            manifest.display()
        );
        let manifest = manifest.canonicalize().with_context(|| manifest.display().to_string())?;
        Self::in_metadata(&metadata(&manifest)?, &manifest)
    }

    fn in_metadata(metadata: &Value, manifest: &Path) -> Result<Self> {
        let packages = metadata["packages"].as_array().context("cargo lists no packages")?;
        let is_it = |package: &&Value| package["manifest_path"].as_str().map(Path::new) == Some(manifest);
        let package = packages.iter().find(is_it).with_context(|| {
            format!("{} is of a workspace without a package of its own", manifest.display())
        })?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&package["name"]).context("cargo names no package")?;
        let is_library = |target: &&Value| {
            let kinds = target["kind"].as_array().into_iter().flatten();
            kinds.into_iter().any(|kind| matches!(kind.as_str(), Some("lib" | "cdylib" | "rlib")))
        };
        let library = package["targets"].as_array().into_iter().flatten().find(is_library);
        let Some(library) = library.and_then(|library| text(&library["name"])) else {
            bail!("the package `{name}` has no library: a plugin is one, with its code in src/lib.rs");
        };
        let target = text(&metadata["target_directory"]).context("cargo names no target directory")?;
        let library = library.replace('-', "_");
        Ok(Self { name, manifest: manifest.to_owned(), library, target: target.into() })
    }
}

fn metadata(manifest: &Path) -> Result<Value> {
    let mut command: Command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let told = shown(&command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{told}`"))?;
    ensure!(output.status.success(), "`{told}` ended with {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{told}` gave something else than JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(kind: &str) -> Value {
        json!({
            "target_directory": "/t",
            "packages": [
                {"name": "other", "manifest_path": "/o/Cargo.toml", "targets": []},
                {"name": "my-plugin", "manifest_path": "/p/Cargo.toml", "targets": [
                    {"name": "build-script-build", "kind": ["custom-build"]},
                    {"name": "my-plugin", "kind": [kind]},
                ]},
            ],
        })
    }

    #[test]
    fn the_package_is_that_of_the_manifest() {
        let package = Package::in_metadata(&metadata("cdylib"), Path::new("/p/Cargo.toml")).unwrap();
        assert_eq!((package.name.as_str(), package.library.as_str()), ("my-plugin", "my_plugin"));
        assert_eq!(package.target, Path::new("/t"));
    }

    #[test]
    fn what_is_no_plugin_is_told_so() {
        let refused = Package::in_metadata(&metadata("bin"), Path::new("/p/Cargo.toml")).unwrap_err();
        assert!(refused.to_string().contains("no library"), "{refused}");
        let refused = Package::in_metadata(&metadata("lib"), Path::new("/x/Cargo.toml")).unwrap_err();
        assert!(refused.to_string().contains("without a package"), "{refused}");
        let refused = Package::find(Path::new("/nowhere")).unwrap_err();
        assert!(refused.to_string().contains("no /nowhere/Cargo.toml"), "{refused}");
    }
}
