//! Object stores by URL: local folders, Amazon S3, Azure Blob Storage, Google Cloud Storage.

mod local;

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, parse_url_opts};
use url::Url;

pub use self::local::DurableLocal;

/// Variables of the environment that object_store's builders know, as other tools set them.
const ENVIRONMENT: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Options by object_store's names (`aws_region`, `azure_storage_account_key`, …), whichever store they are for.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    options: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(
        "`{0}` is no option of a store: use the names of object_store, such as `aws_region`, \
         `azure_storage_account_name` or `google_service_account`"
    )]
    UnknownOption(String),
    #[error("`{location}` cannot be opened: {source}")]
    Open { location: String, source: object_store::Error },
}

impl StoreOptions {
    /// `given` before what `environment` has.
    pub fn new(
        given: impl IntoIterator<Item = (String, String)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StorageError> {
        let mut options: BTreeMap<String, String> = environment
            .into_iter()
            .filter(|(name, _)| ENVIRONMENT.iter().any(|prefix| name.starts_with(prefix)))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        for (name, value) in given {
            let name = name.to_ascii_lowercase();
            if !is_known(&name) {
                return Err(StorageError::UnknownOption(name));
            }
            options.insert(name, value);
        }
        Ok(Self { options })
    }
}

fn is_known(option: &str) -> bool {
    option.parse::<AmazonS3ConfigKey>().is_ok()
        || option.parse::<AzureConfigKey>().is_ok()
        || option.parse::<GoogleConfigKey>().is_ok()
}

/// The file system or bucket of `location`. Local files are written durably.
pub fn open_root(location: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, StorageError> {
    if location.scheme() == "file" {
        return Ok(Arc::new(DurableLocal::new()));
    }
    let opened = parse_url_opts(location, options.options.iter().map(|(name, value)| (name, value.as_str())));
    let (store, _) = opened.map_err(|source| failed(location, source))?;
    Ok(Arc::from(store))
}

/// The folder of `location` as a store of its own.
pub fn open_folder(location: &Url, options: &StoreOptions) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let root = open_root(location, options)?;
    let path = Path::from_url_path(location.path()).map_err(|error| failed(location, error.into()))?;
    Ok(Arc::new(PrefixStore::new(root, path)))
}

fn failed(location: &Url, source: object_store::Error) -> StorageError {
    StorageError::Open { location: location.to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn the_file_goes_before_the_environment_and_misspelt_options_are_named() {
        let environment =
            [pair("AWS_REGION", "here"), pair("AWS_ENDPOINT", "http://one"), pair("HOME", "/root")];
        let options = StoreOptions::new([pair("aws_region", "there")], environment).expect("known options");
        let expected = [pair("aws_endpoint", "http://one"), pair("aws_region", "there")];
        assert_eq!(options.options, BTreeMap::from(expected));
        let error = StoreOptions::new([pair("aws_regoin", "x")], []).expect_err("no such option");
        assert!(error.to_string().contains("`aws_regoin`"), "{error}");
    }

    #[test]
    fn every_kind_of_store_opens() {
        let given = [
            pair("aws_region", "eu-central-1"),
            pair("azure_storage_account_name", "account"),
            pair("azure_storage_account_key", "a2V5"),
            pair("google_skip_signature", "true"),
        ];
        let options = StoreOptions::new(given, []).expect("known options");
        for location in
            ["file:///lake/a", "s3://bucket/a", "abfss://container/a", "az://container/a", "gs://bucket/a"]
        {
            let url = Url::parse(location).expect("a URL");
            assert!(open_folder(&url, &options).is_ok(), "{location}");
        }
    }
}
