//! The loop: wake, read, plan, audit, start steps, publish. It decides nothing that the core can decide.
//!
//! One task owns all state; everything else (Git, steps, probes, requests) sends it events. An event
//! says that something happened, never what to do about it: every turn looks at the whole anew, so a
//! missed event costs time and nothing else.

mod answer;
mod application;
mod clock;
mod configure;
mod decide;
mod error;
mod external;
mod files;
mod look;
mod network;
mod note;
mod patience;
pub mod protocol;
mod publish;
mod publisher;
mod reading;
mod repository;
mod request;
mod round;
mod setup;
mod share;
mod shown;
mod socket;
mod standing;
mod task;
mod turn;
mod view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use crate::config::{Application, Configured};
use crate::desired::Installation;
use crate::docker::Docker;
use crate::git::{Source, Watching};
use crate::host::{Outcome, Step};
use crate::metric::Metrics;
use crate::name::Name;
use crate::observed::{Live, Traffic};
use crate::plan::{Claims, Health, Plan};
use crate::probe::{Asker, Prober};
use crate::reconcile::Reconciler;
use crate::serve;
use crate::store::{self, Store};
use crate::time::Time;

use answer::{Reply, Waiter};
use application::{App, Loaded, Wanted};
use clock::Clock;
use protocol::{Answer, Request};
use publisher::Publisher;
use reading::{Reading, Unread};
use repository::{Asked, News, Place, Repository};
use share::Orphan;
use socket::Socket;
use task::Bounds;

pub use error::Error;
pub use external::read as read_external;
pub use setup::Prepared;
pub use view::{Snapshot, Standing, View};

/// With something under way the host is looked at this often, beside events: time itself makes things
/// ready, due or overdue.
const BUSY: Duration = Duration::from_millis(250);
/// While something only waits, time may end the wait.
const WAITING: Duration = Duration::from_secs(2);
/// With nothing under way everything is read this often, in case an event was lost.
const IDLE: Duration = Duration::from_secs(300);

/// So many revisions are read and checked at once: the work of a core, and the memory of a revision, each.
const LOADS: usize = 4;

/// What an agent works with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state folder.
    pub state: PathBuf,
    /// The socket for the command line; none if it works for one request only.
    pub socket: Option<PathBuf>,
    /// The installation.
    pub installation: Installation,
    /// The engine's address; by default as the Docker client finds it.
    pub docker: Option<String>,
    /// The host's name, for reports.
    pub host: String,
    /// The data path.
    pub serve: serve::Options,
    /// What is kept.
    pub applications: Vec<Application>,
}

/// What wakes the loop.
#[derive(Debug)]
enum Event {
    /// The source of an application may have changed.
    Look(Name),
    /// A repository was fetched, or could not be, by the fetch of that number.
    Fetched(Place, u64, Vec<(Asked, News)>),
    /// A revision was loaded for an application as it was configured then, or could not be.
    Loaded(Box<Application>, Wanted, Loaded),
    /// Something happened on the engine.
    Docker,
    /// A snapshot was taken, or could not be.
    Read(Result<Box<Live>, Unread>),
    /// A step's turn has come.
    Began(Step),
    /// A step ended.
    Ended(Name, Step, Outcome, Duration),
    /// A probe decided something, or the data path acknowledged something.
    Poked,
    /// Somebody asks.
    Ask(Request, Reply),
    /// The configuration was read again.
    Configured(Configured),
}

