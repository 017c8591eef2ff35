//! Networks and volumes that have the names of ours and are somebody else's: they are not used, and who has
//! them is said.
//!
//! What `docker compose` made for the very project and name that is wanted is used: whoever moves a project here
//! keeps its data, and its containers reach each other meanwhile.

use crate::desired::Desired;
use crate::finding::{Finding, Place};
use crate::name::{Kind, ObjectId};
use crate::observed::{Container, Labels, Live};

use super::draft::Draft;
use super::drift::is_connected;
use super::view::View;

/// A network or volume that is wanted, with its name on the host.
type Wanted<'a> = (&'a ObjectId, &'a str);

/// Returns the networks and volumes that are wanted and that the host has, made for this application or by
/// `docker compose` for this project.
pub fn usable<'a>(desired: &'a Desired, live: &'a Live) -> impl Iterator<Item = Wanted<'a>> {
    wanted(desired).filter(|wanted| holders(live, *wanted).any(|holder| holder.is_for(desired, wanted.0)))
}

/// Returns the wanted networks and volumes whose names only others have, each with who that is.
pub(super) fn taken<'a>(desired: &'a Desired, live: &'a Live) -> impl Iterator<Item = (Wanted<'a>, String)> {
    wanted(desired).filter_map(|wanted| {
        let usable = holders(live, wanted).any(|holder| holder.is_for(desired, wanted.0));
        let holder = holders(live, wanted).next().filter(|_| !usable)?;
        Some((wanted, holder.who(live, wanted)))
    })
}

/// Holds back what is taken.
pub(super) fn plan(view: &View<'_>, draft: &mut Draft<'_>) {
    for ((id, name), who) in taken(view.desired, &view.observed.live) {
        draft.hold(id.to_string(), format!("{} `{name}` is not ours: {who}", word(id)), None);
    }
}

/// Returns a warning for each network or volume that is taken.
pub(super) fn findings<'a>(desired: &'a Desired, live: &'a Live) -> impl Iterator<Item = Finding> + 'a {
    taken(desired, live).map(|((id, name), who)| {
        let message = format!("{} `{name}` (here `{id}`) is not used, because it is not ours: {who}", word(id));
        let hint = match id.kind {
            Kind::ComposeNetwork | Kind::ComposeVolume => {
                "to use it as it is, declare it `external: true` with this `name`; otherwise give it another `name`, or remove it"
            }
            Kind::Network => "remove it",
            _ => "rename the claim, or remove the volume if nobody needs it",
        };
        Finding::warning(RULE, Place::default(), message).with_hint(hint)
    })
}

/// The rule of these findings.
pub const RULE: &str = "foreign";

fn word(id: &ObjectId) -> &'static str {
    if matches!(id.kind, Kind::Network | Kind::ComposeNetwork) { "network" } else { "volume" }
}

fn wanted(desired: &Desired) -> impl Iterator<Item = Wanted<'_>> {
    let networks = desired.networks.values().map(|network| (&network.id, network.host_name.as_str()));
    networks.chain(desired.volumes.values().map(|volume| (&volume.id, volume.host_name.as_str())))
}

/// Who made a network or volume.
struct Holder<'a> {
    labels: Option<&'a Labels>,
    made_for: Option<&'a ObjectId>,
}

fn holders<'a>(live: &'a Live, (id, name): Wanted<'a>) -> impl Iterator<Item = Holder<'a>> {
    let is_network = word(id) == "network";
    let networks = live.networks.iter().filter(move |network| is_network && network.name == name);
    let volumes = live.volumes.iter().filter(move |volume| !is_network && volume.name == name);
    let networks = networks.map(|network| Holder { labels: network.labels.as_ref(), made_for: network.made_for.as_ref() });
    networks.chain(volumes.map(|volume| Holder { labels: volume.labels.as_ref(), made_for: volume.made_for.as_ref() }))
}

impl Holder<'_> {
    /// Applications of one installation settle among themselves who has what.
    fn is_for(&self, desired: &Desired, id: &ObjectId) -> bool {
        self.labels.is_some_and(|labels| labels.owner == desired.installation.owner) || self.made_for == Some(id)
    }

    fn who(&self, live: &Live, (id, name): Wanted<'_>) -> String {
        if let Some(labels) = self.labels {
            return format!("installation `{}` of driftless made it for `{}`", labels.owner, labels.object);
        }
        if let Some(made_for) = self.made_for {
            return format!("`docker compose` made it for `{made_for}`");
        }
        let uses = |container: &&Container| match word(id) {
            "network" => is_connected(container, name) || container.addresses.contains_key(name),
            _ => container.volumes.contains(name),
        };
        let users: Vec<&str> = live.containers.iter().filter(uses).map(|container| container.name.as_str()).take(3).collect();
        match users.is_empty() {
            true => "somebody else made it, and no container uses it".to_owned(),
            false => format!("somebody else made it, and `{}` uses it", users.join("`, `")),
        }
    }
}
