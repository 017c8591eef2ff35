//! One data path per owner: the lock, and who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::time::Duration;

use super::{Error, Options};

/// How often the lock is tried, and the pause between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);

/// Takes the lock, for as long as the returned file is open, and writes our process id into it.
pub(super) fn take(options: &Options) -> Result<File, Error> {
    let path = options.lock();
    let failed = |source| Error::Write { path: path.clone(), source };
    fs::create_dir_all(&options.folder).map_err(failed)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    let mut tries = 0;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // Whoever asks whether somebody serves has the lock for a moment.
            Err(TryLockError::WouldBlock) if tries < TRIES => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Error::Running { pid: read_pid(&mut file).unwrap_or(0) }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        tries += 1;
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
