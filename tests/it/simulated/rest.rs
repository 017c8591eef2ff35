//! An application at rest need not be planned, and none needs to see more of the host than its share.
//!
//! The simulator plans from an application's share of the host. Beside every turn of every world the same round is made
//! from the whole of a crowded host, and must be the very same; and if the application is at rest, it must be the last one again,
//! and change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftless::desired::{Desired, HostPort, Protocol};
use driftless::hash::ContentHash;
use driftless::host::Step;
use driftless::name::{Kind, ObjectId};
use driftless::observed::{Container, Debris, Field, Labels, Live, Network, Observed, Shares, State, Volume};
use driftless::plan::Plan;
use driftless::sim::{Run, Turn};

use super::build::{NETWORK, name};

/// What a turn must come out as.
pub struct Expected {
    desired: Arc<Desired>,
    plan: Plan,
    start: Vec<Step>,
    /// What is known before it, if the application is at rest.
    rests: Option<Observed>,
}

impl Expected {
    /// Makes the round that comes next from the whole host, on which there is another application, too.
    pub fn of(run: &Run) -> Self {
        let desired = run.desired.clone();
        let mut twin = run.reconciler().clone();
        twin.probed(run.host.probing());
        let (live, observed) = (run.seen(), twin.observed().clone());
        let crowded = crowded(&live);
        let (alone, among) = (Shares::of(&live), Shares::of(&crowded));
        let share = among.share(&desired.application, std::iter::once(&*desired), &observed);
        let alone = alone.share(&desired.application, std::iter::once(&*desired), &observed);
        assert!(share.is(&alone.to_live()), "what is only another's is part of a share");
        let rests = twin.rests(&desired, &run.claims, Some(&share)).then(|| observed.clone());
        assert!(rests.is_none() || twin.is_undisturbed());
        let round = twin.round(&desired, &run.claims, crowded.clone(), run.host.now());
        Expected { desired, plan: round.plan, start: round.start, rests }
    }

    /// Tells whether the application is at rest.
    pub fn is_at_rest(&self) -> bool {
        self.rests.is_some()
    }

    /// Compares the turn with what it must come out as; `last` is the plan of the turn before.
    pub fn compare(self, turn: &Turn, run: &Run, last: Option<&Plan>) {
        // The simulator has looked at an image meanwhile.
        if !Arc::ptr_eq(&self.desired, &run.desired) {
            return;
        }
        assert_eq!(self.plan, turn.plan, "the host leads to another plan than the share");
        let started: Vec<&Step> = turn.steps.iter().filter(|step| !matches!(step, Step::Join { .. } | Step::Withdraw { .. })).collect();
        assert_eq!(self.start.iter().collect::<Vec<_>>(), started);
        if let Some(known) = self.rests {
            assert_eq!(last, Some(&turn.plan), "the plan of an application at rest has changed");
            assert!(turn.steps.is_empty(), "an application at rest has steps: {:?}", turn.steps);
            let now = Observed { live: known.live.clone(), ..run.reconciler().observed().clone() };
            assert_eq!(known, now, "a round at rest has changed what is known");
        }
    }
}

/// Returns a host on which another application has something of everything, at both ends of each list.
fn crowded(live: &Live) -> Live {
    let Live { at, containers, networks, volumes, debris, images, made } = live.clone();
    let object = |kind, text: &str| ObjectId::new(name("neighbour"), kind, name(text));
    let labels = |object: ObjectId| Labels {
        owner: name("o1"),
        application: Some(name("neighbour")),
        object,
        container: String::new(),
        hash: None::<ContentHash>,
        created_revision: "n1".to_owned(),
        front: None,
    };
    let container = |number: u16| {
        let replica = object(Kind::Deployment, "next").with_replica(name(&format!("n{number}")));
        let connected = Field { value: "connected".to_owned(), inherited: false };
        let port = HostPort { address: None, host_port: 60_000 + number, container_port: 80, protocol: Protocol::Tcp };
        Container {
            id: format!("neighbour-{number}"),
            name: format!("neighbour_next_n{number}"),
            labels: Some(labels(replica)),
            impostor: false,
            claims: None,
            state: State::Running,
            leaving: false,
            created: at,
            started: Some(at),
            finished: None,
            stopped_by_hand: None,
            restarts: 0,
            exit_code: None,
            image: "neighbour:1".to_owned(),
            image_id: "sha256:neighbour".to_owned(),
            addresses: BTreeMap::new(),
            published: [port].into(),
            writes: ["neighbour_data".to_owned()].into(),
            volumes: ["neighbour_data".to_owned(), "neighbour_content".to_owned()].into(),
            fields: [NETWORK, "neighbour_back"].into_iter().map(|network| (format!("networks[{network}]"), connected.clone())).collect(),
            care: None,
            health: None,
            unread: None,
        }
    };
    let front = Container {
        id: "neighbour-front".to_owned(),
        name: "neighbour-next".to_owned(),
        labels: Some(labels(object(Kind::Front, "next"))),
        ..container(3)
    };
    let network = Network {
        id: "neighbour-back".to_owned(),
        name: "neighbour_back".to_owned(),
        labels: Some(labels(object(Kind::ComposeNetwork, "back"))),
        made_for: None,
        subnets: Vec::new(),
    };
    let volume = |text: &str, kind| Volume {
        name: format!("neighbour_{text}"),
        labels: Some(labels(object(kind, text))),
        made_for: None,
        held: true,
    };
    let left = Debris { name: "neighbour_half".to_owned(), owner: name("o1"), application: name("neighbour"), content: None };
    let around = |own: Vec<Container>| [vec![container(1)], own, vec![container(2), front]].concat();
    Live {
        at,
        containers: around(containers),
        networks: [vec![network], networks].concat(),
        volumes: [vec![volume("data", Kind::ComposeVolume)], volumes, vec![volume("content", Kind::Content)]].concat(),
        debris: [debris, vec![left]].concat(),
        images: images.into_iter().chain([("neighbour:1".to_owned(), "sha256:neighbour".to_owned())]).collect(),
        made: made.into_iter().chain([((object(Kind::ComposeNetwork, "back"), "neighbour_back".to_owned()), BTreeMap::new())]).collect(),
    }
}
