//! Whether a round could come out otherwise than the last one: an application at rest need not be planned.
//!
//! It is at rest once a round changed nothing, holds nothing back and left nothing open that only time ends. Whatever
//! changes what is known of it ends the rest: there is no other way to it than through `Known`.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::desired::Desired;
use crate::observed::Observed;
use crate::plan::{Claims, Plan};

/// What is known of an application.
#[derive(Debug, Clone)]
pub(super) struct Known {
    observed: Observed,
    rest: Option<Rest>,
}

/// What the last round was made from besides what is known.
#[derive(Debug, Clone)]
struct Rest {
    desired: Arc<Desired>,
    claims: Claims,
}

impl Deref for Known {
    type Target = Observed;

    fn deref(&self) -> &Observed {
        &self.observed
    }
}

/// Who can change something may change the next plan.
impl DerefMut for Known {
    fn deref_mut(&mut self) -> &mut Observed {
        self.rest = None;
        &mut self.observed
    }
}

impl Known {
    pub(super) fn new(observed: Observed) -> Self {
        Known { observed, rest: None }
    }

    /// Begins the rest, if a round that changed nothing allows it.
    pub(super) fn begin_rest(&mut self, plan: &Plan, desired: &Arc<Desired>, claims: &Claims) {
        if is_over(plan, desired, &self.observed) {
            self.rest = Some(Rest { desired: desired.clone(), claims: claims.clone() });
        }
    }

    /// Tells whether nothing has ended the rest by itself.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.rest.is_some()
    }

    /// Tells whether a round would come out as the last one did, as long as the host is the same.
    pub(super) fn rests(&self, desired: &Arc<Desired>, claims: &Claims) -> bool {
        self.rest.as_ref().is_some_and(|rest| Arc::ptr_eq(&rest.desired, desired) && rest.claims == *claims)
    }

    /// Takes in the last generation: no plan looks at it.
    pub(super) fn number(&mut self, generation: u64) {
        self.observed.traffic.generation = generation;
    }

    /// Takes in the generation that the data path serves. It ends a rest only if it says another thing of a replica.
    pub(super) fn acknowledge(&mut self, generation: u64) {
        let traffic = &mut self.observed.traffic;
        let before = std::mem::replace(&mut traffic.acknowledged, generation);
        let stamps = traffic.joined.values().map(|joined| joined.generation).chain(traffic.left.values().map(|left| left.generation));
        if stamps.into_iter().any(|stamp| (stamp <= before) != (stamp <= generation)) {
            self.rest = None;
        }
    }
}

/// Tells whether nothing is left to do or to wait for, and nothing is open that time alone would end: all replicas
/// serve, so it does not matter any more since when they have been ready.
fn is_over(plan: &Plan, desired: &Desired, observed: &Observed) -> bool {
    let Observed { since: _, live, probing: _, in_flight, failures: _, record, traffic, known: _, pulled: _ } = observed;
    let replicas = live.replicas(&desired.installation.owner, &desired.application).count();
    let wanted: usize = desired.workloads.values().map(|workload| workload.replicas as usize).sum();
    plan.is_converged()
        && plan.failed.is_none()
        && plan.workloads.iter().all(|workload| workload.settled)
        && replicas == wanted
        && in_flight.is_empty()
        && traffic.left.is_empty()
        && record.heals.is_empty()
        && record.begun.is_empty()
        && record.overrides.is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::desired::{Installation, Layout, Settings};
    use crate::hash::Key;
    use crate::name::{Kind, Name, ObjectId};
    use crate::observed::Joined;
    use crate::time::Time;

    fn desired() -> Desired {
        let name = |text: &str| Name::try_from(text).expect("a name");
        let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
        Desired {
            application: name("shop"),
            revision: "r1".to_owned(),
            installation: Installation { owner: name("o1"), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) },
            settings: Settings::default(),
            workloads: BTreeMap::new(),
            services: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            contents: BTreeMap::new(),
            fronts: BTreeMap::new(),
            logins: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// What is known of an application at rest whose one replica is served since a generation.
    fn at_rest(generation: u64, acknowledged: u64) -> Known {
        let name = |text: &str| Name::try_from(text).expect("a name");
        let replica = ObjectId::new(name("shop"), Kind::Deployment, name("web")).with_replica(name("a"));
        let address = Ipv4Addr::new(10, 64, 0, 3);
        let joined = Joined { container: "c".to_owned(), started: Time(0), address, addresses: Default::default(), generation };
        let mut observed = Observed::default();
        observed.traffic.joined.insert(replica, joined);
        observed.traffic.acknowledged = acknowledged;
        Known { observed, rest: Some(Rest { desired: Arc::new(desired()), claims: Claims::default() }) }
    }

    #[test]
    fn another_generation_disturbs_only_those_of_whom_it_says_another_thing() {
        for (served, before, after, rests) in [(3, 3, 9, true), (3, 9, 4, true), (3, 2, 3, false), (3, 9, 2, false), (0, 1, 2, true)] {
            let mut known = at_rest(served, before);
            known.acknowledge(after);
            assert_eq!(known.is_undisturbed(), rests, "served since {served}, acknowledged {before}, then {after}");
            assert_eq!(known.traffic.acknowledged, after);
        }
    }

    #[test]
    fn looking_disturbs_nobody_and_changing_does() {
        let mut known = at_rest(1, 1);
        assert!(known.record.heals.is_empty() && known.is_undisturbed());
        known.number(7);
        assert!(known.is_undisturbed());
        known.record.approved = None;
        assert!(!known.is_undisturbed());
    }
}
