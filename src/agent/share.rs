//! Who has what among the applications, objects that go from one to another, and applications that are no
//! longer configured.
//!
//! It is settled once a turn, before anything is planned: no application plans with what another has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::desired::{Desired, Mode};
use crate::name::{Kind, Name, ObjectId};
use crate::observed::{Live, Record};
use crate::plan::claim::{self, Contender, Thing};
use crate::plan::{Health, Sync};
use crate::reconcile::Reconciler;
use crate::report::ApplicationStatus;
use crate::report::word::short;
use crate::traffic::Published;

use super::application::{App, Wanted, chain};
use super::turn::served_before;
use super::{Agent, now};

/// An application that is no longer configured. What runs of it is left running and served on.
pub(super) struct Orphan {
    pub(super) name: Name,
    pub(super) reconciler: Reconciler,
}

/// One object that goes from one application to another.
struct Move {
    id: ObjectId,
    /// The giver; an orphan has no place.
    from: (Name, Option<usize>),
    to: usize,
}

impl Orphan {
    fn new(name: Name, record: Record, live: &Live, published: Option<&Published>) -> Self {
        let traffic = published.and_then(|published| served_before(live, published).remove(&name)).unwrap_or_default();
        Orphan { name, reconciler: Reconciler::new(record, traffic, now()) }
    }

    /// Returns how it stands.
    pub(super) fn status(&self) -> ApplicationStatus {
        let revision = self.reconciler.observed().record.healthy.last().cloned().unwrap_or_default();
        let known = if revision.is_empty() { String::new() } else { format!(" at {}", short(&revision)) };
        ApplicationStatus {
            name: self.name.clone(),
            revision,
            head: String::new(),
            sync: Sync::Unknown,
            health: Health::Unknown,
            message: format!(
                "orphaned: no longer configured. What runs of it{known} is left running and served on, until it is configured again or its containers are removed"
            ),
            rolled_back: false,
            refused: false,
            plan: String::new(),
            workloads: Vec::new(),
            held: Vec::new(),
            findings: Vec::new(),
            drift: 0,
        }
    }
}

/// What an application wants of that which only one can have, and the objects among it.
#[derive(Default)]
pub(super) struct Wants {
    /// What it follows from, if that is known: what Git asks for, and what is kept until then.
    of: Option<(Arc<Desired>, Option<Arc<Desired>>)>,
    things: BTreeMap<Thing, ObjectId>,
    objects: BTreeSet<ObjectId>,
}

impl App {
    /// Finds out what it wants; returns whether that may be something else than before.
    fn want(&mut self) -> bool {
        let kept = self.kept();
        let of = self.head.clone().zip(kept.clone().ok());
        let same = |(head, kept): (&Arc<Desired>, Option<&Arc<Desired>>)| {
            let known = self.wants.of.as_ref();
            known.is_some_and(|(known, before)| Arc::ptr_eq(known, head) && before.as_ref().map(Arc::as_ptr) == kept.map(Arc::as_ptr))
        };
        if of.as_ref().is_some_and(|(head, kept)| same((head, kept.as_ref()))) {
            return false;
        }
        // What it has applied is its own also while nobody knows what it asks for now.
        let mut things = if of.is_some() { BTreeMap::new() } else { claim::applied(&self.reconciler.observed().record) };
        for desired in kept.ok().flatten().iter().chain(&self.head) {
            things.extend(claim::wants(desired));
        }
        let objects = things.keys().filter_map(|thing| if let Thing::Object(id) = thing { Some(id.clone()) } else { None }).collect();
        self.wants = Wants { of, things, objects };
        true
    }
}

impl Agent {
    /// Returns the last snapshot, with each container counted as that of the application that has its object by now.
    pub(super) fn seen(&self) -> Option<Arc<Live>> {
        let mut live = self.live.clone()?;
        if live.has_renamed() {
            let seen = Arc::make_mut(&mut live);
            self.apps.iter().for_each(|app| seen.recognise(&app.reconciler.observed().known, &app.reconciler.observed().traffic));
        }
        let mut adopted = BTreeMap::new();
        for app in &self.apps {
            for (id, makers) in &app.reconciler.observed().record.adopted {
                adopted.extend(makers.iter().map(|maker| ((id.clone(), maker.clone()), app.config.name.clone())));
            }
        }
        if !adopted.is_empty() {
            Arc::make_mut(&mut live).adopt(&self.options.installation.owner, &adopted);
        }
        Some(live)
    }

