//! `sluicebox plugin new`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;

use super::print;
use super::templates::{TEMPLATES, Template, WIT};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The plugin's name, lower case, and that of the folder that is made for it.
    name: PluginName,
    #[arg(long, value_name = "LANGUAGE", value_parser = one_of(|template| template.language))]
    language: String,
    /// `filter` keeps or drops rows, `transform` changes them, `aggregate` makes new ones of many.
    #[arg(long, value_name = "KIND", value_parser = one_of(|template| template.kind))]
    kind: String,
    /// The folder in which the project's own is made.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    within: PathBuf,
    /// The SDK's sources, `plugins/sdk` of Sluicebox's repository. Found by itself where this program, or the folder
    /// that one is in, lies within the repository.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let template = find(&arguments.language, &arguments.kind)?;
    let name = &arguments.name;
    let folder = arguments.within.join(&name.0);
    if folder.exists() {
        bail!("{} is there already: choose another name, or remove it", folder.display());
    }
    let needs_sdk = template.files.iter().any(|(_, text)| text.contains("{{sdk}}"));
    let sdk = if needs_sdk { sdk_dependency(arguments.sdk.as_deref())? } else { String::new() };
    for (path, text) in template.files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, filled(text, template, name, &sdk))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if template.needs_c_bindings {
        let bindings = folder.join("bindings");
        fs::create_dir_all(&bindings).with_context(|| format!("cannot create {}", bindings.display()))?;
        for (file, contents) in sluicebox_componentize::c_bindings(WIT, template.world)? {
            let path = bindings.join(file);
            fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    print(&format!("{} is a plugin in {}. Next:", folder.display(), template.language));
    print(&format!("  cd {}", folder.display()));
    template.commands.iter().for_each(|command| print(&format!("  {command}")));
    Ok(ExitCode::SUCCESS)
}

/// What templates have, each once.
fn one_of(of: fn(&Template) -> &'static str) -> PossibleValuesParser {
    let mut known: Vec<&'static str> = Vec::new();
    for template in TEMPLATES {
        if !known.contains(&of(template)) {
            known.push(of(template));
        }
    }
    PossibleValuesParser::new(known)
}

fn find(language: &str, kind: &str) -> Result<&'static Template> {
    let template = TEMPLATES.iter().find(|template| template.language == language && template.kind == kind);
    template.with_context(|| format!("there is no template of a {kind} in {language}"))
}

/// Cargo refuses packages of these names, or they hide what a crate needs.
const TAKEN: [&str; 8] = ["test", "core", "std", "alloc", "self", "super", "crate", "sluicebox-plugin"];

/// A name that is fit for a plugin, a package and a folder.
#[derive(Debug, Clone)]
struct PluginName(String);

impl FromStr for PluginName {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        let is_fit = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.len() <= 64
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
        if !is_fit {
            return Err(
                "a plugin's name is lower-case letters, digits, `-` and `_`, a letter first, at most 64",
            );
        }
        if TAKEN.contains(&name) {
            return Err("it means something else to Rust and cargo: choose another name");
        }
        Ok(Self(name.to_owned()))
    }
}

impl PluginName {
    /// As a type that hides nothing of the SDK's: `range-check` is `RangeCheckPlugin`.
    fn as_type(&self) -> String {
        let words = self.0.split(['-', '_']).filter(|word| !word.is_empty());
        words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).chain(["Plugin".to_owned()]).collect()
    }
}

fn filled(text: &str, template: &Template, name: &PluginName, sdk: &str) -> String {
    text.replace("{{name}}", &name.0)
        .replace("{{Type}}", &name.as_type())
        .replace("{{sdk}}", sdk)
        .replace("{{world}}", template.world)
        .replace("{{world_c}}", &template.world.replace('-', "_"))
}

/// What stands for the SDK in `Cargo.toml`: it is on no registry.
fn sdk_dependency(given: Option<&Path>) -> Result<String> {
    let folder = match given {
        Some(folder) if is_sdk(folder) => folder.to_owned(),
        Some(folder) => bail!("--sdk: {} is not `plugins/sdk` of Sluicebox's repository", folder.display()),
        None => {
            let near = [std::env::current_exe().ok(), std::env::current_dir().ok()];
            let found = near.iter().flatten().find_map(|place| sdk_around(place));
            found.context(
                "the SDK is not on a registry, and no repository of Sluicebox is around here: \
                 say with `--sdk` where its `plugins/sdk` lies",
            )?
        }
    };
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let folder = folder.to_str().context("the SDK's folder has a name that is not UTF-8")?;
    Ok(format!("{{ path = {} }}", serde_json::Value::from(folder)))
}

fn sdk_around(place: &Path) -> Option<PathBuf> {
    place.ancestors().map(|folder| folder.join("plugins/sdk")).find(|folder| is_sdk(folder))
}

fn is_sdk(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|manifest| manifest.contains("name = \"sluicebox-plugin\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_types() {
        for (name, of) in [("range-check", "RangeCheckPlugin"), ("a_1", "A1Plugin")] {
            assert_eq!(name.parse::<PluginName>().unwrap().as_type(), of);
        }
        for name in ["", "1a", "A", "a b", "../a", "a/b", "-a", "test", &"a".repeat(65)] {
            assert!(name.parse::<PluginName>().is_err(), "{name}");
        }
        let taken = "core".parse::<PluginName>().unwrap_err();
        assert!(taken.contains("means something else"), "{taken}");
    }

    #[test]
    fn there_is_a_template_of_every_kind_in_every_language() {
        for template in TEMPLATES {
            for other in TEMPLATES {
                assert!(find(template.language, other.kind).is_ok(), "{} {}", template.language, other.kind);
            }
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let name: PluginName = "range-check".parse().unwrap();
        for template in TEMPLATES {
            for (path, text) in template.files {
                let text = filled(text, template, &name, "{ path = \"/sdk\" }");
                assert!(!text.contains("{{"), "{} {} {path}", template.language, template.kind);
            }
        }
    }

    #[test]
    fn the_sdk_is_found_around_a_place() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = sdk_around(&sources.join("src/cli")).unwrap();
        assert!(found.ends_with("plugins/sdk"), "{}", found.display());
        assert_eq!(sdk_around(Path::new("/")), None);
        let wrong = sdk_dependency(Some(sources)).unwrap_err().to_string();
        assert!(wrong.contains("--sdk"), "{wrong}");
        assert!(sdk_dependency(Some(&found)).unwrap().ends_with("plugins/sdk\" }"));
    }
}
