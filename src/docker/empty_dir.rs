//! Folders that live and die with a replica: one volume each, removed with its container.

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptions, ListVolumesOptions, RemoveVolumeOptions, UploadToContainerOptions};

use crate::desired::EmptyDir;
use crate::host::Class;
use crate::name::Name;

use super::archive::Archive;
use super::body::Replica;
use super::error::{Accept, During, Error};
use super::{Docker, label, labelled, name, pause};

impl Docker {
    /// Makes the volumes of a replica's emptyDirs; what an earlier replica of the name left is removed.
    pub(super) async fn create_empty_dirs(&self, replica: &Replica<'_>) -> Result<(), Error> {
        let container = replica.name();
        let mut on_disk = Vec::new();
        if !replica.workload.template.empty_dirs.is_empty() {
            self.remove_empty_dirs(&container).await?;
        }
        for (dir, EmptyDir { memory, size_limit }) in &replica.workload.template.empty_dirs {
            let volume = name::empty_dir(&container, dir);
            let mut options = label::map([("type", "tmpfs".to_owned()), ("device", "tmpfs".to_owned())]);
            options.extend(size_limit.map(|bytes| ("o".to_owned(), format!("size={bytes}"))));
            let labels = label::map([
                (label::OWNER, self.inner.installation.owner.to_string()),
                (label::APPLICATION, replica.desired.application.to_string()),
                (label::EMPTY_DIR, dir.to_string()),
                (label::EMPTY_DIR_OF, container.clone()),
            ]);
            let request = VolumeCreateRequest {
                name: Some(volume.clone()),
                driver_opts: memory.then_some(options),
                labels: Some(labels.clone()),
                ..VolumeCreateRequest::default()
            };
            // An existing volume is returned as it is, whatever its labels.
            let created =
                self.timed("create_volume", self.inner.client.create_volume(request)).await.during("create the volume", &volume)?;
            if created.labels != labels {
                return Err(Error::refused(Class::User, "create the volume", volume, "a volume of this name is there and is not ours"));
            }
            if !memory {
                on_disk.push(volume);
            }
        }
        match on_disk.is_empty() {
            true => Ok(()),
            false => self.open(&replica.desired.application, &container, &on_disk).await,
        }
    }

    /// Lets every user write into some volumes, as into an emptyDir of Kubernetes. A new volume belongs
    /// to root, and only an archive that holds the folder itself changes that.
    async fn open(&self, application: &Name, container: &str, volumes: &[String]) -> Result<(), Error> {
        self.ensure_pause().await?;
        let opener = name::opener(container);
        self.remove_unseen(&opener).await?;
        let mut archive = Archive::default();
        let mut mounts = Vec::new();
        for (index, volume) in volumes.iter().enumerate() {
            archive.folder(&format!("volume-{index}"), 0o777);
            mounts.push(Mount {
                typ: Some(MountType::VOLUME),
                source: Some(volume.clone()),
                target: Some(format!("/volume-{index}")),
                ..Mount::default()
            });
        }
        let labels = label::map([
            (label::OWNER, self.inner.installation.owner.to_string()),
            (label::APPLICATION, application.to_string()),
            (label::STAGING, container.to_owned()),
        ]);
        let body = ContainerCreateBody {
            image: Some(pause::IMAGE.to_owned()),
            labels: Some(labels),
            host_config: Some(HostConfig { mounts: Some(mounts), network_mode: Some("none".to_owned()), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions { name: Some(opener.clone()), ..CreateContainerOptions::default() };
        self.timed("create_container", self.inner.client.create_container(Some(options), body)).await.during("create", &opener)?;
        let options = UploadToContainerOptions { path: "/".to_owned(), ..UploadToContainerOptions::default() };
        let body = bollard::body_full(archive.finish().into());
        let opened = self
            .timed("upload_to_container", self.inner.client.upload_to_container(&opener, Some(options), body))
            .await
            .during("open the folders of", container);
        self.remove_unseen(&opener).await?;
        opened
    }

    /// Removes the volumes of the emptyDirs of a container that has been removed.
    pub(super) async fn remove_empty_dirs(&self, container: &str) -> Result<(), Error> {
        let options = ListVolumesOptions { filters: Some(labelled(format!("{}={container}", label::EMPTY_DIR_OF))) };
        let volumes =
            self.timed("list_volumes", self.inner.client.list_volumes(Some(options))).await.during("list the volumes of", container)?;
        for volume in volumes.volumes.unwrap_or_default() {
            if volume.labels.get(label::OWNER).map(String::as_str) != Some(self.inner.installation.owner.as_str()) {
                continue;
            }
            // 409: a replica that was given the name meanwhile has it.
            let removed = self.timed("remove_volume", self.inner.client.remove_volume(&volume.name, None::<RemoveVolumeOptions>)).await;
            self.inner.watch().touch_volumes();
            removed.accept(&[404, 409]).during("remove the volume", &volume.name)?;
        }
        Ok(())
    }
}
