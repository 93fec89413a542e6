//! What steps are granted, in the pipeline file.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use url::Host;

use super::error::DocumentPath;
use super::interpolate::Variables;
use super::pipeline::Pipeline;
use super::secret::Secret;
use super::validate::Findings;

/// What a plugin may reach beyond its configuration, its state and its batches. Nothing, unless it is granted here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// The time, and waiting. Rows are not the same each time any more.
    pub clock: bool,
    /// Random numbers. Rows are not the same each time any more.
    pub random: bool,
    /// Variables, by name: those of the process, and of `.env` beside this file.
    #[schemars(with = "Vec<String>")]
    pub env: Vec<Variable>,
    /// Folders, to be read. Rows are the same as long as the files are.
    pub dir: Folders,
    /// Hosts that requests may go to: `api.example.com` at its scheme's port, or `api.example.com:8443`. Rows are not the
    /// same each time any more.
    #[schemars(with = "Vec<String>")]
    pub http: Vec<HttpHost>,
}

impl Grants {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A variable by its name. The value is found when the file is loaded, and is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: Secret,
}

impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { name: String::deserialize(deserializer)?, value: Secret::new("") })
    }
}

/// Folders by the names under which the plugin knows them. One that is given by itself is `/`. Paths are relative to the
/// pipeline file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Folders(pub IndexMap<String, String>);

impl<'de> Deserialize<'de> for Folders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Folders;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a folder, or a mapping of the plugin's names to paths")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<Folders, E> {
                Ok(Folders([("/".to_owned(), path.to_owned())].into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, folders: A) -> Result<Folders, A::Error> {
                IndexMap::deserialize(MapAccessDeserializer::new(folders)).map(Folders)
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Folders {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Folders".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A path relative to this file, which the plugin knows as `/`, or paths by the plugin's names.",
            "anyOf": [
                { "type": "string" },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
        })
    }
}

/// `api.example.com`, `localhost:8080`, `10.0.0.7:80`, `[::1]:80`. Without a port, that of the scheme: 443 or 80.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpHost {
    /// In lower case; IPv6 in brackets.
    pub host: String,
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpHostError {
    #[error("give the host alone, without `{0}://`: the plugin chooses the scheme")]
    Scheme(String),
    #[error(
        "give the host alone, as in `api.example.com` or `api.example.com:8443`: paths cannot be granted"
    )]
    Path,
    #[error("name each host: there are no patterns")]
    Pattern,
    #[error("not a host: write `api.example.com` or `api.example.com:8443`")]
    NoHost,
}

impl FromStr for HttpHost {
    type Err = HttpHostError;

    fn from_str(text: &str) -> Result<Self, HttpHostError> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(HttpHostError::Scheme(scheme.to_owned()));
        }
        if text.contains(['/', '\\', '?', '#', '@']) {
            return Err(HttpHostError::Path);
        }
        if text.contains('*') {
            return Err(HttpHostError::Pattern);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().ok().filter(|port| *port > 0).ok_or(HttpHostError::NoHost)?))
            }
            _ => (text, None),
        };
        let host = Host::parse(host).map_err(|_| HttpHostError::NoHost)?;
        Ok(Self { host: host.to_string(), port })
    }
}

impl TryFrom<String> for HttpHost {
    type Error = HttpHostError;

    fn try_from(text: String) -> Result<Self, HttpHostError> {
        text.parse()
    }
}

impl From<HttpHost> for String {
    fn from(host: HttpHost) -> Self {
        host.to_string()
    }
}

impl fmt::Display for HttpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Finds the variables' values, and says which are not set and which folders are not there.
pub(super) fn resolve(
    pipeline: &mut Pipeline,
    variables: &Variables,
    directory: &Path,
    found: &mut Findings,
) {
    for (name, layer) in &mut pipeline.layers {
        let steps = DocumentPath::default().key("layers").key(name).key("steps");
        for (index, step) in layer.steps.iter_mut().enumerate() {
            let path = steps.index(index).key("grants");
            for (index, variable) in step.grants.env.iter_mut().enumerate() {
                match variables.get(&variable.name) {
                    Some(value) => variable.value = Secret::new(value),
                    None => found.add(
                        path.key("env").index(index),
                        format!(
                            "the variable `{}` is not set: set it, or put it into `.env` beside the pipeline file",
                            variable.name
                        ),
                    ),
                }
            }
            for (guest, folder) in &step.grants.dir.0 {
                let path = path.key("dir");
                if !is_guest_name(guest) {
                    found.add(
                        path.clone(),
                        "the plugin's name of a folder is an absolute path, as in `/reference`",
                    );
                }
                if !directory.join(folder).is_dir() {
                    found.add(path, format!("there is no folder `{folder}`"));
                }
            }
        }
    }
}

fn is_guest_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
    name == "/" || name.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for (text, host, port) in [
            ("api.example.com", "api.example.com", None),
            ("API.Example.com:8443", "api.example.com", Some(8443)),
            ("bücher.example", "xn--bcher-kva.example", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("0x7f.1", "127.0.0.1", None),
            ("[::1]", "[::1]", None),
            ("[0:0::1]:81", "[::1]", Some(81)),
        ] {
            let parsed: HttpHost = text.parse().unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{text}");
            assert_eq!(parsed.to_string().parse::<HttpHost>().unwrap(), parsed);
        }
        for (text, says) in [
            ("https://api.example.com", "without `https://`"),
            ("api.example.com/v1", "paths cannot be granted"),
            ("me@api.example.com", "alone"),
            ("*.example.com", "no patterns"),
            ("", "not a host"),
            ("a b", "not a host"),
            ("a:b", "not a host"),
            ("a:0", "not a host"),
            ("a:99999", "not a host"),
            ("::1", "not a host"),
        ] {
            let refused = text.parse::<HttpHost>().unwrap_err().to_string();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[test]
    fn a_plugin_knows_folders_by_absolute_paths() {
        for name in ["/", "/reference", "/a/b"] {
            assert!(is_guest_name(name), "{name}");
        }
        for name in ["", "a", ".", "//", "/a/", "/../a", "/a/./b", "/a\n"] {
            assert!(!is_guest_name(name), "{name:?}");
        }
    }
}
