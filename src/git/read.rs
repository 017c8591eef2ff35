//! From a tree object to the files of an application's folder.
//!
//! Symbolic links are followed inside the repository only, also through folders. What is read is
//! bounded: neither a large file, nor many, nor links that multiply can fill the memory.

use std::cell::Cell;
use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository};

use crate::manifest::{Entry, Tree};

/// No single file can be delivered to a replica that has more bytes than this.
const LARGEST_FILE: usize = 16 << 20;
/// The most bytes of a folder together.
const LARGEST_FOLDER: usize = 128 << 20;
/// The most entries of a folder, each counted as often as links lead to it.
const MOST_ENTRIES: usize = 100_000;
/// As deep as folders and links may go; `ELOOP` has the same limit on Linux.
pub(super) const DEEPEST: usize = 40;

pub(super) const LINK: i32 = 0o120_000;
const EXECUTABLE: i32 = 0o111;

/// Why a folder was not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The mirror lacks an object, or it cannot be read.
    Mirror(git2::Error),
    /// There is no such folder.
    NoFolder,
    /// It holds too much; the limit and the largest file.
    TooLarge { limit: String, largest: String },
}

impl From<git2::Error> for Trouble {
    fn from(error: git2::Error) -> Self {
        Trouble::Mirror(error)
    }
}

/// Reads the files below a folder of a tree, and returns the folder's print, if it has one.
pub(super) fn read(repository: &Repository, root: Oid, path: &str) -> Result<(Tree, Option<String>), Trouble> {
    let base = normal(&[], path).ok_or(Trouble::NoFolder)?;
    let mut reader = Reader::new(repository, root, base.clone());
    let folder = match reader.find(&base, 0)? {
        Found::Folder(oid, path) => {
            reader.folder(oid, &path, "", &mut Vec::new())?;
            oid
        }
        _ => return Err(Trouble::NoFolder),
    };
    let print = (!reader.leaves.get()).then(|| folder.to_string());
    Ok((Tree { files: reader.files }, print))
}

/// Returns a folder's print without reading it: two revisions in which it is the same have the same files
/// there. `None` if no folder is there, or a link leads to it.
pub(super) fn print(repository: &Repository, root: Oid, path: &str) -> Result<Option<String>, Trouble> {
    let Some(base) = normal(&[], path) else { return Ok(None) };
    let reader = Reader::new(repository, root, base.clone());
    match reader.find(&base, 0)? {
        Found::Folder(oid, _) if !reader.leaves.get() => Ok(Some(oid.to_string())),
        _ => Ok(None),
    }
}

struct Reader<'a> {
    repository: &'a Repository,
    root: Oid,
    files: BTreeMap<String, Entry>,
    entries: usize,
    bytes: usize,
    largest: (usize, String),
    /// The folder that is read, and whether a link led out of it.
    base: Vec<String>,
    leaves: Cell<bool>,
}

/// What a path of the repository leads to, links followed.
enum Found {
    File { blob: Oid, executable: bool },
    Folder(Oid, Vec<String>),
    Submodule,
    Outside,
    Nothing,
}

impl<'a> Reader<'a> {
    fn new(repository: &'a Repository, root: Oid, base: Vec<String>) -> Self {
        let (files, leaves) = (BTreeMap::new(), Cell::new(false));
        Reader { repository, root, files, entries: 0, bytes: 0, largest: (0, String::new()), base, leaves }
    }

    /// Takes note of where a link leads.
    fn follow(&self, target: Option<&[String]>) {
        if !target.is_some_and(|target| target.starts_with(&self.base)) {
            self.leaves.set(true);
        }
    }

