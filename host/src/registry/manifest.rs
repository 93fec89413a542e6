//! Manifests of components, in the layout of Wasm OCI artifacts (CNCF TAG Runtime, Bytecode Alliance): a configuration that
//! says what the component imports and exports, and one layer, the component itself.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::reference::Digest;

pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";
const MAX_TOLD: usize = 100;

/// What is pushed, besides the bytes of the component.
#[derive(Debug, Clone)]
pub struct Artifact {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// When it was built, as RFC 3339 says: a part of the digest.
    pub created: String,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "schemaVersion")]
    schema_version: u64,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    /// An index has manifests in place of layers.
    #[serde(default)]
    manifests: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct Descriptor {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
}

/// The digest of the component that a manifest names. Only the layer counts, for it is what is run: tools that push a layer of the right
/// type with another configuration are understood too.
pub fn read(bytes: &[u8], largest: u64) -> Result<Digest, String> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    if manifest.schema_version != 2 {
        return Err(format!("its manifest has schema version {} instead of 2", manifest.schema_version));
    }
    if manifest.manifests.is_some() {
        return Err("it is an index of several manifests: name one of them by its digest".to_owned());
    }
    let layers = manifest.layers.unwrap_or_default();
    let [layer] = layers.as_slice() else {
        return Err(format!(
            "it has {} layers, and a plugin has one, of the type {LAYER_TYPE}",
            layers.len()
        ));
    };
    if layer.media_type != LAYER_TYPE {
        let found: String = layer.media_type.chars().take(MAX_TOLD).collect();
        return Err(format!("its layer is of the type {found:?} instead of {LAYER_TYPE}"));
    }
    let digest: Digest = layer.digest.parse().map_err(|()| {
        let found: String = layer.digest.chars().take(MAX_TOLD).collect();
        format!("its layer has the digest {found:?}, which is no SHA-256")
    })?;
    if layer.size > largest {
        return Err(format!("its component has {} bytes, and {largest} is the most", layer.size));
    }
    Ok(digest)
}

/// The configuration and the manifest of a component, in this order. They are the same for the same component.
pub fn write(artifact: &Artifact, component: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let layer = Digest::of(component);
    let config = json!({
        "created": artifact.created,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.to_string()],
        "component": { "exports": artifact.exports, "imports": artifact.imports, "target": null },
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": CONFIG_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": Digest::of(&config).to_string(), "size": config.len() },
        "layers": [{
            "mediaType": LAYER_TYPE,
            "digest": layer.to_string(),
            "size": component.len(),
            "annotations": { "org.opencontainers.image.title": format!("{}.wasm", artifact.name) },
        }],
        "annotations": {
            "org.opencontainers.image.created": artifact.created,
            "org.opencontainers.image.title": artifact.name,
            "org.opencontainers.image.version": artifact.version,
            "org.opencontainers.image.description": artifact.summary,
        },
    })
    .to_string()
    .into_bytes();
    (config, manifest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn artifact() -> Artifact {
        Artifact {
            name: "too-hot".to_owned(),
            version: "1.0.0".to_owned(),
            summary: "Rejects.".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            imports: vec!["sluicebox:plugin/log@0.3.0".to_owned()],
            exports: vec!["sluicebox:plugin/transform@0.3.0".to_owned()],
        }
    }

    #[test]
    fn a_manifest_names_its_component() {
        let (config, manifest) = write(&artifact(), b"component");
        assert_eq!(read(&manifest, 9).unwrap(), Digest::of(b"component"));
        assert!(read(&manifest, 8).unwrap_err().contains("9 bytes"));
        let document: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(document["config"]["digest"], Digest::of(&config).to_string());
        assert_eq!(document["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
        assert_eq!(write(&artifact(), b"component").1, manifest);
    }

    #[test]
    fn what_is_no_plugin_says_why() {
        let layer = |of: &str, digest: &str, size: &str| {
            format!(r#"{{"mediaType": "{of}", "digest": "{digest}", "size": {size}}}"#)
        };
        let good = layer("application/wasm", &Digest::of(b"").to_string(), "0");
        let manifest = |layers: &str| format!(r#"{{"schemaVersion": 2, "layers": [{layers}]}}"#);
        assert!(read(manifest(&good).as_bytes(), 10).is_ok());
        for (text, says) in [
            (String::new(), "cannot be read"),
            ("[]".to_owned(), "cannot be read"),
            (r#"{"schemaVersion": 1}"#.to_owned(), "schema version 1"),
            (r#"{"schemaVersion": 2, "manifests": []}"#.to_owned(), "index"),
            (r#"{"schemaVersion": 2}"#.to_owned(), "0 layers"),
            (manifest(&format!("{good}, {good}")), "2 layers"),
            (manifest(&layer("application/tar", "sha256:0", "1")), "application/tar"),
            (manifest(&layer("application/wasm", "sha256:0", "1")), "no SHA-256"),
            (manifest(&layer("application/wasm", "md5:é", "1")), "no SHA-256"),
            (manifest(&layer("application/wasm", "sha256:0", "-1")), "cannot be read"),
            (manifest(&layer("application/wasm", "sha256:0", "1e400")), "cannot be read"),
            (manifest("null"), "cannot be read"),
        ] {
            let refused = read(text.as_bytes(), 10).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    proptest! {
        /// A manifest with one byte changed, cut short, or any bytes at all, is read or refused.
        #[test]
        fn no_manifest_panics(at in 0_usize..2000, byte in any::<u8>(), cut in 0_usize..2000, any in any::<Vec<u8>>()) {
            let (_, mut manifest) = write(&artifact(), b"component");
            let length = manifest.len();
            manifest[at % length] = byte;
            manifest.truncate(length.max(1) - cut % length);
            let _ = read(&manifest, 100);
            let _ = read(&any, 100);
        }
    }
}
