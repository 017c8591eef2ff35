//! The files between agent and data path: written by rename, so a reader sees one whole or the other.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::traffic::{Acknowledged, Published};

use super::{Error, Options};

/// Writes the published state; the data path picks it up at once.
pub fn write_published(options: &Options, published: &Published) -> Result<(), Error> {
    let bytes = serde_json::to_vec(published).expect("a published state has text keys only");
    write(&options.published(), &bytes)
}

/// Writes the copy of the published state in the state folder, if that is another place.
///
/// # Errors
///
/// If it cannot be written. Whoever calls goes on: a full disk must not keep a replica from leaving.
pub fn write_fallback(options: &Options, published: &Published) -> Result<(), Error> {
    match options.fallback() == options.published() {
        true => Ok(()),
        false => write(&options.fallback(), &serde_json::to_vec(published).expect("a published state has text keys only")),
    }
}

/// Reads the published state, or else its copy; `None` if neither can be used.
pub fn read_published(options: &Options) -> Option<Published> {
    [options.published(), options.fallback()].into_iter().find_map(|path| Published::parse(&fs::read(path).ok()?).ok())
}

/// Reads what the data path acknowledged; `None` if it said nothing yet.
pub fn read_acknowledged(options: &Options) -> Option<Acknowledged> {
    serde_json::from_slice(&fs::read(options.acknowledged()).ok()?).ok()
}

/// Replaces a file as a whole, and makes its folder if there is none.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let folder = path.parent().expect("the path names a file in a folder");
    fs::create_dir_all(folder).map_err(failed)?;
    // Next to the file, because a rename does not cross file systems.
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)
}
