//! Whether the topics are still those that the ledger knows.
//!
//! librdkafka goes on in a topic that was deleted and created again, at the old offsets. So the topics are
//! looked at after an epoch was read and before it is entered: ids never come back, and what was read before
//! the look is of the topic that the look finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::intake::IntakeHandle;
use super::tree::LayerTree;
use crate::ledger::Ledger;
use crate::ledger::state::TaskState;
use crate::progress::TopicPartition;
use crate::source::{SourceError, Topic};

/// How often the topics are looked at when no epoch asks for it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(
        "topic `{topic}` was deleted. To go on without it, take it out of `source.kafka.topics`; a topic that is created \
         under its name is another one, and needs a new pipeline `id` and a new `state`"
    )]
    Deleted { topic: String },
    #[error(
        "topic `{topic}` has {is} partitions and had {was}: records of one key may come in another partition now than \
         those in the state of {steps}. Give the pipeline a new `id`, a new `state` and new tables to compute \
         everything anew, or go on without these steps"
    )]
    Repartitioned { topic: Arc<str>, was: usize, is: usize, steps: String },
}

impl TopicError {
    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Source(error) if error.is_transient())
    }
}

/// Compares the topics with the ledger.
#[derive(Clone)]
pub struct TopicWatch {
    source: IntakeHandle,
    ledger: Ledger,
    /// The steps that keep state by key.
    keyed: Arc<[String]>,
}

impl TopicWatch {
    pub fn new(source: IntakeHandle, ledger: Ledger, tree: &LayerTree) -> Self {
        Self { source, ledger, keyed: keyed_steps(tree) }
    }

    /// The topics as they are now, if the ledger's positions and states are of them.
    pub async fn verify(&self) -> Result<Vec<Topic>, TopicError> {
        let topics = self.source.topics().await;
        let state = self.ledger.state();
        let topics = topics.map_err(|error| match error {
            SourceError::NoTopic { topic, .. } if state.tasks.keys().any(|task| *task.topic == *topic) => {
                TopicError::Deleted { topic }
            }
            error => error.into(),
        })?;
        check(&topics, &state.tasks, &self.keyed)?;
        Ok(topics)
    }
}

fn keyed_steps(tree: &LayerTree) -> Arc<[String]> {
    let steps = tree.layers.iter().flat_map(|layer| layer.steps.iter().map(move |step| (layer, step)));
    steps
        .filter(|(_, step)| step.plugin.is_stateful())
        .map(|(layer, step)| format!("`{}.{}`", layer.name, step.name))
        .collect()
}

/// The ledger knows all partitions of a topic from its first entry on, so it knows how many there were.
fn check(
    topics: &[Topic],
    tasks: &BTreeMap<TopicPartition, TaskState>,
    keyed: &[String],
) -> Result<(), TopicError> {
    for topic in topics {
        let known: Vec<_> = tasks.values().filter(|task| task.partition.topic == topic.name).collect();
        if let Some(is) = &topic.id
            && let Some(was) = known.iter().filter_map(|task| task.topic_id.as_ref()).find(|was| *was != is)
        {
            let (was, is) = (was.clone(), is.clone());
            return Err(SourceError::Recreated { topic: topic.name.clone(), was, is }.into());
        }
        let (was, is) = (known.len(), usize::try_from(topic.partitions).unwrap_or(0));
        if !keyed.is_empty() && was > 0 && is > was {
            return Err(TopicError::Repartitioned {
                topic: topic.name.clone(),
                was,
                is,
                steps: keyed.join(", "),
            });
        }
    }
    Ok(())
}

/// Looks from time to time in the background, for a pipeline without records enters no epochs.
pub struct TopicLooks {
    watch: TopicWatch,
    last: Instant,
    look: JoinSet<Result<Vec<Topic>, TopicError>>,
}

impl TopicLooks {
    pub fn new(watch: TopicWatch) -> Self {
        Self { watch, last: Instant::now(), look: JoinSet::new() }
    }

    pub fn look_if_due(&mut self) {
        if self.last.elapsed() < LOOK_EVERY || !self.look.is_empty() {
            return;
        }
        self.last = Instant::now();
        let watch = self.watch.clone();
        self.look.spawn(async move { watch.verify().await });
    }

    /// Waits until a look finds what stops the pipeline.
    pub async fn fault(&mut self) -> TopicError {
        loop {
            match self.look.join_next().await {
                Some(Ok(Err(error))) if !error.is_transient() => return error,
                Some(_) => {}
                None => return std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(ids: &[Option<&str>]) -> BTreeMap<TopicPartition, TaskState> {
        let task = |(partition, id): (i32, &Option<&str>)| {
            let partition = TopicPartition::new("events", partition);
            let state = TaskState {
                partition: partition.clone(),
                entry: 1,
                position: 0,
                topic_id: id.map(str::to_owned),
                watermark: None,
                max_event_time: None,
                state: Vec::new(),
            };
            (partition, state)
        };
        (0..).zip(ids).map(task).collect()
    }

    fn found(id: Option<&str>, partitions: i32) -> [Topic; 1] {
        [Topic { name: "events".into(), id: id.map(str::to_owned), partitions }]
    }

    #[test]
    fn another_id_is_another_topic_and_no_id_says_nothing() {
        let known = tasks(&[Some("a"), None]);
        assert!(matches!(
            check(&found(Some("b"), 2), &known, &[]),
            Err(TopicError::Source(SourceError::Recreated { was, is, .. })) if was == "a" && is == "b"
        ));
        assert!(check(&found(Some("a"), 2), &known, &[]).is_ok());
        assert!(check(&found(None, 2), &known, &[]).is_ok());
        assert!(check(&found(Some("b"), 2), &tasks(&[None, None]), &[]).is_ok());
    }

    #[test]
    fn more_partitions_are_refused_by_those_who_keep_state_by_key() {
        let (known, keyed) = (tasks(&[None, None]), ["`gold.sum`".to_owned()]);
        assert!(matches!(
            check(&found(None, 3), &known, &keyed),
            Err(TopicError::Repartitioned { was: 2, is: 3, .. })
        ));
        assert!(check(&found(None, 3), &known, &[]).is_ok());
        assert!(check(&found(None, 2), &known, &keyed).is_ok());
        // The first start, and a broker that does not know all partitions yet.
        assert!(check(&found(None, 3), &BTreeMap::new(), &keyed).is_ok());
        assert!(check(&found(None, 1), &known, &keyed).is_ok());
    }
}
