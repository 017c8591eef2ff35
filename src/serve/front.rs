//! Keeps every published front served, across its restarts.
//!
//! A front is a container; its process is found by the container's id and watched. In its namespace
//! one thread holds the sockets and loads the rules. When the container starts anew, so does the
//! thread, from the last published state and without anybody asking.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::desired::Protocol;
use crate::traffic::{FrontPort, FrontState, Published};

use super::acknowledge::{Counted, Phase, Report};
use super::dns::{self, Resolver};
use super::find::{self, End, Process};
use super::hold::Hold;
use super::rules::{HOLD_PORT, rules};
use super::touched::Changes;
use super::{Error, State, connection, namespace};

/// The first and the longest pause between looks for a front's process.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The pause between looks for the front's address, which comes a moment after its process.
const ADDRESS: Duration = Duration::from_millis(5);

/// When the address is late enough to be reported.
const ADDRESS_LATE: Duration = Duration::from_secs(5);

/// The pause after a front could not be served.
const RETRY: Duration = Duration::from_secs(1);

/// How often connections of replicas that left are counted.
const COUNT: Duration = Duration::from_secs(1);

type Reports = mpsc::UnboundedSender<Report>;

/// Keeps every published front served.
pub(super) async fn keep_all(mut state: State, resolver: Resolver, reports: Reports) {
    let mut tasks = JoinSet::new();
    let mut kept = BTreeSet::new();
    loop {
        let names: Vec<String> = state.borrow_and_update().iter().flat_map(|published| names(published)).collect();
        for name in names {
            if kept.insert(name.clone()) {
                let keeper = Keeper { name, state: state.clone(), resolver: resolver.clone(), reports: reports.clone() };
                tasks.spawn(keeper.keep());
            }
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            Some(ended) = tasks.join_next() => if let Ok(name) = ended { kept.remove(&name); },
        }
    }
}

fn names(published: &Published) -> Vec<String> {
    published.fronts.iter().map(|front| front.name.clone()).collect()
}

fn front(state: &Option<Arc<Published>>, name: &str) -> Option<FrontState> {
    state.as_ref()?.fronts.iter().find(|front| front.name == name).cloned()
}

/// Keeps one front served.
struct Keeper {
    name: String,
    state: State,
    resolver: Resolver,
    reports: Reports,
}

impl Keeper {
    /// Ends, with the front's name, when it is no longer published.
    async fn keep(mut self) -> String {
        let mut pause = LOOK.0;
        loop {
            let Some(front) = front(&self.state.borrow_and_update().clone(), &self.name) else { return self.name };
            let absent = match &front.container {
                None => "its container was not created yet".to_owned(),
                Some(container) => match look(container).await {
                    Ok(Some(process)) => {
                        pause = LOOK.0;
                        self.serve(&front, process).await;
                        continue;
                    }
                    Ok(None) => "its container does not run".to_owned(),
                    Err(source) => Error::Enter { front: self.name.clone(), source }.line(),
                },
            };
            self.report(Phase::Absent(absent));
            let _ = timeout(pause, self.state.changed()).await;
            pause = (pause * 2).min(LOOK.1);
        }
    }

    /// Serves one start of the front's container; returns when it is over.
    async fn serve(&mut self, served: &FrontState, process: Process) {
        self.report(Phase::Starting);
        let pid = process.pid;
        let ended = match End::watch(process.ended) {
            Ok(ended) => ended,
            Err(error) => {
                self.report(Phase::Failed { pid, error: error.to_string() });
                return sleep(RETRY).await;
            }
        };
        let inside = Inside {
            name: self.name.clone(),
            pid,
            state: self.state.clone(),
            resolver: self.resolver.clone(),
            hold: Hold::new(&self.name, self.state.clone()),
            reports: self.reports.clone(),
        };
        let (stop, stopped) = oneshot::channel();
        let (result, mut over) = oneshot::channel();
        // A thread that was in a front's namespace cannot be used for anything else again.
        let thread = std::thread::Builder::new().name(format!("front {pid}"));
        let network = process.network;
        if let Err(error) = thread.spawn(move || drop(result.send(inside.run(&network, stopped)))) {
            self.report(Phase::Failed { pid, error: error.to_string() });
            return sleep(RETRY).await;
        }
        let replaced = async {
            let same = |published: &Option<Arc<Published>>| front(published, &self.name).is_some_and(|front| same_place(&front, served));
            let _ = self.state.wait_for(|published| !same(published)).await;
        };
        tokio::select! {
            () = ended.wait() => {}
            () = replaced => {}
            result = &mut over => {
                if let Ok(Err(error)) = result {
                    tracing::error!(front = self.name, "{}", error.line());
                    let phase = match &error {
                        Error::Enter { .. } => Phase::Absent(error.line()),
                        _ => Phase::Failed { pid, error: error.line() },
                    };
                    self.report(phase);
                }
                return sleep(RETRY).await;
            }
        }
        self.report(Phase::Starting);
        drop(stop);
        let _ = over.await;
    }

    fn report(&self, phase: Phase) {
        let _ = self.reports.send(Report::Front(self.name.clone(), phase));
    }
}

/// Tells whether the namespace needs nothing but other rules.
fn same_place(one: &FrontState, other: &FrontState) -> bool {
    FrontState { ports: Vec::new(), ..one.clone() } == FrontState { ports: Vec::new(), ..other.clone() }
}

async fn look(container: &str) -> std::io::Result<Option<Process>> {
    let container = container.to_owned();
    tokio::task::spawn_blocking(move || find::find(&container)).await.unwrap_or(Ok(None))
}