    /// Settles who has what. The snapshot is then one with what changed by it.
    pub(super) async fn share(&mut self, live: &mut Arc<Live>) {
        self.find_orphans(live).await;
        let changed = self.apps.iter_mut().map(App::want).fold(false, |any, changed| any | changed);
        // Nothing that only one wants is another's.
        if changed || self.claims.len() != self.apps.len() || self.claims.iter().any(|claims| !claims.things.is_empty()) {
            let contenders: Vec<Contender<'_>> = self
                .apps
                .iter()
                .map(|app| Contender { name: &app.config.name, wants: &app.wants.things, record: &app.reconciler.observed().record })
                .collect();
            let holders = claim::holders(&contenders, &self.options.installation.owner, live);
            self.claims = contenders.iter().map(|contender| claim::claims(contender, &holders)).collect();
        }
        let left = self.left_over(live);
        self.waits =
            (0..self.apps.len()).map(|index| left.contains_key(&self.apps[index].config.name) && self.is_being_read(index)).collect();
        let moves = self.moves(&left);
        let moved = !moves.is_empty();
        for Move { id, from, to } in moves {
            self.hand_over(&id, from, to, live).await;
        }
        self.forget_adopted();
        if moved && let Some(seen) = self.seen() {
            *live = seen;
        }
    }

    /// Returns the objects that applications have and no longer want, by application.
    fn left_over(&self, live: &Live) -> BTreeMap<Name, BTreeSet<ObjectId>> {
        let owner = &self.options.installation.owner;
        let places: BTreeMap<&Name, usize> = self.apps.iter().enumerate().map(|(index, app)| (&app.config.name, index)).collect();
        let mut left: BTreeMap<Name, BTreeSet<ObjectId>> = BTreeMap::new();
        let mut note = |name: &Name, place: Option<usize>, id: &ObjectId| {
            if !place.is_some_and(|index| self.apps[index].wants.objects.contains(id)) {
                left.entry(name.clone()).or_default().insert(id.clone());
            }
        };
        for labels in live.containers.iter().filter_map(|container| container.labels.as_ref()).filter(|labels| labels.owner == *owner) {
            if let Some(name) = &labels.application {
                note(name, places.get(name).copied(), &labels.object.workload());
            }
        }
        let records = self.apps.iter().enumerate().map(|(index, app)| (&app.config.name, Some(index), &app.reconciler));
        for (name, place, reconciler) in records.chain(self.orphans.iter().map(|orphan| (&orphan.name, None, &orphan.reconciler))) {
            let record = &reconciler.observed().record;
            let objects = record.addresses.keys().chain(record.applied.keys());
            // Networks and volumes stay where they are, whoever uses them, and so does what all share.
            let goes = |id: &&ObjectId| {
                id.namespace != *owner
                    && !matches!(id.kind, Kind::Network | Kind::PersistentVolumeClaim | Kind::ComposeNetwork | Kind::ComposeVolume)
            };
            objects.filter(goes).for_each(|id| note(name, place, id));
        }
        left
    }

    /// Tells whether another application of the same repository is being read: what this one no longer has may be
    /// that one's by now, so it is not removed yet.
    fn is_being_read(&self, index: usize) -> bool {
        let others = self.repositories[self.apps[index].repository].applications.iter().filter(|other| **other != index);
        others.filter_map(|other| self.apps.get(*other)).any(|other| other.looks == 0 || other.loading == Some(Wanted::Head))
    }

