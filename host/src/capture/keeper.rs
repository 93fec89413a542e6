//! Puts captures into a folder, beside the pipeline and within bounds: it never waits for a capture.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::{Capture, CaptureError, encode};

/// What a capture's name ends with.
pub const NAME_ENDS_WITH: &str = ".capture";

/// Captures that wait to be written. More than these are let go: each holds a batch.
const WAITING: usize = 4;

const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// How long the end of a worker waits for captures.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// A folder that is full is looked at again so often, and one that cannot be written to is warned of.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Where captures go, and how much of them.
#[derive(Clone)]
pub struct KeeperSettings {
    pub folder: Arc<dyn ObjectStore>,
    pub max_files: usize,
    /// Of all captures together.
    pub max_bytes: u64,
}

/// Takes captures from any thread. Whatever goes wrong with one is a warning.
#[derive(Clone)]
pub struct Captures {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Keep(Box<Capture>),
    Finish(oneshot::Sender<()>),
}

impl Captures {
    /// Must be called within tokio's runtime.
    pub fn start(settings: KeeperSettings) -> Self {
        let (jobs, mut waiting) = mpsc::channel(WAITING);
        let mut keeper = Keeper { settings, paused_until: None };
        tokio::spawn(async move {
            while let Some(job) = waiting.recv().await {
                match job {
                    Job::Keep(capture) => keeper.keep(*capture).await,
                    // Nobody may be waiting any more.
                    Job::Finish(done) => drop(done.send(())),
                }
            }
        });
        Self { jobs }
    }

    /// Never waits.
    pub fn keep(&self, capture: Capture) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.jobs.try_send(Job::Keep(Box::new(capture))) {
            warn!("a capture is let go: {WAITING} others wait to be written");
        }
    }

    /// Waits until those are written that were taken before, but not for long.
    pub async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        let finish = async {
            if self.jobs.send(Job::Finish(done)).await.is_ok() {
                drop(finished.await);
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
            warn!("captures that are still being written are let go");
        }
    }
}

impl std::fmt::Debug for Captures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captures").finish_non_exhaustive()
    }
}

struct Keeper {
    settings: KeeperSettings,
    /// While it is in the future, captures are let go without a word: it was warned of already.
    paused_until: Option<Instant>,
}

/// What became of a capture.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Written(u64),
    /// The same call was captured before: what was read again has failed again.
    Already,
    /// The folder holds as much as it may, so that one of `bytes` has no room.
    Full {
        files: usize,
        held: u64,
        bytes: u64,
    },
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Encode(#[from] CaptureError),
    #[error("the encoder has ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
    #[error("it cannot be written: {0}")]
    Store(#[from] object_store::Error),
    #[error("it took more than {} s to write", WRITE_WITHIN.as_secs())]
    TooSlow,
}

impl Keeper {
    async fn keep(&mut self, capture: Capture) {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.paused_until = None;
        let name = name_of(&capture);
        let about = &capture.about;
        let (layer, step, fault) = (about.layer.clone(), about.step.clone(), about.fault.clone());
        let written = tokio::time::timeout(WRITE_WITHIN, self.write(&name, capture)).await;
        match written.unwrap_or(Err(KeepError::TooSlow)) {
            Ok(Kept::Already) => {}
            Ok(Kept::Written(bytes)) => info!(layer, step, fault, bytes, "captured as {name}"),
            Ok(Kept::Full { files, held, bytes }) => {
                warn!(
                    layer,
                    step,
                    "a call that failed, of {bytes} bytes, is not captured: there are {files} captures of {held} bytes. \
                     Remove those that you have looked at, or raise `capture.max_files` and `capture.max_bytes`"
                );
                self.paused_until = Some(Instant::now() + AGAIN_AFTER);
            }
            Err(error) => {
                warn!(layer, step, "a call that failed is not captured: {error}");
                self.paused_until = Some(Instant::now() + AGAIN_AFTER);
            }
        }
    }

    async fn write(&self, name: &str, capture: Capture) -> Result<Kept, KeepError> {
        let bytes = tokio::task::spawn_blocking(move || encode(&capture)).await??;
        let folder = &self.settings.folder;
        let (mut files, mut held) = (0, 0);
        let path = Path::from(name);
        let mut listing = folder.list(None);
        while let Some(object) = listing.try_next().await? {
            if object.location == path {
                return Ok(Kept::Already);
            }
            if object.location.as_ref().ends_with(NAME_ENDS_WITH) {
                (files, held) = (files + 1, held + object.size);
            }
        }
        let size = bytes.len() as u64;
        if files >= self.settings.max_files || held + size > self.settings.max_bytes {
            return Ok(Kept::Full { files, held, bytes: size });
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match folder.put_opts(&path, PutPayload::from(bytes), options).await {
            Ok(_) => Ok(Kept::Written(size)),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Kept::Already),
            Err(error) => Err(error.into()),
        }
    }
}

/// Tells what it is about, and is the same for the same call that fails in the same way.
fn name_of(capture: &Capture) -> String {
    let about = &capture.about;
    let fit = |text: &str| -> String {
        let fit = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' };
        text.chars().take(60).map(fit).collect()
    };
    let (to, config) = (about.range.to.to_string(), about.config.to_string());
    let where_from = [&about.pipeline, &about.layer, &about.step, &about.topic, &to];
    let parts = where_from.into_iter().chain([&about.plugin.sha256, &config, &about.fault]);
    let call = parts.fold(Sha256::new(), |digest, part| {
        digest.chain_update((part.len() as u64).to_le_bytes()).chain_update(part)
    });
    let call = format!("{:x}", call.finalize());
    format!(
        "{}-{}-{}-{}-{}-{}{NAME_ENDS_WITH}",
        fit(&about.layer),
        fit(&about.step),
        fit(&about.topic),
        about.partition,
        about.range.from,
        &call[..12]
    )
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use serde_json::Value;

    use super::super::file::tests::capture;
    use super::*;

    /// What was not entered is read again, and fails again: that is no other capture, and the folder may be full by then.
    #[tokio::test]
    async fn the_same_call_is_captured_once() {
        let settings = KeeperSettings { folder: Arc::new(InMemory::new()), max_files: 1, max_bytes: 1 << 20 };
        let keeper = Keeper { settings, paused_until: None };
        let write = |capture: Capture| {
            let keeper = &keeper;
            async move { keeper.write(&name_of(&capture), capture).await.unwrap() }
        };
        assert!(matches!(write(capture()).await, Kept::Written(_)));
        let mut again = capture();
        again.about.captured_at = "2026-01-02T00:00:00Z".to_owned();
        assert_eq!(write(again).await, Kept::Already);
        let others: [fn(&mut Capture); 4] = [
            |capture| capture.about.fault.push('!'),
            |capture| capture.about.plugin.sha256 = "cd".to_owned(),
            |capture| capture.about.range.to += 1,
            |capture| capture.about.config = Value::Null,
        ];
        for change in others {
            let mut other = capture();
            change(&mut other);
            assert!(matches!(write(other).await, Kept::Full { .. }));
        }
    }
}
