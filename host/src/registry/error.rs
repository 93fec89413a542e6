//! What can go wrong between this machine and a registry, said so that a user knows where and what to do.

use std::path::PathBuf;

use super::reference::Digest;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("cannot reach the registry {registry}: {reason}")]
    Unreachable { registry: String, reason: String },
    #[error(
        "the registry {registry} wants credentials for `{repository}`: log in with `docker login {registry}`, or put them \
         into the `auths` of Docker's config.json (the folder that DOCKER_CONFIG names, or DOCKER_AUTH_CONFIG)"
    )]
    NoCredentials { registry: String, repository: String },
    #[error(
        "the registry {registry} does not let {who} {wish} `{repository}` ({told}): check the credentials of Docker's \
         config.json, and what they may do there"
    )]
    Denied { registry: String, repository: String, who: String, wish: &'static str, told: String },
    #[error(
        "{what} is not in the registry {registry}: check the name, and whether it was pushed or has been deleted"
    )]
    NotFound { registry: String, what: String },
    #[error("the registry {registry} answered {status} to {request}: {told}")]
    Answer { registry: String, request: String, status: u16, told: String },
    #[error("the registry {registry} gave {what}, which is larger than {limit} bytes")]
    TooLarge { registry: String, what: String, limit: u64 },
    #[error(
        "{what} has the digest {found} instead of {expected}: the registry or something on the way changed it"
    )]
    Digest { what: String, expected: Digest, found: Digest },
    #[error("{reference} is not a plugin: {what}")]
    Manifest { reference: String, what: String },
    #[error(
        "{what} is not in the cache ({cache}), and SLUICEBOX_OFFLINE forbids to ask the registry: pull it once with the \
         network, or bring the cache along"
    )]
    Offline { what: String, cache: String },
    #[error("cannot use the credentials in {file}: {what}")]
    Credentials { file: PathBuf, what: String },
}
