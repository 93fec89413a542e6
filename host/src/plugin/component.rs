//! A plugin: a component that was checked, compiled and asked what it is.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre, Linker};

use super::bindings::{CONTRACT_VERSION, aggregate, describe, records, reference, state, transform};
use super::capability::Capability;
use super::engine::{Engine, Ticker};
use super::error::PluginError;
use super::form;
use super::guest::{self, Guest};
use super::instance::Instance;
use super::limits::Limits;
use super::text::sanitised;
use super::wasi;

/// Bytes of a component.
pub const MAX_COMPONENT: u64 = 128 << 20;
const MAX_NAME: usize = 64;
const MAX_SUMMARY: usize = 1024;
const MAX_CONFIG_SCHEMA: usize = 256 << 10;

/// What a plugin does with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginKind {
    Transform,
    Aggregate,
}

/// A plugin that is ready to be opened as a step.
pub struct Plugin {
    name: Arc<str>,
    version: String,
    summary: String,
    config_schema: serde_json::Value,
    digest: String,
    size: usize,
    imports: Vec<String>,
    exported: Vec<String>,
    pub(super) exports: Exports,
    pub(super) pre: InstancePre<Guest>,
    _ticker: Arc<Ticker>,
}

/// Where the interfaces are that the component exports.
#[derive(Clone)]
pub(super) struct Exports {
    pub describe: describe::GuestIndices,
    pub logic: LogicIndices,
    pub state: Option<state::GuestIndices>,
    pub reference: Option<reference::GuestIndices>,
}

#[derive(Clone)]
pub(super) enum LogicIndices {
    Transform(transform::GuestIndices),
    Records(records::GuestIndices),
    Aggregate(aggregate::GuestIndices),
}

impl Plugin {
    /// As the plugin calls itself.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The JSON Schema of its configuration.
    pub fn config_schema(&self) -> &serde_json::Value {
        &self.config_schema
    }

    /// SHA-256 (hex) of the component's bytes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Bytes of the component.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The names of the interfaces that it imports, such as `sluicebox:plugin/log@0.1.0`.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// What it could make use of, as far as its imports tell: most runtimes import more than their plugins need.
    pub fn asks(&self) -> Vec<Capability> {
        let asked: Vec<_> = self.imports.iter().filter_map(|import| Capability::of_import(import)).collect();
        Capability::ALL.into_iter().filter(|capability| asked.contains(capability)).collect()
    }

    /// The names of the interfaces that it exports, such as `sluicebox:plugin/describe@0.1.0`.
    pub fn exported(&self) -> &[String] {
        &self.exported
    }

    pub fn kind(&self) -> PluginKind {
        match self.exports.logic {
            LogicIndices::Transform(_) | LogicIndices::Records(_) => PluginKind::Transform,
            LogicIndices::Aggregate(_) => PluginKind::Aggregate,
        }
    }

    /// Whether it takes rows as JSON instead of columns.
    pub(super) fn takes_records(&self) -> bool {
        matches!(self.exports.logic, LogicIndices::Records(_))
    }

    pub fn is_stateful(&self) -> bool {
        self.exports.state.is_some()
    }

    /// Whether it looks rows up in a table, which its step must name.
    pub fn has_reference(&self) -> bool {
        self.exports.reference.is_some()
    }
}

impl Engine {
    /// Loads the component at `path`, compiled anew or from the cache, and asks it what it is.
    pub fn load(&self, path: &Path, expected_sha256: Option<&str>) -> Result<Arc<Plugin>, PluginError> {
        self.load_bytes(path, &read_component(path)?, expected_sha256)
    }

