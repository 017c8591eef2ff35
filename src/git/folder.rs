//! A plain folder as a revision: its files are written into the mirror as a tree, so that a plain
//! folder has good revisions to go back to like any repository.
//!
//! What Git would not hold is left out: `.git`, empty folders, sockets and devices. So is the state
//! folder, which changes with every look.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Odb, Oid, Repository};

/// What the name of a plain folder's revision begins with; digits of its tree's hash follow.
pub(super) const PREFIX: &str = "folder-";

/// More than this in a plain folder is a mistake, such as a home folder.
const LARGEST: u64 = 256 << 20;
/// As deep as folders may lie in each other.
const DEEPEST: usize = 40;
/// How often a folder is read anew because a file vanished meanwhile.
const ATTEMPTS: usize = 5;

/// Why a folder was not taken.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// The mirror cannot be written.
    Mirror(git2::Error),
    /// It holds too much: the limit and the largest file.
    TooLarge(String, PathBuf),
}

impl From<git2::Error> for Trouble {
    fn from(error: git2::Error) -> Self {
        Trouble::Mirror(error)
    }
}

/// Returns the revision that a tree is.
pub(super) fn revision(tree: Oid) -> String {
    format!("{PREFIX}{}", &tree.to_string()[..12])
}

/// Writes the files of a folder into the mirror, without those of the folder `state`.
pub(super) fn take(mirror: &Repository, folder: &Path, state: &Path) -> Result<Oid, Trouble> {
    for _ in 1..ATTEMPTS {
        match take_once(mirror, folder, state) {
            // An editor replaces a file by another: the next look sees the whole.
            Err(Trouble::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
    }
    take_once(mirror, folder, state)
}

/// Writes a folder that has nothing but one file.
pub(super) fn take_file(mirror: &Repository, file: &Path) -> Result<Oid, Trouble> {
    let mut taker = Taker { mirror, odb: mirror.odb()?, state: Path::new(""), bytes: 0, largest: (0, file.to_owned()) };
    let mut builder = mirror.treebuilder(None)?;
    let metadata = fs::metadata(file).map_err(|error| Trouble::Read(file.to_owned(), error))?;
    if let Some((object, mode)) = taker.entry(file, metadata.file_type(), 0)? {
        builder.insert(file.file_name().unwrap_or_default().as_bytes(), object, mode)?;
    }
    Ok(builder.write()?)
}

fn take_once(mirror: &Repository, folder: &Path, state: &Path) -> Result<Oid, Trouble> {
    let mut taker = Taker { mirror, odb: mirror.odb()?, state, bytes: 0, largest: (0, folder.to_owned()) };
    let tree = taker.folder(folder, 0)?;
    tree.map_or_else(|| Ok(mirror.treebuilder(None)?.write()?), Ok)
}

struct Taker<'a> {
    mirror: &'a Repository,
    odb: Odb<'a>,
    state: &'a Path,
    bytes: u64,
    largest: (u64, PathBuf),
}

impl Taker<'_> {
    /// Writes one folder; `None` if there is nothing in it.
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<Option<Oid>, Trouble> {
        if depth > DEEPEST {
            return Err(Trouble::TooLarge(format!("{DEEPEST} folders in each other"), folder.to_owned()));
        }
        let failed = |error| Trouble::Read(folder.to_owned(), error);
        let mut builder = self.mirror.treebuilder(None)?;
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() == ".git" || entry.path() == self.state {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            if let Some((object, mode)) = self.entry(&entry.path(), kind, depth)? {
                builder.insert(entry.file_name().as_bytes(), object, mode)?;
            }
        }
        match builder.is_empty() {
            true => Ok(None),
            false => Ok(Some(builder.write()?)),
        }
    }

    fn entry(&mut self, path: &Path, kind: FileType, depth: usize) -> Result<Option<(Oid, i32)>, Trouble> {
        let failed = |error| Trouble::Read(path.to_owned(), error);
        if kind.is_dir() {
            return Ok(self.folder(path, depth + 1)?.map(|tree| (tree, 0o040_000)));
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(failed)?;
            return Ok(Some((self.odb.write(ObjectType::Blob, target.as_os_str().as_bytes())?, 0o120_000)));
        }
        if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return Ok(None);
        }
        let metadata = fs::metadata(path).map_err(failed)?;
        self.bytes += metadata.len();
        if metadata.len() > self.largest.0 {
            self.largest = (metadata.len(), path.to_owned());
        }
        if self.bytes > LARGEST {
            return Err(Trouble::TooLarge(format!("{} MiB", LARGEST >> 20), self.largest.1.clone()));
        }
        let bytes = fs::read(path).map_err(failed)?;
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o100_644 } else { 0o100_755 };
        Ok(Some((self.odb.write(ObjectType::Blob, &bytes)?, mode)))
    }
}
