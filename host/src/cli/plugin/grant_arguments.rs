//! What a plugin is granted that is tried by itself.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cli::grants::host;
use crate::config::HttpHost;
use crate::plugin::Grants;

/// What the plugin may reach, as in a step's `grants`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GrantArguments {
    /// Grants `clock`, `random`, `env=NAME`, `dir=PATH`, `dir=/GUEST=PATH` or `http=HOST`; may be given several times.
    #[arg(long = "grant", value_name = "CAPABILITY[=VALUE]")]
    grants: Vec<String>,
}

impl GrantArguments {
    pub fn read(&self) -> Result<Grants> {
        let mut hosts = Vec::new();
        let mut grants = Grants::default();
        for written in &self.grants {
            let (capability, value) = match written.split_once('=') {
                Some((capability, value)) => (capability, Some(value)),
                None => (written.as_str(), None),
            };
            let granted = match (capability, value) {
                ("clock", None) => Ok(grants.clock()),
                ("random", None) => Ok(grants.random()),
                ("env", Some(name)) => variable(grants, name),
                ("dir", Some(folder)) => folder_at(grants, folder),
                ("http", Some(host)) => host.parse::<HttpHost>().map_err(Into::into).map(|host| {
                    hosts.push(host);
                    grants
                }),
                _ => bail!(
                    "`--grant {written}`: write `clock`, `random`, `env=NAME`, `dir=PATH`, `dir=/GUEST=PATH` or `http=HOST`"
                ),
            };
            grants = granted.with_context(|| format!("`--grant {written}`"))?;
        }
        Ok(grants.http(hosts.iter().map(host).collect())?)
    }
}

fn variable(grants: Grants, name: &str) -> Result<Grants> {
    let value = std::env::var(name).context("the variable is not set")?;
    Ok(grants.variable(name, value))
}

fn folder_at(grants: Grants, written: &str) -> Result<Grants> {
    let (guest, folder) = match written.split_once('=') {
        Some((guest, folder)) if guest.starts_with('/') => (guest, folder),
        _ => ("/", written),
    };
    Ok(grants.folder(guest, Path::new(folder))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Capability;

    fn read(grants: &[&str]) -> Result<Vec<Capability>> {
        let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
        Ok(GrantArguments { grants }.read()?.capabilities())
    }

    #[test]
    fn grants_are_read() {
        assert_eq!(read(&[]).unwrap(), []);
        assert_eq!(
            read(&["env=PATH", "dir=/", "dir=/etc=/etc", "clock", "random", "http=a:1"]).unwrap(),
            Capability::ALL
        );
        for (wrong, says) in [
            ("time", "`--grant time`: write `clock`"),
            ("clock=now", "write `clock`"),
            ("env", "env=NAME"),
            ("env=NO_SUCH_VARIABLE", "not set"),
            ("dir=/no/such/folder", "cannot be granted"),
            ("http=https://a", "without `https://`"),
        ] {
            let refused = format!("{:#}", read(&[wrong]).unwrap_err());
            assert!(refused.contains(says), "{refused} does not say {says}");
        }
    }
}
