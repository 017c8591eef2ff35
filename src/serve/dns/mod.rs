//! DNS: answers the zone from memory and forwards everything else as it is.
//!
//! Two loops of our own, for UDP and for TCP, around a wire format library: a question about the zone
//! is answered where it is read, and a forwarded message keeps every bit that the client sent.

mod forward;
mod known;
mod message;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::acknowledge::Report;
use super::{Options, State};

use forward::Forwarder;
use known::Known;
use message::{Context, Reply};

/// Where a front answers.
pub(super) const PORT: u16 = 53;

/// The most that a UDP message may have (RFC 6891, section 6.2.5, allows it to be limited).
const UDP_SIZE: usize = 4_096;

/// The most questions that are being forwarded at a time, and the most TCP connections.
const LIMIT: usize = 1_024;

/// How long a TCP connection may be idle (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// The pause after a socket could not be opened or used.
const RETRY: Duration = Duration::from_secs(1);

/// Answers questions; shared by all sockets.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    state: State,
    forwarder: Forwarder,
    forwarding: Arc<Semaphore>,
}

impl Resolver {
    /// Returns a resolver that forwards from the calling runtime, whatever namespace asks.
    pub(super) fn new(state: State, options: &Options) -> Self {
        Resolver { state, forwarder: Forwarder::new(options), forwarding: Arc::new(Semaphore::new(LIMIT)) }
    }

    /// Answers a message: from what the same socket or stream knows, if it was asked before.
    fn reply(&self, known: &mut Known, message: &[u8], client: SocketAddr, limit: usize) -> Reply {
        let published = self.state.borrow().clone();
        // What others may know is not for everybody.
        let served = message::is_served(published.as_deref(), client.ip());
        if served && let Some(answer) = known.answer(published.as_ref(), message) {
            return Reply::Answer(answer);
        }
        let context = Context { published: published.as_deref(), marker: self.forwarder.marker() };
        let reply = message::reply(context, message, client.ip(), limit);
        if served && let Reply::Answer(answer) = &reply {
            known.keep(message, answer);
        }
        reply
    }

    /// Forwards a message, or answers that it failed.
    async fn forward(&self, message: &[u8], tcp: bool) -> Vec<u8> {
        match self.forwarder.forward(message.to_vec(), tcp).await {
            Some(answer) => answer,
            None => message::failure(message),
        }
    }
}

/// Answers on the host; tries again as long as its port is taken.
pub(super) async fn serve_host(address: SocketAddr, resolver: Resolver, reports: mpsc::UnboundedSender<Report>) {
    loop {
        match Sockets::bind(address).await {
            Ok(sockets) => {
                let _ = reports.send(Report::Dns(None));
                return sockets.serve(resolver).await;
            }
            Err(error) => {
                let _ = reports.send(Report::Dns(Some(format!("failed to listen for DNS on {address}: {error}"))));
                sleep(RETRY).await;
            }
        }
    }
}

/// One address, over UDP and TCP.
#[derive(Debug)]
pub(super) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Opens both sockets in the calling thread's namespace.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Sockets { udp: UdpSocket::bind(address).await?, tcp: TcpListener::bind(address).await? })
    }

    /// Answers for ever.
    pub(super) async fn serve(self, resolver: Resolver) {
        tokio::join!(serve_udp(Arc::new(self.udp), resolver.clone()), serve_tcp(self.tcp, resolver));
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, resolver: Resolver) {
    let mut buffer = vec![0; UDP_SIZE];
    let mut known = Known::default();
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // Also what an earlier answer met: a client that was gone. The next question is not
                // concerned.
                tracing::debug!("failed to receive a question: {error}");
                sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        let question = &buffer[..length];
        match resolver.reply(&mut known, question, client, UDP_SIZE) {
            Reply::Answer(answer) => drop(socket.send_to(&answer, client).await),
            Reply::Silence => {}
            Reply::Forward => {
                // Without a free place the client asks again.
                let Ok(place) = resolver.forwarding.clone().try_acquire_owned() else { continue };
                let (socket, resolver, question) = (socket.clone(), resolver.clone(), question.to_vec());
                tokio::spawn(async move {
                    let answer = resolver.forward(&question, false).await;
                    drop(socket.send_to(&answer, client).await);
                    drop(place);
                });
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Resolver) {
    let places = Arc::new(Semaphore::new(LIMIT));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                let resolver = resolver.clone();
                tokio::spawn(async move {
                    let _ = serve_stream(stream, client, resolver).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!("failed to accept a DNS connection: {error}");
                sleep(RETRY).await;
            }
        }
    }
}

async fn serve_stream(mut stream: TcpStream, client: SocketAddr, resolver: Resolver) -> io::Result<()> {
    let mut known = Known::default();
    loop {
        let Some(question) = timeout(IDLE, read(&mut stream)).await?? else { return Ok(()) };
        let answer = match resolver.reply(&mut known, &question, client, usize::from(u16::MAX)) {
            Reply::Answer(answer) => answer,
            Reply::Silence => return Ok(()),
            Reply::Forward => resolver.forward(&question, true).await,
        };
        write(&mut stream, &answer).await?;
    }
}

/// Reads a message with its length before it (RFC 1035, section 4.2.2); `None` at the orderly end.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}

/// Tells whether an address is this host's own.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
