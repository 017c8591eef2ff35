//! The rounds of a turn: each application whose plan could come out otherwise than its last one is planned.
//!
//! Nothing is started here: what a plan claims is on disk before its first step.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::desired::Desired;
use crate::git::Revision;
use crate::host::Step;
use crate::observed::{Live, Observed, Probing, Shares};
use crate::reconcile::Round;
use crate::report::word::{image_line, interruption_line};
use crate::traffic;

use super::application::{App, Wanted};
use super::{Agent, now};

/// Steps to be started for an application, and what they are for.
pub(super) type Begun = (usize, Vec<Step>, Arc<Desired>);

/// What all rounds of a turn look at.
struct Seen<'a> {
    live: &'a Arc<Live>,
    shares: Shares<'a>,
    probing: BTreeMap<String, Probing>,
    /// How many applications have an address for a service; two have one only after the records were lost.
    addresses: BTreeMap<Ipv4Addr, usize>,
}

impl App {
    /// Tells whether nothing has happened to it since its last round. `probing` is what probes say now.
    pub(super) fn is_quiet(&self, live: &Arc<Live>, probing: &BTreeMap<String, Probing>) -> bool {
        let observed = self.reconciler.observed();
        let said = observed.known.iter().filter_map(|id| probing.get_key_value(id));
        let waits = self.touched || self.outdated || self.loading.is_some() || self.unpublished.is_some();
        let same = self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, live));
        !waits && same && self.reconciler.is_undisturbed() && said.eq(&observed.probing)
    }

    /// Chooses the addresses of its services, none of which others `have`.
    fn choose_addresses(&mut self, desired: &Desired, have: &mut BTreeMap<Ipv4Addr, usize>) {
        let known = &self.reconciler.observed().record.addresses;
        known.values().for_each(|address| *have.entry(*address).or_default() -= 1);
        let chosen = traffic::addresses(desired, known, |address| have.get(address).is_some_and(|others| *others > 0));
        chosen.values().for_each(|address| *have.entry(*address).or_default() += 1);
        if chosen != *known {
            self.reconciler.record_mut().addresses = chosen;
            self.unsaved = true;
        }
    }
}

impl Agent {
    /// Plans all applications but those at rest; returns the steps to start.
    pub(super) async fn rounds(&mut self, live: &Arc<Live>) -> Vec<Begun> {
        let reconcilers = self.apps.iter().map(|app| &app.reconciler).chain(self.orphans.iter().map(|orphan| &orphan.reconciler));
        let mut addresses = BTreeMap::new();
        for address in reconcilers.flat_map(|reconciler| reconciler.observed().record.addresses.values()) {
            *addresses.entry(*address).or_default() += 1;
        }
        let mut seen = Seen { live, shares: Shares::of(live), probing: self.prober.results(), addresses };
        let mut begun = Vec::new();
        for index in 0..self.apps.len() {
            self.look_at_images(index, live);
            // A snapshot from before steps that have ended meanwhile leads to plans of the past.
            if !self.reading.runs() && self.away.is_none() && !self.waits[index] {
                begun.extend(self.round(index, &mut seen).await);
            }
        }
        begun
    }

    /// Plans one application, unless it is at rest.
    async fn round(&mut self, index: usize, seen: &mut Seen<'_>) -> Option<Begun> {
        let claims = self.claims.get(index)?;
        let app = &mut self.apps[index];
        if app.outdated {
            return None;
        }
        let desired = match app.kept() {
            Ok(desired) => desired?,
            Err(id) => {
                let revision = Revision { id: id.clone(), summary: String::new(), committed: None };
                self.load(index, Wanted::Earlier(id), revision);
                return None;
            }
        };
        let may_rest = app.plan.is_some() && !traffic::may_move(&desired, &app.reconciler.observed().record.addresses);
        if may_rest && app.is_quiet(seen.live, &seen.probing) && app.reconciler.rests(&desired, claims, None) {
            return None;
        }
        app.seen = Some(seen.live.clone());
        let share = seen.shares.share(&app.config.name, std::iter::once(&*desired), app.reconciler.observed());
        let said = share.containers().filter_map(|container| seen.probing.get_key_value(&container.id));
        let probing: BTreeMap<String, Probing> = said.map(|(id, probing)| (id.clone(), probing.clone())).collect();
        let observed = app.reconciler.observed();
        if !self.acts {
            let observed = Observed { live: share.to_live(), probing, ..observed.clone() };
            app.plan = Some(crate::plan::plan(&desired, claims, &observed, now()));
            app.touched = true;
            return None;
        }
        if may_rest && observed.probing == probing && app.reconciler.rests(&desired, claims, Some(&share)) {
            return None;
        }
        let live = share.to_live();
        app.touched = true;
        app.reconciler.probed(probing);
        app.choose_addresses(&desired, &mut seen.addresses);
        let before = app.plan.take();
        let was_rolled_back = app.rolled_back();
        let Round { plan, start, publish: _, store, restored, images, refused } = app.reconciler.round(&desired, claims, live, now());
        for refusal in refused.iter().filter(|refusal| !app.audit.contains(refusal)) {
            tracing::error!(application = %app.config.name, refusal, "the plan was refused: this is a bug of ours, nothing is changed");
        }
        app.audit = refused;
        app.unsaved |= store;
        app.shown.note(&plan);
        app.plan = Some(plan);
        let rolled_back = app.rolled_back().filter(|_| was_rolled_back.is_none());
        self.note(index, before.as_ref(), rolled_back).await;
        for (object, interruption) in restored {
            let message = interruption_line(&object, &interruption);
            tracing::warn!(application = %desired.application, "{message}");
            self.append(index, desired.revision.clone(), "interrupted", message);
        }
        for started in images {
            let message = image_line(&started.workload, started.before.as_deref(), &started.image);
            self.append(index, desired.revision.clone(), "image", message);
        }
        Some((index, start, desired))
    }
}
