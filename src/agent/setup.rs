//! From flags to an agent that can work: the state folder and its lock, the owner, the applications.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::config::state::{Lock, State};
use crate::config::{Application, Configured, Flags};
use crate::desired::{Installation, Layout};
use crate::docker::Docker;
use crate::name::Name;
use crate::serve;

use super::protocol::{Answer, Request};
use super::{Agent, Error, Event, Options, View, network};

/// An agent that was not started yet. It holds the lock of the state folder.
#[derive(Debug)]
pub struct Prepared {
    options: Options,
    pool: Ipv4Net,
    lock: Lock,
}

impl Prepared {
    /// Opens the state folder, takes its lock and settles the owner. `holder` says who holds the lock, for
    /// others who want it.
    pub async fn new(flags: &Flags, mut applications: Vec<Application>, holder: &str) -> Result<Prepared, Error> {
        let mut state = State::open(&flags.state).map_err(|source| Error::State { source })?;
        let lock = state.lock(holder).map_err(|source| Error::State { source })?;
        let installation = installation(flags, &mut state).await?;
        flags.apply_policies(&mut applications);
        let options = Options {
            state: flags.state.clone(),
            socket: None,
            serve: serve::Options::new(installation.owner.clone(), &flags.state, flags.dns),
            installation,
            docker: flags.docker.clone(),
            host: flags.host(),
            applications,
        };
        Ok(Prepared { options, pool: flags.network_pool, lock })
    }

    /// Returns what the agent works with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Runs the agent, with a socket for the command line, until `stop` is done. `configured` brings later
    /// configurations. `show` is given what others may read of it; what it returns is dropped at the end.
    pub async fn run<T>(
        mut self,
        flags: &Flags,
        configured: watch::Receiver<Configured>,
        show: impl FnOnce(View) -> T,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        self.choose_addresses().await?;
        let Prepared { options, lock, .. } = self;
        let options = Options { socket: Some(flags.socket()), ..options };
        let agent = Agent::open(options, true).await?;
        let passing_on = tokio::spawn(pass_on(configured, agent.sender.clone()));
        let shown = show(agent.view());
        agent.run(stop).await;
        passing_on.abort();
        drop(shown);
        drop(lock);
        Ok(())
    }

    /// Answers one request by itself; the answers end with the last one.
    pub async fn ask(mut self, request: Request) -> Result<UnboundedReceiver<Answer>, Error> {
        self.choose_addresses().await?;
        let Prepared { options, lock, .. } = self;
        let agent = Agent::open(options, false).await?;
        let (reply, answers) = unbounded_channel();
        tokio::spawn(async move {
            agent.answer(request, reply).await;
            drop(lock);
        });
        Ok(answers)
    }

    /// Chooses the addresses of the installation's network, and refuses what another installation or
    /// program already has.
    async fn choose_addresses(&mut self) -> Result<(), Error> {
        let options = &mut self.options;
        let docker = Docker::connect(options.docker.as_deref(), &options.installation).await.map_err(|source| Error::Docker { source })?;
        let live = docker.read().await.map_err(|source| Error::Docker { source })?;
        let layout = network::choose(self.pool, &options.installation.owner, &live, &network::routes());
        options.installation.layout = Layout { pool: self.pool, ..layout.map_err(|source| Error::Network { source })? };
        if serve::running(&options.serve).is_none() {
            let dns = options.serve.dns;
            std::net::UdpSocket::bind(dns).map_err(|source| Error::Dns { address: dns, source })?;
        }
        Ok(())
    }
}

async fn pass_on(mut configured: watch::Receiver<Configured>, sender: UnboundedSender<Event>) {
    while configured.changed().await.is_ok() {
        let _ = sender.send(Event::Configured(configured.borrow_and_update().clone()));
    }
}

/// Settles who this installation is. Only if neither a flag nor the state folder says so is the engine
/// asked: with a lost state folder the only owner found there is taken.
async fn installation(flags: &Flags, state: &mut State) -> Result<Installation, Error> {
    let of =
        |owner: Name, state: &State| Installation { owner, domain: flags.zone.clone(), layout: flags.layout(), key: state.key.clone() };
    let known = match flags.owner.is_some() || state.has_owner() {
        true => BTreeSet::new(),
        false => {
            let nobody = Name::try_from("nobody").expect("it is a name");
            let docker = Docker::connect(flags.docker.as_deref(), &of(nobody, state)).await.map_err(|source| Error::Docker { source })?;
            docker.owners().await.map_err(|source| Error::Docker { source })?
        }
    };
    let owner = state.settle_owner(flags.owner.as_ref(), &known).map_err(|source| Error::State { source })?;
    Ok(of(owner, state))
}