    /// Loads a component that was read already; messages name it `path`.
    pub fn load_bytes(
        &self,
        path: &Path,
        bytes: &[u8],
        expected_sha256: Option<&str>,
    ) -> Result<Arc<Plugin>, PluginError> {
        let digest = format!("{:x}", Sha256::digest(bytes));
        if let Some(expected) = expected_sha256
            && !expected.eq_ignore_ascii_case(&digest)
        {
            return Err(PluginError::Digest {
                path: path.to_owned(),
                expected: expected.to_owned(),
                found: digest,
            });
        }
        form::check(bytes).map_err(|what| PluginError::Form { path: path.to_owned(), what })?;
        let component = self.compile(path, bytes, &digest)?;
        let offer = Offer::of(path, &component, &self.wasm)?;
        let pre = link(path, &component, &self.wasm)?;
        let contract = |what: String| PluginError::Contract { path: path.to_owned(), what };
        let exports = offer.exports(&pre).map_err(contract)?;
        let description = ask(&pre, &exports).map_err(contract)?;
        if !is_name(&description.name) {
            let name = sanitised(&description.name, MAX_NAME);
            return Err(contract(format!(
                "its name {name:?} is not lower-case letters, digits, `-` and `_`"
            )));
        }
        Ok(Arc::new(Plugin {
            name: description.name.into(),
            version: sanitised(&description.version, MAX_NAME),
            summary: sanitised(&description.summary, MAX_SUMMARY),
            config_schema: config_schema(&description.config_schema).map_err(contract)?,
            digest,
            size: bytes.len(),
            imports: imports(&component, &self.wasm),
            exported: exported(&component, &self.wasm),
            exports,
            pre,
            _ticker: self.ticker.clone(),
        }))
    }

    fn compile(&self, path: &Path, bytes: &[u8], digest: &str) -> Result<Component, PluginError> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(digest, &self.wasm)) {
            return Ok(component);
        }
        let failed =
            |reason: &str| PluginError::Compile { path: path.to_owned(), reason: sanitised(reason, 1024) };
        let code = self.compiler.compile(&self.wasm, bytes).map_err(|reason| failed(&reason))?;
        // SAFETY: the code comes from this very program, which compiled it here or as its own child.
        let component = unsafe { Component::deserialize(&self.wasm, &code) };
        let component = component.map_err(|error| failed(&format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            cache.store(digest, &code);
        }
        Ok(component)
    }
}

/// The bytes of the component at `path`, if it is not too large to be one.
pub fn read_component(path: &Path) -> Result<Vec<u8>, PluginError> {
    let failed = |reason: String| PluginError::Read { path: path.to_owned(), reason };
    // Opening a pipe would wait for somebody who writes into it.
    if path.metadata().map_err(|error| failed(error.to_string()))?.file_type().is_fifo() {
        return Err(failed("it is a pipe, and no file".to_owned()));
    }
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_COMPONENT + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MAX_COMPONENT {
        return Err(failed(format!("it is larger than {MAX_COMPONENT} bytes")));
    }
    Ok(bytes)
}

/// The interfaces of the contract that a component exports, found before anything is linked.
#[derive(Default)]
struct Offer {
    describe: bool,
    transform: bool,
    records: bool,
    aggregate: bool,
    state: bool,
    reference: bool,
}

impl Offer {
    fn of(path: &Path, component: &Component, engine: &wasmtime::Engine) -> Result<Self, PluginError> {
        let component_type = component.component_type();
        let mut offer = Self::default();
        for (name, _) in component_type.exports(engine) {
            // Other exports are the plugin's own business: some languages' tools add one.
            let Some((interface, version)) = contract_interface(name) else { continue };
            check_version(path, version)?;
            match interface {
                "describe" => offer.describe = true,
                "transform" => offer.transform = true,
                "records" => offer.records = true,
                "aggregate" => offer.aggregate = true,
                "state" => offer.state = true,
                "reference" => offer.reference = true,
                _ => {}
            }
        }
        for (name, _) in component_type.imports(engine) {
            match contract_interface(name) {
                Some((_, version)) => check_version(path, version)?,
                // Runtimes of some languages want WASI to be there, and most do well with nothing behind it.
                None if wasi::is_known(name) => {}
                None => {
                    let name = sanitised(name, 256);
                    return Err(PluginError::Contract {
                        path: path.to_owned(),
                        what: format!("it imports `{name}`, which no plugin gets"),
                    });
                }
            }
        }
        Ok(offer)
    }

