//! What each step does to the simulated host.
//!
//! It does what a step means, the same way however often it is asked, and nothing of how Docker does it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::desired::{Care, ContainerSpec, Desired, MountSource, Workload, field};
use crate::hash::FieldValue;
use crate::host::{Class, Failure, Outcome, Step};
use crate::name::{Kind, Name, ObjectId};
use crate::observed::{Container, Field, Labels, Network, State, Volume};

use super::Host;

impl Host {
    pub(super) fn carry_out(&mut self, step: &Step, desired: &Desired) -> Outcome {
        let owner = &desired.installation.owner;
        let now = self.now;
        match step {
            Step::Pull { image } => return self.pull(image),
            Step::CreateNetwork { network } => {
                self.live.made.extend(
                    desired.networks.get(network).map(|wanted| ((network.clone(), wanted.host_name.clone()), wanted.options.fields())),
                );
                let name = desired.networks.get(network).map(|network| network.host_name.clone()).unwrap_or_default();
                self.live.networks.retain(|known| known.name != name);
                self.live.networks.push(Network {
                    id: name.clone(),
                    name,
                    labels: Some(labels(desired, network.clone(), "")),
                    made_for: None,
                    subnets: Vec::new(),
                });
            }
            Step::CreateVolume { volume } => {
                self.live.made.extend(
                    desired.volumes.get(volume).map(|wanted| ((volume.clone(), wanted.host_name.clone()), wanted.options.fields())),
                );
                let name = desired.volumes.get(volume).map(|volume| volume.host_name.clone()).unwrap_or_default();
                self.live.volumes.push(Volume { name, labels: Some(labels(desired, volume.clone(), "")), made_for: None, held: true });
            }
            Step::Deliver { content } => {
                let id =
                    ObjectId::new(owner.clone(), Kind::Content, Name::try_from(content.0.as_str()).expect("content ids are hexadecimal"));
                self.live.volumes.push(Volume {
                    name: content_volume(&content.0),
                    labels: Some(labels(desired, id, "")),
                    made_for: None,
                    held: true,
                });
            }
            Step::Clear { debris } => self.live.debris.retain(|known| known.name != *debris),
            Step::RemoveContent { volume, .. } => self.live.volumes.retain(|known| known.name != *volume),
            Step::CreateFront { front } => {
                let Some(wanted) = desired.fronts.get(front) else { return Ok(()) };
                let mut labels = labels(desired, front.clone(), "");
                if !wanted.shared {
                    labels.hash = Some(wanted.hash(&desired.installation.key));
                }
                let mut container = self.container(wanted.host_name.clone(), Some(labels), wanted.networks.first().cloned());
                container.image = "pause".to_owned();
                for network in &wanted.networks {
                    connect(&mut container, network, wanted.aliases.get(network));
                }
                let hash = |container: &Container| container.labels.as_ref().and_then(|labels| labels.hash.clone());
                self.live.containers.retain(|known| known.name != container.name || hash(known) == hash(&container));
                if !self.live.containers.iter().any(|known| known.name == container.name) {
                    self.live.containers.push(container);
                }
            }
            Step::Create { replica } => return self.create(replica, desired),
            Step::Start { container, .. } | Step::Unpause { container, .. } => self.with(container, |container| {
                container.state = State::Running;
                container.started = Some(now);
                container.stopped_by_hand = None;
            }),
            Step::Restart { container, .. } => self.with(container, |container| container.started = Some(now)),
            Step::Update { object, container } => {
                if let Some(spec) = desired.workloads.get(&object.workload()).and_then(|workload| workload.spec.containers.values().next())
                {
                    let fields = public(&spec.in_place);
                    self.with(container, |container| container.fields.extend(fields));
                }
            }
            Step::Connect { object, container, network } => {
                let address = self.next_address();
                let front = desired.fronts.get(object).and_then(|front| front.aliases.get(network));
                let workload = desired.workloads.get(&object.workload());
                let names = workload.and_then(|workload| workload.template.options.aliases.get(network)).or(front);
                self.with(container, |container| {
                    connect(container, network, names);
                    container.addresses.insert(network.clone(), address);
                });
            }
            Step::Rename { container, .. } => self.with(container, |container| {
                if let Some(claimed) = container.claims.take() {
                    (container.name, container.labels, container.impostor) = (claimed.name, Some(claimed.labels), false);
                }
            }),
            Step::Disconnect { container, network, .. } => self.with(container, |container| {
                container.fields.remove(&field::network(network));
                container.fields.remove(&field::aliases(network));
                container.addresses.remove(network);
            }),
            Step::RemoveNetwork { id, .. } => self.live.networks.retain(|known| known.id != *id),
            Step::Leave { container, .. } => self.with(container, |container| {
                if !container.leaving {
                    container.leaving = true;
                    container.name = format!("{}-leaving-{}", container.name, container.id);
                }
            }),
            Step::Stop { container, .. } => self.with(container, |container| {
                container.state = State::Exited(0);
                container.finished = Some(now);
                container.addresses.clear();
            }),
            Step::Remove { container, .. } => self.live.containers.retain(|known| known.id != *container),
            Step::Join { .. } | Step::Withdraw { .. } => {}
        }
        Ok(())
    }