/// Waits until somebody else has changed rules, but not before a point in time: who changes them all the time is not
/// fought at full speed.
async fn other_change(changes: Option<&Changes>, earliest: Instant) {
    let Some(changes) = changes else { return std::future::pending().await };
    if changes.next().await.is_err() {
        return std::future::pending().await;
    }
    sleep_until(earliest).await;
}

/// What runs inside a front's namespace, on a thread of its own.
struct Inside {
    name: String,
    pid: u32,
    state: State,
    resolver: Resolver,
    hold: Hold,
    reports: Reports,
}

impl Inside {
    fn run(self, network: &File, stopped: oneshot::Receiver<()>) -> Result<(), Error> {
        namespace::enter(network).map_err(|source| Error::Enter { front: self.name.clone(), source })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(self.failed("start a runtime"))?;
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => Ok(()),
                result = self.serve() => result,
            }
        })
    }

    async fn serve(&self) -> Result<(), Error> {
        let mut state = self.state.clone();
        let Some(first) = front(&state.borrow().clone(), &self.name) else { return Ok(()) };
        self.wait_for_address(first.address).await;
        namespace::set_up(first.local).await.map_err(self.failed("set up the network"))?;
        let listener = TcpListener::bind((first.address, HOLD_PORT)).await.map_err(self.failed("listen for connections to hold"))?;
        tokio::spawn(self.hold.clone().accept(listener));
        if first.dns {
            let sockets = dns::Sockets::bind((first.address, dns::PORT).into()).await.map_err(self.failed("listen for DNS"))?;
            tokio::spawn(sockets.serve(self.resolver.clone()));
        }
        let mut changes =
            Changes::watch().inspect_err(|error| tracing::warn!(front = self.name, "changes of rules are not seen: {error}")).ok();
        let (mut touched, mut mended) = (false, Instant::now() - RETRY);
        let mut count = interval(COUNT);
        count.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut applied = None;
        loop {
            let Some(published) = state.borrow_and_update().clone() else { return Ok(()) };
            let Some(front) = published.fronts.iter().find(|front| front.name == self.name) else { return Ok(()) };
            if touched || applied.as_ref() != Some(front) {
                let before = if touched { self.list().await } else { None };
                if let Err(error) = self.apply(applied.as_ref(), front).await {
                    self.report(Report::Front(self.name.clone(), Phase::Failed { pid: self.pid, error: error.line() }));
                    let _ = timeout(RETRY, state.changed()).await;
                    continue;
                }
                applied = Some(front.clone());
                if std::mem::take(&mut touched) && before != self.list().await {
                    mended = Instant::now();
                    tracing::warn!(front = self.name, "somebody has changed the kernel rules of the front; they are loaded again");
                    self.report(Report::Mended(self.name.clone()));
                }
                changes = changes.and_then(|mut changes| changes.settle().is_ok().then_some(changes));
            }
            let phase = Phase::Applied { pid: self.pid, generation: published.generation };
            self.report(Report::Front(self.name.clone(), phase));
            let left: BTreeSet<Ipv4Addr> = published.left.values().flat_map(|left| left.addresses.iter().copied()).collect();
            loop {
                tokio::select! {
                    changed = state.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return Ok(()),
                    },
                    () = other_change(changes.as_ref(), mended + RETRY) => {
                        touched = true;
                        break;
                    }
                    _ = count.tick(), if !left.is_empty() => self.count(published.generation, left.clone()).await,
                }
            }
        }
    }

    /// Returns the rules that the front has, in the kernel's words.
    async fn list(&self) -> Option<Vec<u8>> {
        namespace::run("nft", &["list", "table", "ip", "driftless"], "").await.ok()
    }

    async fn wait_for_address(&self, address: Ipv4Addr) {
        let began = Instant::now();
        while !namespace::has_address(address) {
            if began.elapsed() < ADDRESS_LATE {
                sleep(ADDRESS).await;
                continue;
            }
            let error = format!("its address {address} is not there");
            self.report(Report::Front(self.name.clone(), Phase::Failed { pid: self.pid, error }));
            sleep(RETRY).await;
        }
    }

    async fn apply(&self, before: Option<&FrontState>, front: &FrontState) -> Result<(), Error> {
        namespace::run("nft", &["-f", "-"], &rules(front)).await.map_err(self.failed("load the rules"))?;
        let udp =
            |front: &FrontState| -> Vec<FrontPort> { front.ports.iter().filter(|port| port.protocol == Protocol::Udp).cloned().collect() };
        if before.map(udp).unwrap_or_default() == udp(front) {
            return Ok(());
        }
        let front = front.clone();
        // A thread that is started here is in the same namespace.
        match tokio::task::spawn_blocking(move || connection::forget(&front)).await {
            Ok(forgotten) => forgotten.map_err(self.failed("delete old UDP flows")),
            Err(_) => Ok(()),
        }
    }

    async fn count(&self, generation: u64, left: BTreeSet<Ipv4Addr>) {
        let counted = tokio::task::spawn_blocking(move || connection::count(&left)).await;
        match counted {
            Ok(Ok(mut by_address)) => {
                for (address, count) in &mut by_address {
                    *count += self.hold.relayed(*address);
                }
                self.report(Report::Connections(self.name.clone(), Counted { generation, by_address }));
            }
            Ok(Err(error)) => tracing::warn!(front = self.name, "failed to count connections: {error}"),
            Err(_) => {}
        }
    }

    fn failed(&self, action: &str) -> impl FnOnce(std::io::Error) -> Error {
        let (action, front) = (action.to_owned(), self.name.clone());
        move |source| Error::Front { action, front, source }
    }

    fn report(&self, report: Report) {
        let _ = self.reports.send(report);
    }
}
