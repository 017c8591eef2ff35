//! One data path per owner: the lock, and who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};

use super::{Error, Options};

/// Takes the lock, for as long as the returned file is open, and writes our process id into it.
pub(super) fn take(options: &Options) -> Result<File, Error> {
    let path = options.lock();
    let failed = |source| Error::Write { path: path.clone(), source };
    fs::create_dir_all(&options.folder).map_err(failed)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Running { pid: read_pid(&mut file).unwrap_or(0) }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

/// Returns the process that serves, if one does.
pub fn running(options: &Options) -> Option<u32> {
    let mut file = File::open(options.lock()).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_pid(&mut file),
        _ => None,
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