    fn pull(&mut self, image: &str) -> Outcome {
        if self.scene.missing.contains(image) {
            return Err(Failure { class: Class::Waiting, message: format!("image `{image}` is not in its registry yet") });
        }
        self.live.images.insert(image.to_owned(), format!("sha256:{image}"));
        Ok(())
    }

    fn create(&mut self, replica: &ObjectId, desired: &Desired) -> Outcome {
        let Some(workload) = desired.workloads.get(&replica.workload()) else {
            return Err(Failure { class: Class::Internal, message: format!("{replica} is not in the desired state") });
        };
        let suffix = replica.replica.as_ref().map(Name::as_str).unwrap_or_default();
        let name = format!("{}_{}_{suffix}", replica.namespace, replica.name);
        let now = self.now;
        if let Some(known) = self.live.containers.iter_mut().find(|known| known.name == name) {
            if known.state == State::Created {
                known.state = State::Running;
                known.started = Some(now);
            }
            return Ok(());
        }
        let Some(wanted) = workload.template.containers.first() else { return Ok(()) };
        let labels = Labels { hash: Some(workload.hash.clone()), ..labels(desired, replica.clone(), wanted.name.as_str()) };
        let mut container = self.container(name, Some(labels), workload.template.networks.first().cloned());
        container.image = wanted.image.clone();
        container.image_id = self.live.images.get(&wanted.image).cloned().unwrap_or_default();
        container.published = workload.template.ports.iter().cloned().collect();
        container.care = Some(Care::new(workload, desired));
        container.fields = fields(workload);
        if let Some(name) = workload.template.options.shares_network_of() {
            let owner = self.live.containers.iter().rev().find(|known| {
                let is_owner = |labels: &Labels| labels.is_replica() && labels.object.name.as_str() == name;
                known.is_running() && !known.leaving && known.labels.as_ref().is_some_and(is_owner)
            });
            let Some(owner) = owner else {
                let message = format!("failed to create {replica}: the replica whose network it shares does not run");
                return Err(Failure { class: Class::Host, message });
            };
            let mode = Field { value: format!("container:{}", owner.id), inherited: false };
            container.fields.insert(field::NETWORK_MODE.to_owned(), mode);
        }
        for mount in &wanted.mounts {
            let volume = match &mount.source {
                MountSource::Volume(id) => desired.volumes.get(id).map(|volume| volume.host_name.clone()),
                MountSource::Content(id) => Some(content_volume(&id.0)),
                MountSource::External(name) => Some(name.clone()),
                MountSource::EmptyDir(_) | MountSource::Host { .. } => None,
            };
            container.volumes.extend(volume.clone());
            if !mount.read_only {
                container.writes.extend(volume);
            }
        }
        self.live.containers.push(container);
        Ok(())
    }

    pub(super) fn container(&mut self, name: String, labels: Option<Labels>, network: Option<String>) -> Container {
        self.next_id += 1;
        let address = self.next_address();
        Container {
            id: format!("c{}", self.next_id),
            name,
            labels,
            impostor: false,
            claims: None,
            state: State::Running,
            leaving: false,
            created: self.now,
            started: Some(self.now),
            finished: None,
            stopped_by_hand: None,
            restarts: 0,
            exit_code: None,
            image: String::new(),
            image_id: String::new(),
            addresses: network.into_iter().map(|network| (network, address)).collect(),
            published: BTreeSet::new(),
            writes: BTreeSet::new(),
            volumes: BTreeSet::new(),
            fields: BTreeMap::new(),
            care: None,
            health: None,
            unread: None,
        }
    }

    fn next_address(&mut self) -> Ipv4Addr {
        self.next_id += 1;
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 64, 0, 10)) + self.next_id)
    }

    fn with(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.live.containers.iter_mut().find(|known| known.id == id) {
            change(container);
        }
    }
}

fn connect(container: &mut Container, network: &str, names: Option<&BTreeSet<String>>) {
    let text = |value: String| Field { value, inherited: false };
    container.fields.insert(field::network(network), text("connected".to_owned()));
    if let Some(names) = names {
        container.fields.insert(field::aliases(network), text(serde_json::to_string(names).expect("texts become JSON")));
    }
}

fn content_volume(id: &str) -> String {
    format!("content_{id}")
}

fn labels(desired: &Desired, object: ObjectId, container: &str) -> Labels {
    let shared = desired.fronts.get(&object).is_some_and(|front| front.shared)
        || desired.networks.get(&object).is_some_and(|network| network.shared);
    Labels {
        owner: desired.installation.owner.clone(),
        application: (!shared).then(|| desired.application.clone()),
        object,
        container: container.to_owned(),
        hash: None,
        created_revision: desired.revision.clone(),
        front: None,
    }
}

/// Returns the fields that a container of a workload has.
fn fields(workload: &Workload) -> BTreeMap<String, Field> {
    let mut fields = public(&workload.spec.replica);
    if let Some(ContainerSpec { fields: own, in_place }) = workload.spec.containers.values().next() {
        fields.extend(public(own));
        fields.extend(public(in_place));
    }
    fields
}

fn public(fields: &crate::hash::Fields) -> BTreeMap<String, Field> {
    let text = |value: &FieldValue| match value {
        FieldValue::Public(text) | FieldValue::Computed(text) | FieldValue::Secret(text) | FieldValue::Keyed(text) => text.clone(),
    };
    fields.iter().map(|(path, value)| (path.clone(), Field { value: text(value), inherited: false })).collect()
}
