//! Files that were changed inside of containers, as the engine tells them. Only asked for on request: the
//! engine walks the whole file system of a container for it.
//!
//! What is mounted is not the container's own, and what the engine itself puts there was changed by nobody.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ChangeType, FilesystemChange};

use super::error::{During, Error, status};
use super::{Docker, answer};

/// What happened to a file of a container since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileChange {
    /// It has other bytes, or another owner or mode.
    Changed,
    /// The image does not have it.
    Added,
    /// The image has it.
    Deleted,
}

impl Docker {
    /// Returns the files of a container that are not as its image has them, by path. Of a folder that is new
    /// or gone what is in it is not listed.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub async fn changed_files(&self, container: &str) -> Result<BTreeMap<String, FileChange>, Error> {
        let Some(found) = self.inspect(container).await? else { return Ok(BTreeMap::new()) };
        let changes = match self.timed("container_changes", self.inner.client.container_changes(container)).await {
            Ok(changes) => changes.unwrap_or_default(),
            Err(error) if status(&error) == Some(404) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error).during("list the changed files of", answer::name_of(&found)),
        };
        let mounts: BTreeSet<String> = found.mounts.iter().flatten().filter_map(|mount| mount.destination.clone()).collect();
        let tmpfs = found.host_config.as_ref().and_then(|config| config.tmpfs.as_ref());
        // The engine makes the working folder if the image does not have it.
        let working = found.config.as_ref().and_then(|config| config.working_dir.as_ref()).filter(|folder| folder.len() > 1);
        let mounts = mounts
            .into_iter()
            .chain(working.map(|folder| format!("{}/.", folder.trim_end_matches('/'))))
            .chain(tmpfs.into_iter().flat_map(|tmpfs| tmpfs.keys().cloned()))
            .collect();
        Ok(own(&changes, &mounts))
    }
}

/// What the engine puts into a container.
const ENGINES: [&str; 8] = ["/.dockerenv", "/dev", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc", "/sys"];

/// Returns the changes that somebody in the container made.
fn own(changes: &[FilesystemChange], mounts: &BTreeSet<String>) -> BTreeMap<String, FileChange> {
    let within = |path: &str, folder: &str| path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let foreign = |path: &str| {
        ENGINES.iter().any(|known| within(path, known)) || mounts.iter().any(|mount| within(path, mount.trim_end_matches('/')))
    };
    let paths: BTreeSet<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    // A folder counts as changed if anything in it is; mount points are made in folders.
    let parents: BTreeSet<&str> =
        paths.iter().copied().chain(mounts.iter().map(String::as_str)).chain(ENGINES).flat_map(ancestors).collect();
    let known = |change: &FilesystemChange| match change.kind {
        ChangeType::_0 => FileChange::Changed,
        ChangeType::_1 => FileChange::Added,
        ChangeType::_2 => FileChange::Deleted,
    };
    let all: BTreeMap<&str, FileChange> = changes.iter().map(|change| (change.path.as_str(), known(change))).collect();
    let listed = |path: &str, change: FileChange| {
        let parent = parents.contains(path);
        // A new folder is listed instead of what is in it, unless only what is not its own is in it.
        let whole = ancestors(path)
            .any(|folder| all.get(folder) == Some(&change) && change != FileChange::Changed && !is_made_for_mounts(folder, mounts));
        let made = change == FileChange::Added && is_made_for_mounts(path, mounts);
        let hidden = foreign(path) || whole || made || parent && change == FileChange::Changed;
        !hidden
    };
    all.iter().filter(|(path, change)| listed(path, **change)).map(|(path, change)| ((*path).to_owned(), *change)).collect()
}

/// Tells whether something is mounted below a folder, or the engine puts something there.
fn is_made_for_mounts(folder: &str, mounts: &BTreeSet<String>) -> bool {
    mounts.iter().map(String::as_str).chain(ENGINES).any(|mount| ancestors(mount).any(|known| known == folder))
}

/// Returns the folders that a path lies in.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).filter(|folder| !folder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[(&str, ChangeType)], mounts: &[&str]) -> Vec<(String, FileChange)> {
        let changes: Vec<FilesystemChange> =
            changes.iter().map(|(path, kind)| FilesystemChange { path: (*path).to_owned(), kind: *kind }).collect();
        own(&changes, &mounts.iter().map(|mount| (*mount).to_owned()).collect()).into_iter().collect()
    }

    #[test]
    fn only_what_somebody_did_is_listed_and_a_folder_once() {
        let (changed_, added, deleted) = (ChangeType::_0, ChangeType::_1, ChangeType::_2);
        let found = changed(
            &[
                ("/etc", changed_),
                ("/etc/passwd", changed_),
                ("/etc/hosts", added),
                ("/etc/nginx", changed_),
                ("/etc/nginx/nginx.conf", changed_),
                ("/data", added),
                ("/data/base", added),
                ("/var", changed_),
                ("/var/new", added),
                ("/var/new/a", added),
                ("/var/new/b", added),
                ("/usr/bin/x", deleted),
                ("/usr/bin", changed_),
                ("/usr", changed_),
                ("/srv", added),
                ("/app", added),
                ("/app/result", added),
                ("/srv/files", added),
            ],
            &["/data", "/srv/files", "/app/."],
        );
        let expected = [
            ("/app/result", FileChange::Added),
            ("/etc/nginx/nginx.conf", FileChange::Changed),
            ("/etc/passwd", FileChange::Changed),
            ("/usr/bin/x", FileChange::Deleted),
            ("/var/new", FileChange::Added),
        ];
        assert_eq!(found, expected.map(|(path, change)| (path.to_owned(), change)));
    }
}
