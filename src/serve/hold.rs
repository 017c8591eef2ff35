//! Held connections: what comes while no replica is ready waits for one, and is then relayed.
//!
//! A relayed connection goes on, whatever is published later. Nothing is read from a client before a
//! replica has accepted, so a client that is refused has lost nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::desired::Protocol;

use super::State;

/// The most connections that wait for one address and port.
const LIMIT: usize = 1_024;

/// The pause between tries to reach a replica that does not accept yet.
const RETRY: Duration = Duration::from_millis(50);

/// How long one try may take; a replica is on the same host, so a lost packet is the only reason.
const TRY: Duration = Duration::from_secs(1);

/// The held connections of one front.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    front: String,
    state: State,
    turn: Arc<AtomicUsize>,
    waiting: Arc<Mutex<BTreeMap<SocketAddrV4, usize>>>,
    relayed: Arc<Mutex<BTreeMap<Ipv4Addr, u64>>>,
}

impl Hold {
    /// Returns the held connections of a front, of which there are none yet.
    pub(super) fn new(front: &str, state: State) -> Self {
        Hold { front: front.to_owned(), state, turn: Arc::default(), waiting: Arc::default(), relayed: Arc::default() }
    }

    /// Returns how many relayed connections a replica's address has.
    pub(super) fn relayed(&self, address: Ipv4Addr) -> u64 {
        lock(&self.relayed).get(&address).copied().unwrap_or(0)
    }

    /// Takes in connections until the front ends.
    pub(super) async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((client, _)) => {
                    let hold = self.clone();
                    tokio::spawn(async move { hold.serve(client).await });
                }
                // Out of file descriptors, most likely: those that end give theirs back.
                Err(error) => {
                    tracing::warn!(front = self.front, "failed to accept a connection: {error}");
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn serve(&self, mut client: TcpStream) {
        let Some(service) = original(&client) else { return refuse(&client) };
        let Some(waits) = Waits::begin(&self.waiting, service) else { return refuse(&client) };
        let Some((mut replica, relays)) = self.connect(service).await else { return refuse(&client) };
        drop(waits);
        let _ = (client.set_nodelay(true), replica.set_nodelay(true));
        if tokio::io::copy_bidirectional(&mut client, &mut replica).await.is_err() {
            // One side broke off; the other shall not take it for an orderly end.
            refuse(&client);
            refuse(&replica);
        }
        drop(relays);
    }

    /// Waits until a replica accepts; `None` if none does in time, or none is awaited.
    async fn connect(&self, service: SocketAddrV4) -> Option<(TcpStream, Relays)> {
        let began = Instant::now();
        let mut state = self.state.clone();
        loop {
            let (target, deadline) = {
                let published = state.borrow_and_update();
                let front = published.as_ref()?.fronts.iter().find(|front| front.name == self.front)?;
                let port = front.port(Protocol::Tcp, *service.ip(), service.port())?;
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let target = port.targets.get(turn.checked_rem(port.targets.len()).unwrap_or(0)).copied();
                (target, began + port.hold)
            };
            match target {
                None => timeout_at(deadline, state.changed()).await.ok()?.ok()?,
                Some(target) => {
                    // Counted from here on: a replica that leaves now has not drained.
                    let relays = Relays::begin(&self.relayed, *target.ip());
                    if let Ok(Ok(replica)) = timeout(TRY, TcpStream::connect(target)).await {
                        return Some((replica, relays));
                    }
                    drop(relays);
                    if Instant::now() + RETRY > deadline {
                        return None;
                    }
                    sleep(RETRY).await;
                }
            }
        }
    }
}

/// Returns where a client wanted to connect to, before it was led here.
fn original(client: &TcpStream) -> Option<SocketAddrV4> {
    SockRef::from(client).original_dst_v4().ok()?.as_socket_ipv4()
}

/// Makes the connection end by a reset when it is dropped.
fn refuse(stream: &TcpStream) {
    let reset: io::Result<()> = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    if let Err(error) = reset {
        tracing::debug!("failed to reset a connection: {error}");
    }
}

/// A connection that waits.
struct Waits {
    waiting: Arc<Mutex<BTreeMap<SocketAddrV4, usize>>>,
    service: SocketAddrV4,
}

impl Waits {
    fn begin(waiting: &Arc<Mutex<BTreeMap<SocketAddrV4, usize>>>, service: SocketAddrV4) -> Option<Self> {
        let mut counts = lock(waiting);
        let count = counts.entry(service).or_default();
        if *count >= LIMIT {
            return None;
        }
        *count += 1;
        Some(Waits { waiting: waiting.clone(), service })
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut counts = lock(&self.waiting);
        if let Some(count) = counts.get_mut(&self.service) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.service);
            }
        }
    }
}

/// A connection that is relayed, or about to be.
struct Relays {
    relayed: Arc<Mutex<BTreeMap<Ipv4Addr, u64>>>,
    address: Ipv4Addr,
}

impl Relays {
    fn begin(relayed: &Arc<Mutex<BTreeMap<Ipv4Addr, u64>>>, address: Ipv4Addr) -> Self {
        *lock(relayed).entry(address).or_default() += 1;
        Relays { relayed: relayed.clone(), address }
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        let mut counts = lock(&self.relayed);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// The counts are whole after every change, so a panic elsewhere leaves them good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