/// The agent.
pub struct Agent {
    options: Options,
    docker: Docker,
    store: Store,
    publisher: Publisher,
    prober: Prober,
    bounds: Bounds,
    apps: Vec<App>,
    repositories: Vec<Repository>,
    /// Applications that are no longer configured.
    orphans: Vec<Orphan>,
    /// What each application does not get because another has it, and whether it waits for others to be read.
    claims: Vec<Claims>,
    waits: Vec<bool>,
    /// So many revisions are read and checked at once.
    loads: Arc<Semaphore>,
    /// How many fetches have begun; each is known by its number.
    fetches: u64,
    events: UnboundedReceiver<Event>,
    sender: UnboundedSender<Event>,
    /// The last snapshot, and whether it may be past.
    live: Option<Arc<Live>>,
    stale: bool,
    /// The snapshot that was last planned with.
    planned_with: Option<Arc<Live>>,
    /// What is still to be written into histories.
    diary: Vec<(Name, store::Event)>,
    read_at: Instant,
    reading: Reading,
    clock: Clock,
    /// Why the engine cannot be read, if it cannot.
    away: Option<Vec<String>>,
    /// Steps are started; not so while a question is answered without a running agent.
    acts: bool,
    running: BTreeMap<(Name, String), AbortHandle>,
    waiters: Vec<Waiter>,
    /// Questions, and the snapshot that each is answered with.
    questions: Vec<(Request, Reply, u64)>,
    /// What others read, and what is counted for them.
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// Somebody read it after the last turn.
    told: bool,
    metrics: Arc<Metrics>,
    /// What is configured, and why a later configuration was refused.
    configured: Vec<Application>,
    /// How often the data path had to load the rules of fronts again, as far as that was told.
    mended: (u32, BTreeMap<String, u64>),
    misconfigured: Vec<String>,
    watches: Vec<Watching>,
    _socket: Option<Socket>,
}

impl Agent {
    /// Connects to everything. The caller holds the lock of the state folder. With `acts` unset nothing
    /// is changed until a request asks for it.
    pub async fn open(options: Options, acts: bool) -> Result<Agent, Error> {
        let metrics: Arc<Metrics> = Arc::default();
        let docker = Docker::connect(options.docker.as_deref(), &options.installation).await.map_err(|source| Error::Docker { source })?;
        let docker = docker.timed_in(metrics.clone());
        let store = open_store(&options).await?;
        let (sender, events) = unbounded_channel();
        let poke = |sender: &UnboundedSender<Event>| {
            let sender = sender.clone();
            move || drop(sender.send(Event::Poked))
        };
        let folder = options.serve.folder.clone();
        let publisher = Publisher::open(options.serve.clone(), poke(&sender)).map_err(|source| Error::Folder { path: folder, source })?;
        let prober = Prober::new(asker(&docker), poke(&sender));
        let applications: Vec<Application> =
            options.applications.iter().map(|application| application.clone().below(&options.state)).collect();
        let (repositories, places) =
            repository::group(&applications, |location, auth| Source::new(&options.state, location.clone(), auth.clone()));
        let mut apps = Vec::new();
        for (config, place) in applications.iter().zip(places) {
            let record = store.load(&config.name).await.map_err(|source| Error::Store { source })?;
            apps.push(new_app(
                config.clone(),
                repositories[place].source.clone(),
                place,
                Reconciler::new(record, Traffic::default(), now()),
            ));
        }
        // All are due; the first turn looks.
        let _ = sender.send(Event::Poked);
        let socket = options.socket.as_ref().map(|path| Socket::open(path, sender.clone())).transpose()?;
        let listening = docker.events().await;
        tokio::spawn(pass_on(listening, sender.clone()));
        let mut agent = Agent {
            docker,
            store,
            publisher,
            prober,
            bounds: Bounds::new(),
            apps,
            repositories,
            orphans: Vec::new(),
            claims: Vec::new(),
            waits: Vec::new(),
            loads: Arc::new(Semaphore::new(LOADS)),
            fetches: 0,
            events,
            sender,
            live: None,
            stale: true,
            planned_with: None,
            diary: Vec::new(),
            read_at: Instant::now(),
            reading: Reading::default(),
            clock: Clock::new(now(), Instant::now()),
            away: None,
            acts,
            running: BTreeMap::new(),
            waiters: Vec::new(),
            questions: Vec::new(),
            snapshot: watch::Sender::default(),
            told: false,
            metrics,
            configured: applications,
            mended: Default::default(),
            misconfigured: Vec::new(),
            watches: Vec::new(),
            _socket: socket,
            options,
        };
        agent.watch_sources();
        Ok(agent)
    }

