//! What steps ask for and are granted.

use anyhow::Result;

use crate::config::{self, Loaded, Step};
use crate::plugin::{Capability, Grants, HttpHost};

/// The grants of a step of the pipeline file, with its folders opened.
pub fn of_step(pipeline: &Loaded, step: &Step) -> Result<Grants> {
    let config::Grants { clock, random, env, dir, http } = &step.grants;
    let mut grants = Grants::default();
    if *clock {
        grants = grants.clock();
    }
    if *random {
        grants = grants.random();
    }
    for variable in env {
        grants = grants.variable(&variable.name, variable.value.expose());
    }
    for (guest, folder) in &dir.0 {
        grants = grants.folder(guest, &pipeline.directory.join(folder))?;
    }
    Ok(grants.http(http.iter().map(host).collect())?)
}

pub fn host(host: &config::HttpHost) -> HttpHost {
    HttpHost { host: host.host.clone(), port: host.port }
}

/// The names of those by which rows may come out otherwise the next time.
pub fn not_deterministic(grants: &Grants) -> Vec<String> {
    let granted = grants.capabilities().into_iter();
    granted.filter(|capability| capability.breaks_determinism()).map(|it| it.to_string()).collect()
}

/// For people: what a plugin asks for, what it is granted, what is lost by that, and what is granted for nothing.
pub fn told(asks: &[Capability], granted: &[Capability]) -> Vec<String> {
    if asks.is_empty() && granted.is_empty() {
        return Vec::new();
    }
    let breaking: Vec<_> = granted.iter().copied().filter(|it| it.breaks_determinism()).collect();
    let mut line = format!("asks for {}; granted {}", listed(asks), listed(granted));
    if !breaking.is_empty() {
        line += &format!("; not deterministic: {}", listed(&breaking));
    }
    let unused = granted.iter().filter(|capability| !asks.contains(capability));
    let warnings = unused.map(|it| {
        format!("warning: `{it}` is granted, but the plugin imports nothing of it: take the grant away")
    });
    std::iter::once(line).chain(warnings).collect()
}

fn listed(capabilities: &[Capability]) -> String {
    match capabilities {
        [] => "nothing".to_owned(),
        some => some.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_and_granted_are_told() {
        use Capability::{Clock, Dir, Env, Random};
        assert_eq!(told(&[], &[]), [""; 0]);
        assert_eq!(told(&[Clock, Random], &[]), ["asks for clock, random; granted nothing"]);
        assert_eq!(told(&[Env], &[Env]), ["asks for env; granted env"]);
        let lines = told(&[Clock], &[Clock, Dir]);
        assert_eq!(lines[0], "asks for clock; granted clock, dir; not deterministic: clock, dir");
        assert!(lines[1].starts_with("warning: `dir` is granted"), "{lines:?}");
    }
}
