//! Delivers files: one volume per content, filled through the engine's API alone.
//!
//! A volume that is being filled comes into being together with a never-started container named
//! `…-filling`, and that name is changed to `…-staged` when every byte is there; it stays until a replica holds
//! the volume. So a volume counts as complete exactly if some container other than `…-filling` mounts it, also
//! after a crash of ours or of the engine, which makes the volume before the container, at any point.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, RemoveVolumeOptions, RenameContainerOptions,
    UploadToContainerOptions,
};

use crate::desired::{Content, ContentId, Desired};
use crate::host::Class;
use crate::name::{Kind, Name, ObjectId};

use super::archive::Archive;
use super::error::{Accept, During, Error, status};
use super::{Docker, label, name, pause};

/// Where the volume is mounted in the container that fills it.
const TARGET: &str = "/content";

impl Docker {
    pub(super) async fn deliver(&self, id: &ContentId, desired: &Desired) -> Result<(), Error> {
        let content = desired
            .contents
            .get(id)
            .ok_or_else(|| Error::refused(Class::Internal, "deliver", &id.0, "it is not part of the application"))?;
        let volume = name::content(&desired.installation.owner, &desired.application, id);
        let filling = name::filling(&volume);
        // One that is left over was interrupted; its volume is filled again from the beginning.
        let was_interrupted = self.remove_unseen(&filling).await?;
        if !was_interrupted && self.is_held(&volume).await? && self.is_delivered(&volume, id).await? {
            return Ok(());
        }
        self.ensure_pause().await?;
        let body = staging(&volume, id, desired)?;
        let options = CreateContainerOptions { name: Some(filling.clone()), ..CreateContainerOptions::default() };
        self.timed("create_container", self.inner.client.create_container(Some(options), body)).await.during("deliver", &volume)?;
        if !self.is_delivered(&volume, id).await? {
            self.remove_unseen(&filling).await?;
            return Err(Error::refused(Class::User, "deliver", &volume, "a volume of this name is there and is not ours"));
        }
        self.fill(&filling, content).await?;
        self.remove_unseen(&name::staged(&volume)).await?;
        let renamed = self
            .timed("rename_container", self.inner.client.rename_container(&filling, RenameContainerOptions { name: name::staged(&volume) }))
            .await;
        renamed.during("deliver", &volume)
    }

    async fn is_held(&self, volume: &str) -> Result<bool, Error> {
        let filters = HashMap::from([("volume".to_owned(), vec![volume.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
        Ok(!self.timed("list_containers", self.inner.client.list_containers(Some(options))).await.during("look for", volume)?.is_empty())
    }

    async fn fill(&self, container: &str, content: &Content) -> Result<(), Error> {
        let options = UploadToContainerOptions { path: TARGET.to_owned(), ..UploadToContainerOptions::default() };
        let body = bollard::body_full(archive(content).into());
        self.timed("upload_to_container", self.inner.client.upload_to_container(container, Some(options), body))
            .await
            .during("deliver", container)
    }

    /// Tells whether the volume is there and says that it holds this content.
    async fn is_delivered(&self, volume: &str, id: &ContentId) -> Result<bool, Error> {
        match self.timed("inspect_volume", self.inner.client.inspect_volume(volume)).await {
            Ok(found) => {
                let labels = label::read_object(&found.labels);
                Ok(labels.is_some_and(|labels| {
                    labels.owner == self.inner.installation.owner
                        && labels.object.kind == Kind::Content
                        && labels.object.name.as_str() == id.0
                }))
            }
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(error).during("look for", volume),
        }
    }

    pub(super) async fn remove_content(&self, id: &ContentId, volume: &str) -> Result<(), Error> {
        if !self.is_delivered(volume, id).await? {
            return Ok(());
        }
        for staging in [name::staged(volume), name::filling(volume)] {
            self.remove_unseen(&staging).await?;
        }
        self.remove_volume(volume).await
    }

    /// Removes what kept a delivered volume until a replica holds it.
    pub(super) async fn unstage(&self, volume: &str) {
        // It costs nothing but a line in a list; `RemoveContent` removes it at the latest.
        if let Err(error) = self.remove_unseen(&name::staged(volume)).await {
            tracing::debug!(%volume, error = %error.failure().message, "kept the staging container");
        }
    }

    /// Removes a container that is not meant to be seen; returns whether it was there.
    pub(super) async fn remove_unseen(&self, container: &str) -> Result<bool, Error> {
        let Some(found) = self.inspect(container).await? else { return Ok(false) };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let owner = labels.get(label::OWNER).map(String::as_str);
        if !labels.contains_key(label::STAGING) || owner != Some(self.inner.installation.owner.as_str()) {
            return Err(Error::refused(Class::User, "remove", container, "a container of this name is there and is not ours"));
        }
        let options = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        self.remove_container(container, options, container).await?;
        Ok(true)
    }

    pub(super) async fn remove_volume(&self, volume: &str) -> Result<(), Error> {
        let removed = self.timed("remove_volume", self.inner.client.remove_volume(volume, None::<RemoveVolumeOptions>)).await;
        // The engine's own word may come later than the next look.
        self.inner.watch().touch_volumes();
        removed.accept(&[404]).during("remove the volume", volume)
    }
}

fn staging(volume: &str, id: &ContentId, desired: &Desired) -> Result<ContainerCreateBody, Error> {
    let owner = &desired.installation.owner;
    let object = Name::try_from(id.0.as_str())
        .map(|name| ObjectId::new(desired.application.clone(), Kind::Content, name))
        .map_err(|error| Error::refused(Class::Internal, "deliver", &id.0, format!("its id {error}")))?;
    let mut labels = label::object(owner, Some(&desired.application), &object);
    let mount = Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(TARGET.to_owned()),
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), labels: Some(labels.clone()), ..MountVolumeOptions::default() }),
        ..Mount::default()
    };
    labels.insert(label::STAGING.to_owned(), volume.to_owned());
    Ok(ContainerCreateBody {
        image: Some(pause::IMAGE.to_owned()),
        labels: Some(labels),
        host_config: Some(HostConfig { mounts: Some(vec![mount]), network_mode: Some("none".to_owned()), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    })
}

fn archive(content: &Content) -> Vec<u8> {
    let mut archive = Archive::default();
    for (path, file) in &content.files {
        archive.file(path, file.bytes.expose(), file.mode);
    }
    archive.finish()
}
