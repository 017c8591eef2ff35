//! Keeps the last published state in memory: reads it at the start and whenever it is replaced.
//!
//! A file that cannot be read is reported, and the last good state stays.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};

use crate::traffic::Published;

use super::Options;
use super::acknowledge::Report;

/// A look without a notification, should one have been lost.
const LOOK: Duration = Duration::from_secs(10);
/// The same on a host whose watches other programs have used up.
const LOOK_UNWATCHED: Duration = Duration::from_millis(250);

/// Reads the published state, and returns what watches it from then on.
pub(super) fn keep(
    options: &Options,
    state: watch::Sender<Option<Arc<Published>>>,
    reports: mpsc::UnboundedSender<Report>,
) -> impl Future<Output = ()> + use<> {
    let (wake, mut woken) = mpsc::channel(1);
    // Without any sender every wait would end at once.
    let kept = wake.clone();
    // Our own reading is reported, too; a full channel means that a wake-up is already waiting.
    let wake = move |event: notify::Result<notify::Event>| {
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = wake.try_send(());
        }
    };
    let watcher = notify::recommended_watcher(wake)
        .and_then(|mut watcher| watcher.watch(&options.folder, RecursiveMode::NonRecursive).map(|()| watcher))
        .inspect_err(|error| tracing::warn!(folder = %options.folder.display(), %error, "cannot be watched; it is looked at again and again instead"));
    let look = if watcher.is_ok() { LOOK } else { LOOK_UNWATCHED };
    let mut reader = Reader { path: options.published(), bytes: Vec::new(), state, reports };
    // After a restart of the host the folder below `/run` is empty and the copy is all there is.
    if !reader.look() && options.fallback() != options.published() {
        match fs::read(options.fallback()) {
            // Nothing was ever published: the agent will.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            read => reader.take(read),
        };
    }
    async move {
        let (_watcher, _kept) = (watcher, kept);
        loop {
            let _ = tokio::time::timeout(look, woken.recv()).await;
            reader.look();
        }
    }
}

struct Reader {
    path: PathBuf,
    bytes: Vec<u8>,
    state: watch::Sender<Option<Arc<Published>>>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Reader {
    /// Reads the file if it changed; tells whether there is one.
    fn look(&mut self) -> bool {
        match fs::read(&self.path) {
            Ok(bytes) if bytes == self.bytes => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            read => self.take(read),
        }
    }

    fn take(&mut self, read: io::Result<Vec<u8>>) -> bool {
        let published = read.map_err(|error| error.to_string()).and_then(|bytes| {
            let parsed = Published::parse(&bytes);
            self.bytes = bytes;
            parsed.map_err(|error| match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            })
        });
        match published {
            Ok(published) => {
                let published = Arc::new(published);
                self.state.send_replace(Some(published.clone()));
                let _ = self.reports.send(Report::Published(published));
                true
            }
            Err(error) => {
                tracing::error!(file = %self.path.display(), "{error}");
                let _ = self.reports.send(Report::FileError(error));
                false
            }
        }
    }
}
