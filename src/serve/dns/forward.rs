//! Forwards a message as it is to the host's own name servers, and their answer as it is to the
//! client.
//!
//! Forwarding happens in the host's namespace, because the host's server may be on its loopback. The
//! servers are read anew when `/etc/resolv.conf` changes. A server that would ask us in turn is found
//! out and not asked.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::super::Options;
use super::{PORT, UDP_SIZE, message, read, write};

/// How long one server may take; a client's own first wait is five seconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// At most so many servers are asked, as the C library does (resolv.conf(5), MAXNS).
const SERVERS: usize = 3;

/// How long it is believed that a server does not ask us in turn.
const TRUST: Duration = Duration::from_secs(60);

/// Forwards messages.
#[derive(Debug, Clone)]
pub(super) struct Forwarder {
    runtime: Handle,
    ourselves: SocketAddr,
    resolv_conf: PathBuf,
    marker: Arc<str>,
    servers: Arc<Mutex<Servers>>,
}

#[derive(Debug, Default)]
struct Servers {
    changed: Option<SystemTime>,
    addresses: Vec<SocketAddr>,
    checked: BTreeMap<SocketAddr, Checked>,
}

#[derive(Debug, Clone, Copy)]
struct Checked {
    at: Instant,
    loops: bool,
}

impl Forwarder {
    /// Returns a forwarder that opens its sockets in the calling runtime.
    pub(super) fn new(options: &Options) -> Self {
        Forwarder {
            runtime: Handle::current(),
            ourselves: options.dns,
            resolv_conf: options.resolv_conf.clone(),
            marker: marker().into(),
            servers: Arc::default(),
        }
    }

    /// Returns a name that nobody but us asks for: whoever brings it asks us what we ask it.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// Returns the first answer of the host's servers; `None` if none answers.
    pub(super) async fn forward(&self, message: Vec<u8>, tcp: bool) -> Option<Vec<u8>> {
        let forwarder = self.clone();
        self.runtime.spawn(async move { forwarder.ask_all(&message, tcp).await }).await.ok().flatten()
    }

    async fn ask_all(&self, message: &[u8], tcp: bool) -> Option<Vec<u8>> {
        for server in self.addresses() {
            let asked = async {
                match self.loops(server).await? {
                    true => Err(io::Error::other("it forwards to us")),
                    false => ask(server, message, tcp).await,
                }
            };
            match asked.await {
                Ok(answer) => return Some(answer),
                Err(error) => tracing::debug!(%server, "failed to forward a question: {error}"),
            }
        }
        None
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let changed = fs::metadata(&self.resolv_conf).and_then(|metadata| metadata.modified()).ok();
        let mut servers = self.servers();
        if servers.changed != changed {
            let text = fs::read_to_string(&self.resolv_conf).unwrap_or_default();
            let addresses = parse(&text).into_iter().filter(|address| *address != self.ourselves).collect();
            *servers = Servers { changed, addresses, checked: BTreeMap::new() };
        }
        servers.addresses.clone()
    }

    /// Tells whether a server forwards to us what we forward to it, by asking it for our marker.
    async fn loops(&self, server: SocketAddr) -> io::Result<bool> {
        let known = self.servers().checked.get(&server).copied();
        if let Some(known) = known.filter(|known| known.at.elapsed() < TRUST) {
            return Ok(known.loops);
        }
        let answer = ask(server, &message::question(&self.marker)?, false).await?;
        let loops = message::is_answer(&answer);
        if loops {
            tracing::error!(%server, "the host's name server forwards to us what it cannot answer; it is not asked any more");
        }
        self.servers().checked.insert(server, Checked { at: Instant::now(), loops });
        Ok(loops)
    }

    /// The lists are whole after every change, so a panic elsewhere leaves them good.
    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a name that cannot be guessed, below no domain that exists.
fn marker() -> String {
    let mut bytes = [0; 12];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => format!("{0}.{0}", hex::encode(bytes)),
        // It only has to differ from other installations' on the way.
        Err(_) => format!("{0}.{0}", std::process::id()),
    }
}

async fn ask(server: SocketAddr, message: &[u8], tcp: bool) -> io::Result<Vec<u8>> {
    let asked = async {
        match tcp {
            true => ask_tcp(server, message).await,
            false => ask_udp(server, message).await,
        }
    };
    timeout(TIMEOUT, asked).await?
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
