//! The agent's side of the data path: writes what is published, reads what is acknowledged, and starts
//! `serve` when it does not run.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::task::AbortHandle;

use crate::serve::{self, read_acknowledged, read_published, write_fallback, write_published};
use crate::traffic::{Acknowledged, Published};

/// How long a `serve` that was started may take to hold its lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the file is looked at when the kernel does not tell.
const LOOK: Duration = Duration::from_millis(200);

/// The agent's side of the data path.
pub(super) struct Publisher {
    options: serve::Options,
    current: Option<Published>,
    /// When the copy in the state folder is written again, which could not be.
    copy_again: Option<Instant>,
    /// When `serve` was last started.
    started: Option<Instant>,
    /// The process that serves, whose end is waited for.
    watched: Option<(u32, AbortHandle)>,
    poke: Arc<dyn Fn() + Send + Sync>,
    /// Keeps the watch on what is acknowledged going.
    _watch: Watch,
}

/// How a change of what is acknowledged is noticed.
enum Watch {
    /// The kernel tells.
    Kernel(#[expect(dead_code, reason = "it works as long as it is kept")] RecommendedWatcher),
    /// A task looks: every replica that leaves waits for an acknowledgement, so this cannot wait.
    Looking(AbortHandle),
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Watch::Looking(task) = self {
            task.abort();
        }
    }
}

/// Pokes whenever a file is another one than before. It is replaced as a whole.
async fn look(file: PathBuf, poke: Arc<dyn Fn() + Send + Sync>) {
    let mut known = None;
    loop {
        let found = std::fs::metadata(&file).ok().map(|file| (file.ino(), file.mtime(), file.mtime_nsec()));
        if found != known {
            known = found;
            poke();
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Publisher {
    /// Reads what was published before and begins to watch what is acknowledged; `poke` is called when
    /// that changes.
    pub(super) fn open(options: serve::Options, poke: impl Fn() + Send + Sync + 'static) -> std::io::Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        // With the published state lost, the next generation must be newer than what was acknowledged, or
        // an old acknowledgement would count for it.
        let lost = |acknowledged: Acknowledged| Published::empty("", acknowledged.generation);
        let current = read_published(&options).or_else(|| read_acknowledged(&options).map(lost));
        let acknowledged = options.acknowledged();
        let poke: Arc<dyn Fn() + Send + Sync> = Arc::new(poke);
        let said = poke.clone();
        let watch = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is reported, too.
            if event.is_ok_and(|event| !event.kind.is_access() && event.paths.contains(&acknowledged)) {
                said();
            }
        });
        let watch = watch.and_then(|mut watch| watch.watch(&options.folder, RecursiveMode::NonRecursive).map(|()| watch));
        let watch = match watch {
            Ok(watch) => Watch::Kernel(watch),
            Err(error) => {
                tracing::warn!(%error, "what `serve` acknowledges cannot be watched; it is looked at several times a second instead");
                Watch::Looking(tokio::spawn(look(options.acknowledged(), poke.clone())).abort_handle())
            }
        };
        Ok(Publisher { options, current, copy_again: None, started: None, watched: None, poke, _watch: watch })
    }

    /// Returns what is published now.
    pub(super) fn current(&self) -> Option<&Published> {
        self.current.as_ref()
    }

    /// Publishes a value, unless it is what is published already.
    pub(super) fn publish(&mut self, next: Published) -> Result<(), serve::Error> {
        if self.current.as_ref() != Some(&next) {
            write_published(&self.options, &next)?;
            self.current = Some(next);
            self.copy();
        } else if self.copy_again.is_some_and(|again| again <= Instant::now()) {
            self.copy();
        }
        Ok(())
    }

    /// Tells whether the copy of what is published has still to be written.
    pub(super) fn has_to_copy(&self) -> bool {
        self.copy_again.is_some()
    }

    /// Copies what is published to the state folder, as well as may be: a full disk must not keep a replica from
    /// leaving.
    fn copy(&mut self) {
        let Some(current) = &self.current else { return };
        match write_fallback(&self.options, current) {
            Ok(()) if self.copy_again.take().is_some() => tracing::info!("the copy of what is served is written again"),
            Ok(()) => {}
            Err(error) => {
                if self.copy_again.replace(Instant::now() + PATIENCE).is_none() {
                    tracing::warn!(error = error.line(), "the copy of what is served cannot be written; it is tried again");
                }
            }
        }
    }

    /// Returns what the data path says about itself.
    pub(super) fn acknowledged(&self) -> Option<Acknowledged> {
        read_acknowledged(&self.options)
    }

    /// Starts `serve` if it does not run; one that ends at once is not started again at full speed.
    pub(super) fn keep_serving(&mut self) -> Result<(), serve::Error> {
        if self.started.is_some_and(|started| started.elapsed() < PATIENCE) {
            return Ok(());
        }
        match serve::running(&self.options) {
            Some(pid) => self.watch(pid),
            None => {
                self.started = Some(Instant::now());
                let pid = serve::start(&self.options)?;
                self.watch(pid);
            }
        }
        Ok(())
    }

    /// Pokes when `serve` ends: an agent with nothing to do would not look for minutes.
    fn watch(&mut self, pid: u32) {
        if self.watched.as_ref().is_some_and(|(known, task)| *known == pid && !task.is_finished()) {
            return;
        }
        let poke = self.poke.clone();
        let task = tokio::spawn(async move {
            serve::ended(pid).await;
            // Not before it may be started again, should it have ended at once.
            tokio::time::sleep(PATIENCE).await;
            poke();
        });
        if let Some((_, before)) = self.watched.replace((pid, task.abort_handle())) {
            before.abort();
        }
    }
}
