//! A thread inside a front's network namespace, and how that namespace is set up.
//!
//! Everything the thread opens or starts is in the front: sockets, `ip`, `nft`, and what it reads
//! below `/proc/sys/net` and `/proc/thread-self/net`. The thread never leaves again; it ends.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Stdio;

use ipnet::Ipv4Net;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::find;

/// Moves the calling thread into a network namespace.
pub(super) fn enter(network: &File) -> io::Result<()> {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    match find::is_ours(network)? {
        true => Ok(()),
        false => Err(io::Error::other("the thread is still in another network namespace")),
    }
}

/// Makes the namespace forward, and answer for addresses besides its own.
///
/// `local` addresses are answered for on every interface (`proxy_arp`), at once instead of after the
/// usual random delay, and nobody is told a shorter way around the front.
pub(super) async fn set_up(local: Option<Ipv4Net>) -> io::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    for interface in fs::read_dir("/proc/sys/net/ipv4/conf")? {
        let interface = interface?;
        for (setting, value) in [("proxy_arp", "1"), ("send_redirects", "0"), ("rp_filter", "0")] {
            fs::write(interface.path().join(setting), value)?;
        }
        let delay = format!("/proc/sys/net/ipv4/neigh/{}/proxy_delay", interface.file_name().to_string_lossy());
        // There is no such setting for `all`.
        match fs::write(delay, "0") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match local {
        Some(local) => run("ip", &["route", "replace", "local", &local.to_string(), "dev", "lo"], "").await.map(drop),
        None => Ok(()),
    }
}

/// Tells whether an address is one of the namespace's own by now: a container's interface comes a
/// moment after its process.
pub(super) fn has_address(address: Ipv4Addr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Runs a program in the namespace of the calling thread and hands it a text; returns what it printed.
pub(super) async fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), format!("the program `{program}` is not installed")),
            _ => error,
        })?;
    let mut stdin = child.stdin.take().expect("the child has a pipe");
    // A child that ends early says why on its error output; a broken pipe would hide it.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let text = String::from_utf8_lossy(&output.stderr);
            let first = text.lines().next().unwrap_or("it gave no reason").to_owned();
            Err(io::Error::other(format!("`{program}` failed: {first}")))
        }
    }
}
