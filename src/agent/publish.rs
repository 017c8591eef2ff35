//! From what is kept and who has joined to what the data path serves.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::desired::Desired;
use crate::name::{Name, ObjectId};
use crate::observed::Live;
use crate::plan::Claims;
use crate::plan::claim::service_obstacle;
use crate::traffic::{self, Unloaded};

use super::Agent;
use super::application::{App, chain};

impl Agent {
    /// Publishes who is given new connections, if that has changed.
    pub(super) fn publish(&mut self, live: &Live) {
        // With what was published lost, nothing tells how an application that is not loaded yet was served.
        let lost = self.publisher.current().is_some_and(|published| published.zone.domain.is_empty());
        if !self.acts || (lost && self.apps.iter().any(|app| app.looks == 0)) {
            return;
        }
        let mut running: BTreeMap<&Name, BTreeMap<ObjectId, Ipv4Addr>> = BTreeMap::new();
        for container in live.containers.iter().filter(|container| container.is_running() && !container.leaving) {
            let Some(labels) = container.labels.as_ref().filter(|labels| labels.is_replica()) else { continue };
            let ours = labels.application.as_ref().filter(|_| labels.owner == self.options.installation.owner);
            if let (Some(application), Some(address)) = (ours, container.addresses.values().next()) {
                running.entry(application).or_default().insert(labels.object.clone(), *address);
            }
        }
        let nothing = BTreeMap::new();
        let kept: Vec<(Arc<Desired>, &App)> =
            self.apps.iter().zip(&self.claims).filter_map(|(app, claims)| Some((without_claimed(app.served()?, claims), app))).collect();
        if kept.is_empty() && !self.apps.is_empty() {
            return;
        }
        let unloaded = self.apps.iter().filter(|app| app.served().is_none()).map(|app| {
            let traffic = &app.reconciler.observed().traffic;
            Unloaded { joined: &traffic.joined, left: &traffic.left, record: None }
        });
        let orphans = self.orphans.iter().map(|orphan| {
            let observed = orphan.reconciler.observed();
            let known = !observed.record.applied.is_empty();
            Unloaded { joined: &observed.traffic.joined, left: &observed.traffic.left, record: known.then_some(&observed.record) }
        });
        let unloaded = unloaded.chain(orphans);
        let unloaded: Vec<Unloaded<'_>> = unloaded.collect();
        let applications: Vec<traffic::Application<'_>> = kept
            .iter()
            .map(|(desired, app)| {
                let observed = app.reconciler.observed();
                traffic::Application {
                    desired,
                    addresses: &observed.record.addresses,
                    joined: &observed.traffic.joined,
                    left: &observed.traffic.left,
                    running: running.get(&desired.application).unwrap_or(&nothing),
                }
            })
            .collect();
        let fronts = live.containers.iter().filter(|container| container.labels.as_ref().is_some_and(|labels| labels.is_front()));
        let fronts = fronts.map(|container| {
            let front = traffic::FrontContainer { id: container.id.clone(), addresses: container.addresses.clone() };
            (container.name.clone(), front)
        });
        let fronts = fronts.collect();
        let next = traffic::publish(&applications, &self.options.installation, &fronts, self.publisher.current(), &unloaded);
        let generation = next.generation;
        match self.publisher.publish(next) {
            Ok(()) => {
                let again = |app: &mut App| {
                    let again = app.unpublished.take().is_some();
                    app.touched |= again;
                    again
                };
                if self.apps.iter_mut().map(again).fold(false, |any, again| any | again) {
                    tracing::info!("what is served is published again");
                }
                self.apps.iter_mut().for_each(|app| app.reconciler.published(generation));
            }
            Err(error) => {
                let why = chain(&error).join(": ");
                if self.apps.iter().any(|app| app.unpublished.as_ref() != Some(&why)) {
                    tracing::error!(error = why, "what is served cannot be published; the last state is served on");
                }
                for app in &mut self.apps {
                    app.touched |= app.unpublished.as_ref() != Some(&why);
                    app.unpublished = Some(why.clone());
                }
            }
        }
    }
}

/// Leaves out the services that another application has.
fn without_claimed(desired: Arc<Desired>, claims: &Claims) -> Arc<Desired> {
    let lost = |id: &ObjectId| !claims.things.is_empty() && service_obstacle(id, claims).is_some();
    if !desired.services.keys().any(lost) {
        return desired;
    }
    let mut kept = Desired::clone(&desired);
    kept.services.retain(|id, _| !lost(id));
    Arc::new(kept)
}