    /// Reads a folder that stands at `at` in the repository into `prefix` of the result. `open` holds
    /// the folders being read, so that a link to one of them is seen as a loop.
    fn folder(&mut self, tree: Oid, at: &[String], prefix: &str, open: &mut Vec<Vec<String>>) -> Result<(), Trouble> {
        open.push(at.to_vec());
        let tree = self.repository.find_tree(tree)?;
        // Not after most of it was read.
        if self.entries + tree.len() > MOST_ENTRIES {
            return Err(self.too_large(format!("{MOST_ENTRIES} files")));
        }
        for entry in tree.iter() {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(self.too_large(format!("{MOST_ENTRIES} files")));
            }
            // Paths are text everywhere else; a name that is not UTF-8 is written with replacements.
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let path = format!("{prefix}{name}");
            let below = [at, std::slice::from_ref(&name)].concat();
            match entry.kind() {
                Some(ObjectType::Blob) if entry.filemode() == LINK => self.link(entry.id(), at, &path, open)?,
                Some(ObjectType::Blob) => self.file(entry.id(), entry.filemode() & EXECUTABLE != 0, path)?,
                Some(ObjectType::Tree) if open.len() < DEEPEST => self.folder(entry.id(), &below, &format!("{path}/"), open)?,
                Some(ObjectType::Tree) => return Err(self.too_large(format!("{DEEPEST} folders in each other"))),
                _ => {
                    self.files.insert(path, Entry::Submodule);
                }
            }
        }
        open.pop();
        Ok(())
    }

    fn file(&mut self, blob: Oid, executable: bool, path: String) -> Result<(), Trouble> {
        let (size, _) = self.repository.odb()?.read_header(blob)?;
        if size > self.largest.0 {
            self.largest = (size, path.clone());
        }
        if size > LARGEST_FILE {
            self.files.insert(path, Entry::TooLarge { size: size as u64 });
            return Ok(());
        }
        self.bytes += size;
        if self.bytes > LARGEST_FOLDER {
            return Err(self.too_large(format!("{} MiB", LARGEST_FOLDER >> 20)));
        }
        let bytes = self.repository.find_blob(blob)?.content().to_vec();
        let entry = if is_lfs_pointer(&bytes) { Entry::Lfs } else { Entry::File { bytes, executable } };
        self.files.insert(path, entry);
        Ok(())
    }

    fn link(&mut self, blob: Oid, at: &[String], path: &str, open: &mut Vec<Vec<String>>) -> Result<(), Trouble> {
        let target = self.target(blob)?;
        let absolute = normal(at, &target);
        self.follow(absolute.as_deref());
        let found = match absolute {
            Some(absolute) => self.find(&absolute, 1)?,
            None => Found::Outside,
        };
        let entry = match found {
            Found::File { blob, executable } => return self.file(blob, executable, path.to_owned()),
            Found::Folder(tree, at) if !open.contains(&at) && open.len() < DEEPEST => {
                return self.folder(tree, &at, &format!("{path}/"), open);
            }
            Found::Folder(..) | Found::Nothing => Entry::Dangling { target },
            Found::Submodule => Entry::Submodule,
            Found::Outside => Entry::Outside { target },
        };
        self.files.insert(path.to_owned(), entry);
        Ok(())
    }

    /// Looks up a path from the root of the repository, following links on the way.
    fn find(&self, path: &[String], hops: usize) -> Result<Found, Trouble> {
        if hops > DEEPEST {
            return Ok(Found::Nothing);
        }
        let mut tree = self.root;
        for (index, name) in path.iter().enumerate() {
            let folder = self.repository.find_tree(tree)?;
            let Some(entry) = folder.get_name(name) else { return Ok(Found::Nothing) };
            let is_last = index + 1 == path.len();
            match entry.kind() {
                Some(ObjectType::Blob) if entry.filemode() == LINK => {
                    let target = self.target(entry.id())?;
                    let absolute = normal(&path[..index], &target);
                    self.follow(absolute.as_deref());
                    let Some(mut absolute) = absolute else { return Ok(Found::Outside) };
                    absolute.extend_from_slice(&path[index + 1..]);
                    return self.find(&absolute, hops + 1);
                }
                Some(ObjectType::Blob) if is_last => {
                    return Ok(Found::File { blob: entry.id(), executable: entry.filemode() & EXECUTABLE != 0 });
                }
                Some(ObjectType::Tree) => tree = entry.id(),
                Some(ObjectType::Commit) => return Ok(Found::Submodule),
                _ => return Ok(Found::Nothing),
            }
        }
        Ok(Found::Folder(tree, path.to_vec()))
    }

    fn target(&self, blob: Oid) -> Result<String, git2::Error> {
        Ok(String::from_utf8_lossy(self.repository.find_blob(blob)?.content()).into_owned())
    }

    fn too_large(&self, limit: String) -> Trouble {
        Trouble::TooLarge { limit, largest: self.largest.1.clone() }
    }
}

/// Resolves a relative path from a folder; `None` if it leaves the root or is absolute.
fn normal(from: &[String], path: &str) -> Option<Vec<String>> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts = from.to_vec();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name.to_owned()),
        }
    }
    Some(parts)
}

/// Tells whether a file is the placeholder of one in Git LFS (its specification: the version is the
/// first line, and a pointer has fewer than 1,024 bytes).
fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.len() < 1024 && bytes.starts_with(b"version https://git-lfs.github.com/spec/")
}
