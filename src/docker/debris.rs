//! What steps that were cut short left behind: a staging container whose volume a replica holds by now, one
//! that opened the folders of a replica, and the folders of a replica that is no more.
//!
//! A `…-filling` container says that its volume is not complete. `deliver` comes back to it, unless nobody wants that
//! content any more.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerSummary, Volume};

use crate::desired::ContentId;
use crate::name::{Kind, Name};
use crate::observed::Debris;

use super::error::{During, Error, status};
use super::{Docker, label, name};

impl Docker {
    /// Removes what a step that was cut short left behind. What is in use by now is left alone.
    pub(super) async fn clear(&self, debris: &str) -> Result<(), Error> {
        let _alone = self.inner.making.write().await;
        if self.remove_unseen(debris).await? {
            return Ok(());
        }
        let found = match self.timed("inspect_volume", self.inner.client.inspect_volume(debris)).await {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(error).during("look for", debris),
        };
        let Some(replica) = replica_of(&found, &self.inner.installation.owner) else { return Ok(()) };
        // A replica of that name may be there again. Mounting a part of a volume does not hold it.
        if self.inspect(replica).await?.is_some() {
            return Ok(());
        }
        match self.remove_volume(debris).await {
            Err(Error::Call { source, .. }) if status(&source) == Some(409) => Ok(()),
            removed => removed,
        }
    }
}

/// Finds what steps that were cut short left behind.
pub(super) fn find(containers: &[ContainerSummary], volumes: &[Volume], owner: &Name) -> Vec<Debris> {
    let debris = |name: &str, labels: &HashMap<String, String>| {
        let application = Name::try_from(labels.get(label::APPLICATION)?.as_str()).ok()?;
        Some(Debris { name: name.to_owned(), owner: owner.clone(), application, content: None })
    };
    let is_own = |labels: &HashMap<String, String>| labels.get(label::OWNER).map(String::as_str) == Some(owner.as_str());
    let staging = |container: &&ContainerSummary| container.labels.as_ref().is_some_and(|labels| labels.contains_key(label::STAGING));
    let held: BTreeSet<&str> = containers.iter().filter(|container| !staging(container)).flat_map(mounted).collect();
    let left = containers.iter().filter_map(|container| {
        let labels = container.labels.as_ref().filter(|labels| is_own(labels))?;
        let staged = labels.get(label::STAGING)?;
        let name = name_of(container)?;
        if name == name::filling(staged) {
            let content = label::read_object(labels).filter(|labels| labels.object.kind == Kind::Content)?.object.name;
            return Some(Debris { content: Some(ContentId(content.to_string())), ..debris(name, labels)? });
        }
        let useless = name == name::staged(staged) && held.contains(staged.as_str()) || name == name::opener(staged);
        useless.then(|| debris(name, labels)).flatten()
    });
    let used: BTreeSet<&str> = containers.iter().flat_map(mounted).collect();
    let there: BTreeSet<&str> =
        containers.iter().filter_map(|container| Some(name::without_mark(name_of(container)?, container.id.as_deref()?).0)).collect();
    let folders = volumes
        .iter()
        .filter(|volume| replica_of(volume, owner).is_some_and(|replica| !there.contains(replica)) && !used.contains(volume.name.as_str()));
    left.chain(folders.filter_map(|volume| debris(&volume.name, &volume.labels))).collect()
}

/// Returns the name of the container whose folder a volume is, if it is one.
fn replica_of<'a>(volume: &'a Volume, owner: &Name) -> Option<&'a str> {
    let is_own = volume.labels.get(label::OWNER).map(String::as_str) == Some(owner.as_str());
    volume.labels.get(label::EMPTY_DIR_OF).filter(|_| is_own).map(String::as_str)
}

fn name_of(container: &ContainerSummary) -> Option<&str> {
    Some(container.names.iter().flatten().next()?.trim_start_matches('/'))
}

/// Returns the names of the volumes that a container mounts.
pub(super) fn mounted(container: &ContainerSummary) -> impl Iterator<Item = &str> {
    container.mounts.iter().flatten().filter_map(|mount| mount.name.as_deref())
}

#[cfg(test)]
mod tests {
    use bollard::models::MountPoint;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let own = [(label::OWNER, "o1"), (label::APPLICATION, "shop")];
        own.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn container(name: &str, id: &str, volume: &str, pairs: &[(&str, &str)]) -> ContainerSummary {
        let mount = MountPoint { name: Some(volume.to_owned()), ..MountPoint::default() };
        ContainerSummary {
            id: Some(id.to_owned()),
            names: Some(vec![format!("/{name}")]),
            mounts: Some(vec![mount]),
            labels: Some(labels(pairs)),
            ..ContainerSummary::default()
        }
    }

    fn folder(name: &str, of: &str) -> Volume {
        Volume { name: name.to_owned(), labels: labels(&[(label::EMPTY_DIR_OF, of)]), ..Volume::default() }
    }

    #[test]
    fn only_what_nothing_uses_and_no_step_comes_back_to_is_debris() {
        let staged = |volume: &str| container(&format!("{volume}-staged"), "s", volume, &[(label::STAGING, volume)]);
        let containers = [
            staged("held"),
            staged("waited-for"),
            container("half-filling", "f", "half", &[(label::STAGING, "half")]),
            // Whether anybody still wants it is not known here.
            container("part-filling", "p", "part", &[(label::STAGING, "part"), (label::OBJECT, "shop/Content/c1")]),
            container("web_a-opener", "o", "web_a_tmp", &[(label::STAGING, "web_a")]),
            container("web_b", "b", "held", &[]),
            // It leaves, and mounts a part of its folder only.
            container("web_c-leaving-0123456789ab", "0123456789abcdef", "held", &[]),
        ];
        let folders = [folder("web_b_tmp", "web_b"), folder("web_c_tmp", "web_c"), folder("web_d_tmp", "web_d")];
        let data = Volume { name: "data".to_owned(), labels: labels(&[]), ..Volume::default() };
        let volumes: Vec<Volume> = folders.into_iter().chain([data]).collect();
        let owner = Name::try_from("o1").expect("a name");
        let found = find(&containers, &volumes, &owner).into_iter().map(|debris| (debris.name, debris.content.map(|content| content.0)));
        let found: Vec<(String, Option<String>)> = found.collect();
        let expected = [("held-staged", None), ("part-filling", Some("c1")), ("web_a-opener", None), ("web_d_tmp", None)];
        assert_eq!(found, expected.map(|(name, content)| (name.to_owned(), content.map(str::to_owned))));
        let other = Name::try_from("o2").expect("a name");
        assert_eq!(find(&containers, &volumes, &other), []);
    }
}
