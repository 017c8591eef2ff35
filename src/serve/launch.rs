//! Starts the data path beside the agent, and ends it.
//!
//! It makes a session of its own at once, so that neither a closed terminal nor the end of the agent
//! reaches it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::find::End;
use super::{Error, Options, running};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts this program as `serve` unless it already runs; returns its process id.
///
/// Does not wait until it serves: what it acknowledges says so.
pub fn start(options: &Options) -> Result<u32, Error> {
    start_program(&std::env::current_exe().map_err(Error::Start)?, options)
}

/// Starts a program as `serve` unless it already runs; returns its process id.
pub fn start_program(program: &Path, options: &Options) -> Result<u32, Error> {
    if let Some(pid) = running(options) {
        return Ok(pid);
    }
    let (log, errors) = match open_log(options) {
        Ok((log, errors)) => (log.into(), errors.into()),
        // A disk that cannot be written is no reason not to serve.
        Err(source) => {
            tracing::warn!("{}", Error::Write { path: options.log(), source }.line());
            (Stdio::null(), Stdio::null())
        }
    };
    let mut child = Command::new(program)
        .arg("serve")
        .args(["--owner", options.owner.as_str(), "--dns", &options.dns.to_string(), "--detached"])
        .arg("--state")
        .arg(&options.state)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(Error::Start)?;
    let pid = child.id();
    // Somebody has to ask for its exit code, or it stays as a zombie.
    std::thread::spawn(move || child.wait());
    Ok(pid)
}

fn open_log(options: &Options) -> io::Result<(File, File)> {
    std::fs::create_dir_all(&options.state)?;
    let log = OpenOptions::new().create(true).append(true).open(options.log())?;
    Ok((log.try_clone()?, log))
}

/// Returns when a process that served has ended; at once if it cannot be watched.
pub async fn ended(pid: u32) {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let watched = process.and_then(|process| pidfd_open(process, PidfdFlags::empty()).ok()).and_then(|process| End::watch(process).ok());
    if let Some(end) = watched {
        end.wait().await;
    }
}

/// Ends the process that serves, if one does; kernel rules stay in the fronts. Returns whether one did.
pub async fn stop(options: &Options) -> Result<bool, Error> {
    let Some(pid) = running(options) else { return Ok(false) };
    let failed = |source: io::Error| Error::Stop { pid, source };
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    let process = match pidfd_open(process, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => return Err(failed(error.into())),
    };
    // Who holds the lock cannot have changed its id; who does not is somebody else by now.
    if running(options) != Some(pid) {
        return Ok(false);
    }
    let ended = End::watch(process).map_err(failed)?;
    for signal in [Signal::TERM, Signal::KILL] {
        match pidfd_send_signal(ended.process(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if tokio::time::timeout(PATIENCE, ended.wait()).await.is_ok() {
            return Ok(true);
        }
    }
    Err(failed(io::ErrorKind::TimedOut.into()))
}
