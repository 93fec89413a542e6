//! What a step was granted, ready to be used by its instances.

use std::fmt;
use std::path::{Path, PathBuf};

use super::capability::Capability;
use super::wasi::{Folder, HttpAccess};

/// The grants of one step. The default grants nothing.
#[derive(Default)]
pub struct Grants {
    pub(super) clock: bool,
    pub(super) random: bool,
    pub(super) variables: Vec<(String, String)>,
    pub(super) folders: Vec<Folder>,
    pub(super) http: Option<HttpAccess>,
}

/// Why something cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("the folder {} cannot be granted: {reason}", folder.display())]
    Folder { folder: PathBuf, reason: String },
    #[error("requests cannot be granted: {0}")]
    Http(String),
}

/// A host that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost {
    /// A name in lower case, or an address; IPv6 in brackets.
    pub host: String,
    /// The scheme's own, if absent.
    pub port: Option<u16>,
}

impl Grants {
    /// The time as it is, and waiting within the step's limit.
    pub fn clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// Random numbers of the operating system.
    pub fn random(mut self) -> Self {
        self.random = true;
        self
    }

    /// A variable of the plugin's environment.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// All files in `folder`, to be read under the name `guest`. The folder is opened here, once.
    pub fn folder(mut self, guest: impl Into<String>, folder: &Path) -> Result<Self, GrantError> {
        let opened = Folder::open(guest.into(), folder)
            .map_err(|reason| GrantError::Folder { folder: folder.to_owned(), reason })?;
        self.folders.push(opened);
        Ok(self)
    }

    /// Requests to these hosts; none of them grants nothing.
    pub fn http(mut self, hosts: Vec<HttpHost>) -> Result<Self, GrantError> {
        self.http = match hosts.is_empty() {
            true => None,
            false => Some(HttpAccess::new(hosts).map_err(|error| GrantError::Http(error.to_string()))?),
        };
        Ok(self)
    }

    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Clock => self.clock,
            Capability::Random => self.random,
            Capability::Env => !self.variables.is_empty(),
            Capability::Dir => !self.folders.is_empty(),
            Capability::Http => self.http.is_some(),
        }
    }

    /// Those that are granted.
    pub fn capabilities(&self) -> Vec<Capability> {
        Capability::ALL.into_iter().filter(|capability| self.has(*capability)).collect()
    }
}

/// Without the variables' values, which may be secrets.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.capabilities()).finish()
    }
}
