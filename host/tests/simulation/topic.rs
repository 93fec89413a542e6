//! A Kafka topic, for the sink of messages as it is in the product.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch, new_null_array};
use async_trait::async_trait;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use sluicebox::sink::kafka::{Cluster, ClusterError, Look, MESSAGE_SCHEMA, Mark};

use crate::planted::Planted;
use crate::world::{Shared, World};

/// The sinks that are topics.
pub fn is_topic(sink: &str) -> bool {
    sink == "sent" || sink.ends_with('2')
}

/// What the brokers know of a sink. What was committed is told like a table.
#[derive(Default)]
pub struct Topic {
    mark: Option<Mark>,
    /// The one before, which readers may still see.
    before: Option<Mark>,
    /// Counts who took the sink over. Nobody but the last may write.
    owner: u64,
    /// What the last has sent, and not committed.
    open: Vec<String>,
}

/// One that took the sink over, or may.
pub struct FakeCluster {
    pub shared: Shared,
    pub sink: String,
    pub owner: u64,
    pub planted: Planted,
}

fn silent() -> ClusterError {
    ClusterError::Unavailable("nobody answered".to_owned())
}

impl FakeCluster {
    /// What only the last who took over may do.
    async fn as_owner(
        &self,
        deed: impl FnOnce(&mut World, &str) + Send + 'static,
    ) -> Result<(), ClusterError> {
        let (sink, owner) = (self.sink.clone(), self.owner);
        let done = self.shared.remote(true, move |world| {
            let is_owner = world.topics.entry(sink.clone()).or_default().owner == owner;
            if is_owner {
                deed(world, &sink);
            }
            is_owner
        });
        match done.await {
            Some(true) => Ok(()),
            Some(false) => Err(ClusterError::Fenced),
            None => Err(silent()),
        }
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    async fn look(&mut self) -> Result<Look, ClusterError> {
        let sink = self.sink.clone();
        let mark = self.shared.remote(false, move |world| {
            let sees_all = world.random.happens(0.7);
            let topic = world.topics.entry(sink).or_default();
            if sees_all {
                topic.before = topic.mark.clone();
            }
            topic.before.clone()
        });
        Ok(Look { topic: None, mark: mark.await.ok_or_else(silent)? })
    }

    async fn take_over(&mut self) -> Result<(), ClusterError> {
        let (sink, shuts_out) = (self.sink.clone(), self.planted != Planted::NoShutOut);
        let owner = self.shared.remote(true, move |world| {
            let topic = world.topics.entry(sink).or_default();
            topic.owner += u64::from(shuts_out);
            topic.open.clear();
            topic.before = topic.mark.clone();
            topic.owner
        });
        self.owner = owner.await.ok_or_else(silent)?;
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn send(&mut self, messages: RecordBatch) -> Result<(), ClusterError> {
        let bodies = messages["value"].as_binary::<i32>().iter().flatten();
        let bodies: Vec<_> = bodies.map(|body| String::from_utf8_lossy(body).into_owned()).collect();
        let send = move |world: &mut World, sink: &str| {
            world.topics.entry(sink.to_owned()).or_default().open.extend(bodies);
        };
        self.as_owner(send).await
    }

    async fn commit(&mut self, mark: &Mark) -> Result<(), ClusterError> {
        let mark = mark.clone();
        let commit = move |world: &mut World, sink: &str| {
            let topic = world.topics.entry(sink.to_owned()).or_default();
            let sent = std::mem::take(&mut topic.open);
            let table = world.tables.entry(sink.to_owned()).or_default();
            table.files.extend(sent);
            table.mark = mark.entry;
            topic.before = topic.mark.replace(mark);
            world.is_changed = true;
            world.tally.commits += 1;
        };
        self.as_owner(commit).await
    }
}

/// Where the messages of an epoch wait.
pub fn staged_path(sink: &str, file: &str) -> String {
    format!("_staged/{sink}/{file}")
}

/// A file with one message, that says which file it is.
pub fn staged_file(path: &str) -> Bytes {
    let columns = MESSAGE_SCHEMA.fields().iter().map(|field| match field.name().as_str() {
        "value" => Arc::new(BinaryArray::from_iter_values([path])) as ArrayRef,
        _ => new_null_array(field.data_type(), 1),
    });
    let messages = RecordBatch::try_new(MESSAGE_SCHEMA.clone(), columns.collect()).expect("messages");
    let mut file = ArrowWriter::try_new(Vec::new(), MESSAGE_SCHEMA.clone(), None).expect("a file");
    file.write(&messages).expect("written");
    file.into_inner().expect("finished").into()
}