    fn exports(self, pre: &InstancePre<Guest>) -> Result<Exports, String> {
        if !self.describe {
            return Err("it does not export `sluicebox:plugin/describe` \
                        (a core module without its component type exports nothing)"
                .to_owned());
        }
        let unlike =
            |error: wasmtime::Error| format!("its interfaces are not those of the contract: {error:#}");
        let logic = match (self.transform, self.records, self.aggregate) {
            (true, false, false) => {
                LogicIndices::Transform(transform::GuestIndices::new(pre).map_err(unlike)?)
            }
            (false, true, false) => LogicIndices::Records(records::GuestIndices::new(pre).map_err(unlike)?),
            (false, false, true) if self.state => {
                LogicIndices::Aggregate(aggregate::GuestIndices::new(pre).map_err(unlike)?)
            }
            (false, false, true) => return Err("it exports `aggregate` without `state`".to_owned()),
            (false, false, false) => {
                return Err("it exports none of `transform`, `records` and `aggregate`".to_owned());
            }
            _ => return Err("it exports more than one of `transform`, `records` and `aggregate`".to_owned()),
        };
        let state = self.state.then(|| state::GuestIndices::new(pre)).transpose().map_err(unlike)?;
        if self.reference && (self.state || !self.transform) {
            return Err("it exports `reference`, which only a `transform` without `state` may".to_owned());
        }
        let reference =
            self.reference.then(|| reference::GuestIndices::new(pre)).transpose().map_err(unlike)?;
        Ok(Exports { describe: describe::GuestIndices::new(pre).map_err(unlike)?, logic, state, reference })
    }
}

fn imports(component: &Component, engine: &wasmtime::Engine) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| sanitised(name, 256)).collect()
}

fn exported(component: &Component, engine: &wasmtime::Engine) -> Vec<String> {
    component.component_type().exports(engine).map(|(name, _)| sanitised(name, 256)).collect()
}

/// `sluicebox:plugin/transform@0.3.0` is the interface `transform` in version `0.3.0`.
fn contract_interface(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix("sluicebox:plugin/")?;
    Some(name.split_once('@').unwrap_or((name, "")))
}

fn check_version(path: &Path, version: &str) -> Result<(), PluginError> {
    if version == CONTRACT_VERSION {
        return Ok(());
    }
    Err(PluginError::Version { path: path.to_owned(), found: sanitised(version, MAX_NAME) })
}

fn link(
    path: &Path,
    component: &Component,
    engine: &wasmtime::Engine,
) -> Result<InstancePre<Guest>, PluginError> {
    let mut linker = Linker::new(engine);
    // Nothing else is left: `Offer::of` refused it.
    let linked = guest::link(&mut linker)
        .and_then(|()| wasi::link(&mut linker, component))
        .and_then(|()| linker.instantiate_pre(component));
    linked.map_err(|error| PluginError::Contract {
        path: path.to_owned(),
        what: format!(
            "its imports are not those of the contract: {}",
            sanitised(&format!("{error:#}"), 1024)
        ),
    })
}

fn ask(pre: &InstancePre<Guest>, exports: &Exports) -> Result<describe::Description, String> {
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let guest = Guest::new("".into(), "describe".into(), limits.clone(), Arc::default());
    let mut instance = Instance::start(pre, exports, guest, &limits, Duration::from_secs(10))
        .map_err(|fault| fault.to_string())?;
    instance.describe(limits.cpu).map_err(|fault| format!("it cannot describe itself: {fault}"))
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(allowed)
}

fn config_schema(text: &str) -> Result<serde_json::Value, String> {
    if text.len() > MAX_CONFIG_SCHEMA {
        return Err(format!("the schema of its configuration is longer than {MAX_CONFIG_SCHEMA} bytes"));
    }
    let schema: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| format!("the schema of its configuration is not JSON: {error}"))?;
    super::config::check_schema(&schema)?;
    Ok(schema)
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
