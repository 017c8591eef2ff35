//! Which networks fronts are on, and networks that Git no longer has.
//!
//! A network goes when no container is left on it, whoever's it is, also one that does not run: the
//! engine would not start it again. One that somebody else still uses stays and is listed.

use std::collections::BTreeSet;

use crate::desired::{Desired, Front, field};
use crate::host::Step;
use crate::name::{Kind, ObjectId};
use crate::observed::{Container, Network};

use super::draft::Draft;
use super::drift::is_connected;
use super::view::View;
use super::{DriftField, path, prune};

/// A network that a front should be on and is not, or not by its names. A replica is replaced for such a
/// name; a front has addresses that are in use, so it is changed as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Astray {
    /// It was taken off.
    Lost(String),
    /// It is on it, but is not found there by these names.
    Nameless(String, BTreeSet<String>),
}

/// Compares the networks of a front with those that it should be on, and its names there.
pub(super) fn astray(front: &Front, container: &Container) -> Vec<Astray> {
    let networks = || front.networks.iter();
    let lost = networks().filter(|network| !is_connected(container, network)).cloned().map(Astray::Lost);
    let nameless = networks().filter(|network| is_connected(container, network)).filter_map(|network| {
        let live = container.fields.get(&field::aliases(network)).map_or("[]", |live| live.value.as_str());
        let live: BTreeSet<String> = serde_json::from_str(live).unwrap_or_default();
        // By its own name it is found in any case.
        let missing = front.aliases.get(network)?.difference(&live).filter(|name| **name != container.name);
        let missing: BTreeSet<String> = missing.cloned().collect();
        (!missing.is_empty()).then(|| Astray::Nameless(network.clone(), missing))
    });
    lost.chain(nameless).collect()
}

impl Astray {
    /// Returns the fields that differ.
    pub(super) fn fields(&self, desired: &Desired, front: &ObjectId) -> Vec<DriftField> {
        let one = |path: String, expected: Option<&str>, actual: Option<&str>| DriftField {
            path: path::of_front(desired, front, &path),
            expected: expected.map(str::to_owned),
            actual: actual.map(str::to_owned),
        };
        match self {
            Astray::Lost(network) => vec![one(field::network(network), Some("connected"), None)],
            Astray::Nameless(network, names) => names.iter().map(|name| one(field::aliases(network), Some(name), None)).collect(),
        }
    }

    /// Returns the step that brings it right, or nearer to it, and why. Names are given when a container
    /// is connected, so one without them is taken off first.
    pub(super) fn step(self, object: ObjectId, container: String) -> (Step, String) {
        match self {
            Astray::Lost(network) => {
                let reason = format!("it was taken off `{network}`");
                (Step::Connect { object, container, network }, reason)
            }
            Astray::Nameless(network, names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let reason = format!("it is not found as `{}` on `{network}`", names.join("`, `"));
                (Step::Disconnect { object, container, network }, reason)
            }
        }
    }
}

/// A network that Git no longer has.
pub(super) struct Gone<'a> {
    /// Its id.
    pub(super) id: &'a ObjectId,
    network: &'a Network,
    /// Containers on it that this application does not take away.
    pub(super) others: Vec<&'a Container>,
    is_empty: bool,
}

/// Returns the networks of the application that Git no longer has.
pub(super) fn gone<'a>(view: &'a View<'_>) -> impl Iterator<Item = Gone<'a>> {
    let desired = view.desired;
    let used = |name: &String| {
        let networks = desired.networks.values().map(|network| &network.host_name);
        let workloads = desired.workloads.values().flat_map(|workload| &workload.template.networks);
        let fronts = desired.fronts.values().flat_map(|front| &front.networks);
        networks.chain(workloads).chain(fronts).any(|known| known == name)
    };
    view.observed.live.networks.iter().filter_map(move |network| {
        let labels = network.labels.as_ref()?;
        let ours = labels.owner == desired.installation.owner && labels.application.as_ref() == Some(&desired.application);
        if !ours || labels.object.kind != Kind::ComposeNetwork || used(&network.name) {
            return None;
        }
        let on: Vec<&Container> = view.observed.live.containers.iter().filter(|container| is_connected(container, &network.name)).collect();
        let is_empty = on.is_empty();
        let other = |container: &&Container| {
            container.labels.as_ref().is_none_or(|labels| {
                labels.owner != desired.installation.owner || labels.application.as_ref() != Some(&desired.application)
            })
        };
        Some(Gone { id: &labels.object, network, others: on.into_iter().filter(other).collect(), is_empty })
    })
}

/// Adds the steps for networks that Git no longer has.
pub(super) fn plan(view: &View<'_>, draft: &mut Draft<'_>) {
    if !view.applies() || !view.desired.settings.prune {
        return;
    }
    for gone in gone(view).filter(|gone| gone.is_empty) {
        match prune::refusal(view) {
            Some(reason) => draft.hold(gone.id.to_string(), reason, None),
            None => drop(draft.step(Step::RemoveNetwork { network: gone.id.clone(), id: gone.network.id.clone() }, "no longer in Git")),
        }
    }
}
