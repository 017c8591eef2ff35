//! Finds a container's main process without asking the engine: by its id in `/proc/*/cgroup`.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A running container's process, held so that its number cannot come to mean another one.
#[derive(Debug)]
pub(super) struct Process {
    /// Its number.
    pub pid: u32,
    /// Becomes readable when it ends.
    pub ended: OwnedFd,
    /// Its network namespace.
    pub network: File,
}

/// Watches a process for its end, by its descriptor.
#[derive(Debug)]
pub(super) struct End(AsyncFd<OwnedFd>);

impl End {
    /// Begins to watch.
    #[expect(deprecated, reason = "its replacement is unsafe, and an owned descriptor keeps what that asks for")]
    pub(super) fn watch(process: OwnedFd) -> io::Result<Self> {
        AsyncFd::with_interest(process, Interest::READABLE).map(End)
    }

    /// Returns when the process has ended.
    pub(super) async fn wait(&self) {
        let _ = self.0.readable().await;
    }

    /// Returns the process.
    pub(super) fn process(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

/// Finds the main process of a container that has a network namespace of its own.
///
/// While a container starts, its first process is for a moment still in the host's namespace; it is
/// not found then, because rules meant for a front must never reach the host.
pub(super) fn find(container: &str) -> io::Result<Option<Process>> {
    for pid in fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()) {
        if !is_of(pid, container) {
            continue;
        }
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        let ended = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(ended) => ended,
            Err(rustix::io::Errno::SRCH) => continue,
            Err(error) => return Err(error.into()),
        };
        // The number may have been given to another process before the descriptor was opened.
        if !is_of(pid, container) {
            continue;
        }
        let network = match File::open(format!("/proc/{pid}/ns/net")) {
            Ok(network) => network,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !is_ours(&network)? {
            return Ok(Some(Process { pid, ended, network }));
        }
    }
    Ok(None)
}

/// Tells whether a network namespace is the one that this thread is in.
pub(super) fn is_ours(network: &File) -> io::Result<bool> {
    let (theirs, ours) = (network.metadata()?, fs::metadata("/proc/thread-self/ns/net")?);
    Ok((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

/// Tells whether a process is the main one of a container.
fn is_of(pid: u32, container: &str) -> bool {
    let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}"));
    read("cgroup").is_ok_and(|text| text.contains(container)) && read("status").is_ok_and(|text| is_first(&text))
}

/// Tells by its status whether a process is the first of a PID namespace below ours.
///
/// Those that set a container up and those of `docker exec` are in its cgroup and its network as well,
/// and end long before it; by their numbers they cannot be told apart, because numbers wrap around.
fn is_first(status: &str) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let mut numbers = numbers.into_iter().flat_map(str::split_ascii_whitespace);
    numbers.next().is_some() && numbers.last() == Some("1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_process_of_a_container_is_its_main_one() {
        let status = |numbers: &str| format!("Name:\tpause\nPid:\t7\nNSpid:\t{numbers}\nNSpgid:\t1\n");
        for (numbers, is_main) in [("4711\t1", true), ("4711\t12\t1", true), ("4711\t7", false), ("4711", false), ("1", false), ("", false)]
        {
            assert_eq!(is_first(&status(numbers)), is_main, "{numbers}");
        }
        assert!(!is_first("Name:\tpause\n"));
    }
}
