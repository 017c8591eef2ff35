//! Reading the files of a configuration again while an agent works.
//!
//! The kernel tells when files of the folder change; links that lead elsewhere, and file systems that tell
//! nothing, are why they are read now and then all the same. Reading twice what is the same does no harm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep, timeout};

use super::application::Application;

/// What reading a configuration came to: its applications, or a line for each thing that is wrong with it.
pub type Configured = Result<Vec<Application>, Vec<String>>;

/// Editors and copies write files one after the other.
const REST: Duration = Duration::from_millis(100);
/// Files that never rest are read all the same.
const LONGEST: Duration = Duration::from_secs(1);
/// How often files are read that nobody said anything of.
const INTERVAL: Duration = Duration::from_secs(60);

/// Changes of a configuration's files from now on.
#[derive(Debug)]
pub struct Changes {
    events: Receiver<()>,
    /// Without one only time passes.
    _watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// Begins to look at a file of Application documents, or at a folder of such files.
    pub fn of(path: &Path) -> Changes {
        let (sender, events) = channel(1);
        let folder = match (path.is_dir(), path.parent()) {
            (true, _) => path.to_owned(),
            (false, Some(parent)) if !parent.as_os_str().is_empty() => parent.to_owned(),
            (false, _) => PathBuf::from("."),
        };
        let file = path.file_name().filter(|_| folder != path).map(ToOwned::to_owned);
        let matters = move |event: &notify::Event| {
            let ours = |path: &PathBuf| file.as_deref().is_none_or(|file| path.file_name() == Some(file));
            !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(ours))
        };
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error means that events may have been lost.
            if event.as_ref().map_or(true, &matters) {
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher.and_then(|mut watcher| watcher.watch(&folder, RecursiveMode::NonRecursive).map(|()| watcher));
        if let Err(error) = &watcher {
            tracing::debug!(folder = %folder.display(), %error, "cannot be watched; the configuration is read now and then");
        }
        Changes { events, _watcher: watcher.ok() }
    }

    /// Waits until the files may have changed, and rest.
    pub async fn next(&mut self) {
        match timeout(INTERVAL, self.events.recv()).await {
            Ok(Some(())) => {
                let first = Instant::now();
                while first.elapsed() < LONGEST && matches!(timeout(REST, self.events.recv()).await, Ok(Some(()))) {}
            }
            // Nobody tells: the folder is not there, or cannot be watched.
            Ok(None) => sleep(LONGEST).await,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes are waited for without an end: a test that hangs has failed.
    #[tokio::test]
    async fn a_file_that_is_written_or_replaced_is_a_change_and_its_neighbour_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, neighbour) = (folder.path().join("shop.yaml"), folder.path().join("other.txt"));
        std::fs::write(&file, "a").expect("a file");
        let mut changes = Changes::of(&file);
        std::fs::write(&neighbour, "a").expect("a file");
        assert!(timeout(Duration::from_millis(300), changes.next()).await.is_err(), "the neighbour is none of ours");
        std::fs::write(&file, "b").expect("a file");
        changes.next().await;
        std::fs::rename(&neighbour, &file).expect("a file");
        changes.next().await;
        let mut changes = Changes::of(folder.path());
        std::fs::remove_file(&file).expect("a file");
        changes.next().await;
    }
}
