//! The file of `sluicebox generate`: what is generated, and the topic that it goes to.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use super::error::{ConfigError, DocumentPath};
use super::generate::{self, Generate};
use super::load::read_interpolated;
use super::secret::Secret;
use super::validate::{Findings, check_brokers, check_topic};

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    pub kafka: FeedTopic,
    pub generate: Generate,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedTopic {
    pub brokers: String,
    pub topic: String,
    #[serde(default)]
    pub settings: IndexMap<String, Secret>,
}

/// Reads and checks the file. References are resolved as in a pipeline file.
pub fn load_feed(file: &Path) -> Result<Feed, ConfigError> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let read = read_interpolated(file, environment)?;
    let feed: Feed = read.typed()?;
    let (root, mut found) = (DocumentPath::default(), Findings::default());
    check_brokers(&feed.kafka.brokers, root.key("kafka").key("brokers"), &mut found);
    check_topic(&feed.kafka.topic, root.key("kafka").key("topic"), &mut found);
    generate::check(&feed.generate, &root.key("generate"), &mut found);
    read.refuse_if(found)?;
    Ok(feed)
}