    /// Returns which objects go to another application now.
    fn moves(&self, left: &BTreeMap<Name, BTreeSet<ObjectId>>) -> Vec<Move> {
        if left.is_empty() {
            return Vec::new();
        }
        let mut takers: BTreeMap<&ObjectId, usize> = BTreeMap::new();
        for (index, app) in self.apps.iter().enumerate() {
            // Until it is read, what it wants is what it has.
            let acts = app.head.as_ref().is_some_and(|head| head.settings.mode != Mode::Observe);
            takers.extend(app.wants.objects.iter().filter(|id| acts && self.claims[index].object(id).is_none()).map(|id| (id, index)));
        }
        let places: BTreeMap<&Name, usize> = self.apps.iter().enumerate().map(|(index, app)| (&app.config.name, index)).collect();
        let mut moves = Vec::new();
        for (name, ids) in left {
            let place = places.get(name).copied();
            // A step that runs for it ends first.
            let busy = |id: &ObjectId| {
                let steps = place.map(|index| &self.apps[index].reconciler.observed().in_flight);
                steps.is_some_and(|steps| steps.keys().any(|key| key.starts_with(&id.to_string())))
            };
            let found = ids.iter().filter(|id| !busy(id)).filter_map(|id| Some((id, *takers.get(id)?)));
            moves.extend(found.filter(|(_, to)| place != Some(*to)).map(|(id, to)| Move {
                id: id.clone(),
                from: (name.clone(), place),
                to,
            }));
        }
        moves
    }

    async fn hand_over(&mut self, id: &ObjectId, (from, place): (Name, Option<usize>), to: usize, live: &Live) {
        let giver = match place {
            Some(index) => self.apps.get_mut(index).map(|app| &mut app.reconciler),
            None => self.orphans.iter_mut().find(|orphan| orphan.name == from).map(|orphan| &mut orphan.reconciler),
        };
        let Some(handed) = giver.map(|giver| giver.give_up(id, &from, live)) else { return };
        let taker = &mut self.apps[to];
        taker.reconciler.take_over(id, handed);
        let (name, revision) = (taker.config.name.clone(), taker.last_seen().unwrap_or_default().to_owned());
        tracing::info!(object = %id, %from, to = %name, "an object is handed over");
        self.append(to, revision, "handed over", format!("{id} from `{from}`"));
        if !self.acts {
            return;
        }
        // Who has it is on disk not later than who had it.
        self.apps[to].unsaved = true;
        match place {
            Some(index) => self.apps[index].unsaved = true,
            None => {
                self.write(Instant::now()).await;
                self.store_orphan(&from).await;
            }
        }
    }

    async fn store_orphan(&self, name: &Name) {
        let Some(orphan) = self.orphans.iter().find(|orphan| orphan.name == *name) else { return };
        let record = (name.clone(), orphan.reconciler.observed().record.clone());
        if let Err(error) = self.store.write(vec![record], Vec::new()).await {
            tracing::error!(application = %name, error = %chain(&error).join(": "), "the record cannot be written; the agent goes on");
        }
    }

    fn forget_adopted(&mut self) {
        let Some(live) = self.live.clone().filter(|_| self.apps.iter().any(|app| !app.reconciler.observed().record.adopted.is_empty()))
        else {
            return;
        };
        for app in &mut self.apps {
            app.unsaved |= app.reconciler.forget_adopted(&live);
        }
    }

    /// Finds applications that have containers and are not configured.
    async fn find_orphans(&mut self, live: &Live) {
        let owner = &self.options.installation.owner;
        let labels = live.containers.iter().filter_map(|container| container.labels.as_ref()).filter(|labels| labels.owner == *owner);
        let mut names: BTreeSet<&Name> = labels.filter_map(|labels| labels.application.as_ref()).collect();
        let configured: BTreeSet<&Name> = self.apps.iter().map(|app| &app.config.name).collect();
        names.retain(|name| !configured.contains(name));
        self.orphans.retain(|orphan| names.contains(&orphan.name));
        names.retain(|name| self.orphans.iter().all(|orphan| orphan.name != **name));
        for name in names.into_iter().cloned().collect::<Vec<_>>() {
            // Without its record it is served on all the same.
            let record = self.store.load(&name).await.unwrap_or_default();
            tracing::warn!(application = %name, "the application is no longer configured; what runs of it is left running and served on");
            self.orphans.push(Orphan::new(name, record, live, self.publisher.current()));
        }
    }
}
