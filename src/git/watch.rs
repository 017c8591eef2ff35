//! Noticing that a source may have changed.
//!
//! On this host the kernel tells; a push is one renamed file, so it is passed on almost at once, while
//! files of a plain folder are waited for until they rest. Events can be lost (network file systems,
//! folders replaced as a whole), so every source is polled as well. A poke says "look", never what.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, timeout};

use super::location::{Content, Location};

/// Refs change by one rename each; this joins the branches of one push.
const REF_REST: Duration = Duration::from_millis(5);
/// Files are written one after the other by an editor or a copy.
const FILE_REST: Duration = Duration::from_millis(50);
/// A folder that never rests is looked at all the same.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// How soon a path that is not there, or was replaced, is watched again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a path is looked at for another folder in its place, which the kernel does not always tell.
const CHECK: Duration = Duration::from_secs(2);
/// How soon a path is watched again that could not be, for want of watches perhaps.
const SLOW_RETRY: Duration = Duration::from_secs(60);

type Poke = Arc<dyn Fn() + Send + Sync>;

/// Keeps a watch going until it is dropped.
#[derive(Debug)]
#[must_use = "the watch ends when this is dropped"]
pub struct Watching {
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Watches a source; what changes in the folder `state` is our own doing.
pub(super) fn start(location: Location, state: PathBuf, interval: Duration, poke: Poke) -> Watching {
    let mut tasks = Vec::new();
    if !interval.is_zero() {
        tasks.push(tokio::spawn(poll(interval, poke.clone())));
    }
    if !matches!(location, Location::Url(_)) {
        tasks.push(tokio::spawn(follow(location, state, poke)));
    }
    Watching { tasks }
}

async fn poll(interval: Duration, poke: Poke) {
    loop {
        sleep(jitter(interval)).await;
        poke();
    }
}

/// Returns the interval, up to a tenth shorter or longer, so that many hosts do not ask at once.
pub fn jitter(interval: Duration) -> Duration {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = RandomState::new().build_hasher().finish() % 201;
    interval.mul_f64(0.9 + random as f64 / 1000.0)
}

/// Watches a path of this host, also if it comes later or is replaced.
async fn follow(location: Location, state: PathBuf, poke: Poke) {
    let mut was_away = false;
    loop {
        let content = location.content();
        let watched = match &content {
            Content::Repository(git_dir) => watch_refs(git_dir).map(Some),
            Content::Folder(path) => watch_files(path, &state).map(Some),
            Content::Nothing => Ok(None),
        };
        let retry = match watched {
            Ok(Some((watcher, mut events))) => {
                if was_away {
                    poke();
                }
                let rest = if matches!(content, Content::Folder(_)) { FILE_REST } else { REF_REST };
                until_gone(&location, &content, &mut events, (rest, &poke)).await;
                drop(watcher);
                RETRY
            }
            Ok(None) => RETRY,
            Err(error) => {
                tracing::warn!(repository = %location, %error, "cannot be watched; changes are found by polling");
                SLOW_RETRY
            }
        };
        was_away = true;
        sleep(retry).await;
    }
}

/// Passes events on until another folder is at the path than the one that is watched.
async fn until_gone(location: &Location, content: &Content, events: &mut Receiver<()>, (rest, poke): (Duration, &Poke)) {
    let watched = identity(content);
    loop {
        if let Ok(event) = timeout(CHECK, events.recv()).await {
            if event.is_none() {
                return;
            }
            let first = Instant::now();
            while first.elapsed() < LONGEST_WAIT && matches!(timeout(rest, events.recv()).await, Ok(Some(()))) {}
            poke();
        }
        let now = location.content();
        if now != *content || identity(&now) != watched {
            return;
        }
    }
}

/// Returns what tells a folder from another one that took its place.
fn identity(content: &Content) -> Option<(u64, u64)> {
    let (Content::Repository(path) | Content::Folder(path)) = content else { return None };
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

type Watched = notify::Result<(RecommendedWatcher, Receiver<()>)>;

fn watch_refs(git_dir: &Path) -> Watched {
    // A work tree has its own HEAD and the refs of its main repository.
    let common = std::fs::read_to_string(git_dir.join("commondir")).map(|text| git_dir.join(text.trim()));
    let common = common.unwrap_or_else(|_| git_dir.to_owned());
    let refs = common.join("refs");
    // Events come with the path as it was watched, so prefixes can be compared.
    let (mut watcher, events) = watcher({
        let refs = refs.clone();
        move |path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !name.ends_with(".lock") && (path.starts_with(&refs) || matches!(name, "HEAD" | "packed-refs"))
        }
    })?;
    watcher.watch(git_dir, RecursiveMode::NonRecursive)?;
    if common != git_dir {
        watcher.watch(&common, RecursiveMode::NonRecursive)?;
    }
    watcher.watch(&refs, RecursiveMode::Recursive)?;
    Ok((watcher, events))
}

fn watch_files(folder: &Path, state: &Path) -> Watched {
    let (state, git) = (state.to_owned(), folder.join(".git"));
    let (mut watcher, events) = watcher(move |path| !path.starts_with(&state) && !path.starts_with(&git))?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok((watcher, events))
}

/// Makes a watcher that reports changes of the paths that matter; many unread reports are one.
fn watcher(matters: impl Fn(&PathBuf) -> bool + Send + 'static) -> Watched {
    let (sender, receiver): (Sender<()>, Receiver<()>) = channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means that events may have been lost.
        let relevant = event.map_or(true, |event| !event.kind.is_access() && (event.need_rescan() || event.paths.iter().any(&matters)));
        if relevant {
            let _ = sender.try_send(());
        }
    })?;
    Ok((watcher, receiver))
}
