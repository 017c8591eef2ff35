//! Forwards a message as it is to the host's own name servers, and their answer as it is to the
//! client.
//!
//! Forwarding happens in the host's namespace, because the host's server may be on its loopback. The
//! servers are read anew when `/etc/resolv.conf` changes.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{PORT, UDP_SIZE, read, write};

/// How long one server may take; a client's own first wait is five seconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// At most so many servers are asked, as the C library does (resolv.conf(5), MAXNS).
const SERVERS: usize = 3;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Forwards messages.
#[derive(Debug, Clone)]
pub(super) struct Forwarder {
    runtime: Handle,
    ourselves: SocketAddr,
    servers: Arc<Mutex<Servers>>,
}

#[derive(Debug, Default)]
struct Servers {
    changed: Option<SystemTime>,
    addresses: Vec<SocketAddr>,
}

impl Forwarder {
    /// Returns a forwarder that opens its sockets in the calling runtime.
    pub(super) fn new(ourselves: SocketAddr) -> Self {
        Forwarder { runtime: Handle::current(), ourselves, servers: Arc::default() }
    }

    /// Returns the first answer of the host's servers; `None` if none answers.
    pub(super) async fn forward(&self, message: Vec<u8>, tcp: bool) -> Option<Vec<u8>> {
        let servers = self.servers();
        let asked = self.runtime.spawn(async move {
            for server in servers {
                let asked = timeout(TIMEOUT, async {
                    match tcp {
                        true => ask_tcp(server, &message).await,
                        false => ask_udp(server, &message).await,
                    }
                });
                match asked.await {
                    Ok(Ok(answer)) => return Some(answer),
                    Ok(Err(error)) => tracing::debug!(%server, "failed to forward a question: {error}"),
                    Err(_) => tracing::debug!(%server, "a forwarded question was not answered in time"),
                }
            }
            None
        });
        asked.await.ok().flatten()
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let changed = fs::metadata(RESOLV_CONF).and_then(|metadata| metadata.modified()).ok();
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if servers.changed != changed {
            servers.changed = changed;
            let text = fs::read_to_string(Path::new(RESOLV_CONF)).unwrap_or_default();
            servers.addresses = parse(&text);
            servers.addresses.retain(|address| *address != self.ourselves);
        }
        servers.addresses.clone()
    }
}

/// Reads the `nameserver` lines of resolv.conf(5).
fn parse(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    };
    text.lines().filter_map(address).map(|address| SocketAddr::new(address, PORT)).take(SERVERS).collect()
}

async fn ask_udp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A socket, and so a port, for each question: an answer is harder to forge.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; UDP_SIZE.max(usize::from(u16::MAX))];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // The first two bytes are the question's number.
        if length > 2 && buffer.get(..2) == message.get(..2) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, message).await?;
    read(&mut stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_c_library_does() {
        let text = "# nameserver 9.9.9.9\nsearch example.org\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # second\nnameserver x\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";
        let texts: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"]);
    }
}