    /// Runs until `stop` is done. Steps that run then are carried out by the engine all the same.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tracing::info!(owner = %self.options.installation.owner, engine = self.docker.url(), applications = self.apps.len(), "the agent runs");
        tokio::pin!(stop);
        loop {
            let pause = self.pause();
            tokio::select! {
                // Both are safe to drop half-way: a channel keeps what was not received.
                event = self.events.recv() => {
                    let Some(event) = event else { return };
                    // While the host is read anyway, more news of it change nothing.
                    let mut matters = !(matches!(event, Event::Docker) && self.reading.runs());
                    self.take(event).await;
                    while let Ok(event) = self.events.try_recv() {
                        matters |= !matches!(event, Event::Docker);
                        self.take(event).await;
                    }
                    if !matters {
                        continue;
                    }
                }
                () = tokio::time::sleep(pause) => {}
                () = &mut stop => return self.write(Instant::now()).await,
            }
            self.turn().await;
        }
    }

    /// Answers one request without a running agent: nothing listens, and when it is answered nothing
    /// goes on.
    pub async fn answer(mut self, request: Request, reply: UnboundedSender<Answer>) {
        self.acts = matches!(request, Request::Apply { .. } | Request::Rollback { .. });
        let finished = reply.clone();
        let _ = self.sender.send(Event::Ask(request, reply));
        self.run(async move {
            // The loop drops the reply when the request is answered; ours is the last one then.
            while finished.strong_count() > 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Returns how long nothing has to be looked at.
    fn pause(&self) -> Duration {
        let moves = |app: &App| match &app.plan {
            Some(plan) => !plan.steps.is_empty() || plan.health() == Health::Progressing,
            // One that was refused from the first waits for a commit.
            None => app.looks == 0 || app.head.is_some(),
        };
        if self.stale || self.reading.runs() || !self.running.is_empty() || !self.waiters.is_empty() || self.apps.iter().any(moves) {
            return BUSY;
        }
        let unwritten = self.apps.iter().any(|app| app.unwritten.is_some() || app.unpublished.is_some());
        let tries_again = unwritten || self.publisher.has_to_copy();
        let ends = self.apps.iter().flat_map(|app| app.reconciler.observed().record.overrides.values()).map(|over| over.until.since(now()));
        let idle = ends.fold(IDLE.saturating_sub(self.read_at.elapsed()), Duration::min);
        match self.apps.iter().filter_map(|app| app.plan.as_ref()).all(Plan::is_converged) && !tries_again {
            true => idle.max(BUSY),
            false => WAITING,
        }
    }
}

/// Opens the record. Without a disk to keep it on the agent works all the same: losing the record
/// costs neither data nor availability.
async fn open_store(options: &Options) -> Result<Store, Error> {
    match Store::open(&options.state.join("driftless.db")).await {
        Ok((store, damaged)) => {
            if let Some(damaged) = damaged {
                tracing::warn!(set_aside = %damaged.set_aside.display(), reason = damaged.reason, "the record was damaged; a new one is begun, and nothing is recreated for that");
            }
            Ok(store)
        }
        Err(error) => {
            tracing::error!(error = %application::chain(&error).join(": "), "the record cannot be kept; it is lost with this process");
            Store::in_memory().map_err(|source| Error::Store { source })
        }
    }
}

fn new_app(config: Application, source: Source, repository: usize, reconciler: Reconciler) -> App {
    for file in config.auth.exposed() {
        tracing::warn!(application = %config.name, file = %file.display(), "every user of this host can read this secret file: take that right away with `chmod o-r`");
    }
    App {
        config,
        source,
        repository,
        head: None,
        refused: None,
        print: None,
        moved: None,
        trouble: None,
        earlier: None,
        lost: None,
        reconciler,
        reread: false,
        restored: false,
        plan: None,
        seen: None,
        loading: None,
        look_again: false,
        reading: None,
        external: String::new(),
        outdated: false,
        looked: None,
        touched: true,
        unsaved: false,
        retained: Default::default(),
        unwritten: None,
        unpublished: None,
        audit: Vec::new(),
        healed: Vec::new(),
        wants: Default::default(),
        shown: Default::default(),
        looks: 0,
        fetch: 0,
        fetched: 0,
    }
}

fn asker(docker: &Docker) -> Asker {
    let docker = docker.clone();
    Asker::new(Arc::new(move |container, command, limit| {
        let docker = docker.clone();
        Box::pin(async move { docker.exec(&container, &command, limit).await.map_err(|error| application::chain(&error).join(": ")) })
    }))
}

async fn pass_on(mut listening: tokio::sync::mpsc::Receiver<crate::docker::Event>, sender: UnboundedSender<Event>) {
    while listening.recv().await.is_some() {
        if sender.send(Event::Docker).is_err() {
            return;
        }
    }
}

/// Returns the wall clock's time, which is what labels and the engine speak in.
fn now() -> Time {
    Time(jiff::Timestamp::now().as_millisecond())
}
