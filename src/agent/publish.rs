//! From what is kept and who has joined to what the data path serves.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::desired::Desired;
use crate::name::ObjectId;
use crate::observed::Live;
use crate::traffic;

use super::Agent;
use super::application::{App, chain};

impl Agent {
    /// Publishes who is given new connections, if that has changed.
    pub(super) fn publish(&mut self, live: &Live) {
        // An application that is not loaded yet, or has replicas that serve and cannot be loaded now, would
        // drop out of what is served.
        let unknown = |app: &App| {
            let loaded = app.head.is_some() || app.kept().is_ok_and(|kept| kept.is_some());
            !loaded && (app.looks == 0 || !app.reconciler.observed().traffic.joined.is_empty())
        };
        if !self.acts || self.apps.iter().any(unknown) {
            return;
        }
        let kept: Vec<(Arc<Desired>, BTreeMap<ObjectId, Ipv4Addr>, &App)> = self
            .apps
            .iter()
            .filter_map(|app| {
                let desired = app.kept().ok().flatten().or_else(|| app.head.clone())?;
                let replicas = live.replicas(&desired.installation.owner, &desired.application);
                let running = replicas.filter(|(container, _)| container.is_running() && !container.leaving);
                let addresses = running
                    .filter_map(|(container, labels)| Some((labels.object.clone(), *container.addresses.values().next()?)))
                    .collect();
                Some((desired, addresses, app))
            })
            .collect();
        let applications: Vec<traffic::Application<'_>> = kept
            .iter()
            .map(|(desired, running, app)| {
                let observed = app.reconciler.observed();
                traffic::Application {
                    desired,
                    addresses: &observed.record.addresses,
                    joined: &observed.traffic.joined,
                    left: &observed.traffic.left,
                    running,
                }
            })
            .collect();
        let fronts = live.containers.iter().filter(|container| container.labels.as_ref().is_some_and(|labels| labels.is_front()));
        let fronts = fronts.map(|container| {
            let front = traffic::FrontContainer { id: container.id.clone(), addresses: container.addresses.clone() };
            (container.name.clone(), front)
        });
        let fronts = fronts.collect();
        let next = traffic::publish(&applications, &self.options.installation, &fronts, self.publisher.current());
        let generation = next.generation;
        match self.publisher.publish(next) {
            Ok(()) => self.apps.iter_mut().for_each(|app| app.reconciler.published(generation)),
            Err(error) => {
                tracing::error!(error = %chain(&error).join(": "), "what is served cannot be published; the last state is served on")
            }
        }
    }
}
