//! Steps on containers that are there: they start, change, leave, stop and go.

use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ContainerUpdateBody};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, RemoveContainerOptions, RenameContainerOptions, RestartContainerOptions,
    StartContainerOptions, StopContainerOptions,
};

use crate::desired::{Care, Desired, Hook, Options, Resources, Restart};
use crate::host::Class;
use crate::name::{Kind, ObjectId};

use super::body::{self, Limits};
use super::error::{Accept, During, Error, is_being_removed, is_ending, status};
use super::{Docker, answer, label, name, read};

/// What is left of the grace period after a slow `preStop`, as in Kubernetes.
const LEAST_GRACE: Duration = Duration::from_secs(2);
/// How long after its own call the engine may tell of a stop.
const STOP_ECHO: Duration = Duration::from_secs(1);
/// How long a hook after the start may take; Kubernetes sets no limit.
const POST_START_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than the grace period the engine may take to answer.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How long a removal that somebody else began may take.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(60);
/// How often, and how soon, a container is renamed again that was ending just then.
const RENAMES: u32 = 25;
const RENAME_PAUSE: Duration = Duration::from_millis(200);
/// How soon somebody else's removal is looked at again.
const LOOK: Duration = Duration::from_millis(100);

impl Docker {
    /// Starts a container and runs its hook after the start.
    pub(super) async fn start(&self, container: &str) -> Result<(), Error> {
        let found = self.inspect_present("start", container).await?;
        if answer::is_up(&found) {
            return Ok(());
        }
        let started = self.timed("start_container", self.inner.client.start_container(container, None::<StartContainerOptions>)).await;
        started.during("start", answer::name_of(&found))?;
        self.after_start(container, &found).await
    }

    /// Runs the hook after the start. As in Kubernetes the container is killed if it fails; it then
    /// stays down until the plan starts it again.
    async fn after_start(&self, container: &str, before: &ContainerInspectResponse) -> Result<(), Error> {
        let Some(hook) = answer::json_label::<Hook>(before, label::POST_START) else { return Ok(()) };
        let Some(found) = self.inspect(container).await? else { return Ok(()) };
        let result = self.run_hook(container, &hook, answer::any_address(&found), POST_START_LIMIT).await;
        if result.is_err() {
            let killed = self.timed("kill_container", self.inner.client.kill_container(container, None::<KillContainerOptions>)).await;
            // 409: it has ended by itself.
            killed.accept(&[404, 409]).during("kill", answer::name_of(before))?;
        }
        result
    }

    /// Stops a container within its grace period and starts it again, in one call: the engine finishes
    /// it whatever happens to us.
    pub(super) async fn restart(&self, container: &str) -> Result<(), Error> {
        let found = self.inspect_present("restart", container).await?;
        if !answer::is_up(&found) {
            return self.start(container).await;
        }
        let left = self.before_stop(container, &found).await;
        let options = RestartContainerOptions { signal: None, t: whole_seconds(left) };
        let client = self.inner.client.clone().with_timeout(left + STOP_PATIENCE);
        self.begin_stop(&found, left);
        let restarted = self.timed("restart_container", client.restart_container(container, Some(options))).await;
        self.end_stop(&found);
        restarted.during("restart", answer::name_of(&found))?;
        self.after_start(container, &found).await
    }

    pub(super) async fn unpause(&self, container: &str) -> Result<(), Error> {
        let found = self.inspect_present("resume", container).await?;
        match answer::is_paused(&found) {
            true => self
                .timed("unpause_container", self.inner.client.unpause_container(container))
                .await
                .during("resume", answer::name_of(&found)),
            false => Ok(()),
        }
    }

    pub(super) async fn update(&self, id: &ObjectId, container: &str, desired: &Desired) -> Result<(), Error> {
        let workload = desired.workloads.get(&id.workload()).ok_or_else(|| super::unknown("update", id))?;
        let resources = workload.template.containers.first().map(|container| container.resources).unwrap_or_default();
        let found = self.inspect_present("update", container).await?;
        let name = answer::name_of(&found);
        let Options { retries, pids_limit, cpuset, memswap_limit, .. } = &workload.template.options;
        if let Some(limit) = removed_limit(&found, &resources, cpuset.as_deref()) {
            let reason = format!("{limit} cannot be taken off a live container; it needs a new one");
            return Err(Error::refused(Class::User, "update", name, reason));
        }
        let Limits { nano_cpus, memory, cpu_shares, memory_reservation } = Limits::new(&resources);
        let mut policy = body::restart_policy(workload.restart);
        policy.maximum_retry_count = retries.map(i64::from);
        let update = ContainerUpdateBody {
            nano_cpus,
            memory,
            // Alone, memory is refused unless it is smaller than the swap in force.
            memory_swap: memswap_limit.or(memory),
            // 0 is as many as the engine allows.
            pids_limit: Some(pids_limit.and_then(|number| i64::try_from(number).ok()).unwrap_or(0)),
            cpuset_cpus: cpuset.clone(),
            // 1,024 is the weight of a container without any.
            cpu_shares: Some(cpu_shares.unwrap_or(1024)),
            memory_reservation,
            restart_policy: Some(policy),
            ..ContainerUpdateBody::default()
        };
        self.timed("update_container", self.inner.client.update_container(container, update)).await.during("update", name)
    }

    /// Gives a container that somebody renamed its name back; the mark of one that leaves stays.
    pub(super) async fn rename(&self, container: &str) -> Result<(), Error> {
        let found = self.inspect_present("rename", container).await?;
        let marks = found.config.as_ref().and_then(|config| config.labels.as_ref());
        let labels = marks.and_then(label::read_container);
        let (Some(marks), Some(labels)) = (marks, labels) else { return Ok(()) };
        let wanted = marks.get(label::NAME).cloned().unwrap_or_else(|| name::expected(&labels));
        let id = found.id.as_deref().unwrap_or_default();
        let (base, leaves) = name::without_mark(answer::name_of(&found), id);
        if base == wanted {
            return Ok(());
        }
        let new = if leaves { name::leaving(&wanted, id) } else { wanted };
        self.call(container, answer::name_of(&found), &new).await
    }

    /// Gives a container another name. Up to Docker 20.10 the engine cannot while the container is just ending, and
    /// then keeps the old name.
    async fn call(&self, container: &str, old: &str, new: &str) -> Result<(), Error> {
        let mut left = RENAMES;
        loop {
            let options = RenameContainerOptions { name: new.to_owned() };
            match self.timed("rename_container", self.inner.client.rename_container(container, options)).await {
                Err(error) if left > 0 && is_ending(&error) => left -= 1,
                renamed => return renamed.during("rename", old),
            }
            tokio::time::sleep(RENAME_PAUSE).await;
        }
    }

    /// Marks a container as leaving: without restart policy, and renamed. Both are read back.
    pub(super) async fn leave(&self, container: &str) -> Result<(), Error> {
        let Some(found) = self.inspect_own("mark as leaving", container).await? else { return Ok(()) };
        let (name, id) = (answer::name_of(&found).to_owned(), found.id.clone().unwrap_or_default());
        if answer::restart_policy(&found) != "no" {
            let update = ContainerUpdateBody { restart_policy: Some(body::restart_policy(Restart::No)), ..ContainerUpdateBody::default() };
            self.timed("update_container", self.inner.client.update_container(container, update))
                .await
                .during("take the restart policy off", &name)?;
        }
        if !name::without_mark(&name, &id).1 {
            self.call(container, &name, &name::leaving(&name, &id)).await?;
        }
        let Some(found) = self.inspect(container).await? else { return Ok(()) };
        match answer::restart_policy(&found) == "no" && name::without_mark(answer::name_of(&found), &id).1 {
            true => Ok(()),
            false => Err(Error::refused(Class::Host, "mark as leaving", name, "the engine says done, but it is not")),
        }
    }

    /// Stops a container: its hook, the stop signal, and the kill when the grace period is over.
    pub(super) async fn stop(&self, container: &str) -> Result<(), Error> {
        let Some(found) = self.inspect_own("stop", container).await? else { return Ok(()) };
        if !answer::has_process(&found) {
            return Ok(());
        }
        let left = self.before_stop(container, &found).await;
        let options = StopContainerOptions { signal: None, t: whole_seconds(left) };
        // The engine answers when it is over, and finishes it even if we are gone.
        let client = self.inner.client.clone().with_timeout(left + STOP_PATIENCE);
        self.begin_stop(&found, left);
        let stopped = self.timed("stop_container", client.stop_container(container, Some(options))).await;
        self.end_stop(&found);
        stopped.accept(&[404]).during("stop", answer::name_of(&found))
    }

    /// Runs the hook before the stop; returns what is left of the grace period.
    async fn before_stop(&self, container: &str, found: &ContainerInspectResponse) -> Duration {
        let seconds = found.config.as_ref().and_then(|config| config.stop_timeout).unwrap_or(10);
        let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(10));
        let begun = Instant::now();
        let hook = answer::json_label::<Care>(found, label::CARE).and_then(|care| care.pre_stop);
        if let Some(hook) = hook.filter(|_| answer::is_running(found))
            && let Err(error) = self.run_hook(container, &hook, answer::any_address(found), grace).await
        {
            // A hook that fails or takes too long does not keep the container.
            tracing::warn!(container = answer::name_of(found), error = %error.failure().message, "the hook before the stop failed");
        }
        grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE.min(grace))
    }

    /// Remembers that the stop that follows is our own.
    fn begin_stop(&self, found: &ContainerInspectResponse, left: Duration) {
        let now = read::now();
        self.inner.watch().stop_ourselves(found.id.as_deref().unwrap_or_default(), now, now + left + STOP_PATIENCE);
    }

    fn end_stop(&self, found: &ContainerInspectResponse) {
        self.inner.watch().stopped_ourselves(found.id.as_deref().unwrap_or_default(), read::now() + STOP_ECHO);
    }

    /// Removes a stopped container and the volumes that live and die with it.
    pub(super) async fn remove(&self, object: &ObjectId, container: &str) -> Result<(), Error> {
        let found = self.inspect_own("remove", container).await?;
        let name = match &found {
            Some(found) => name::without_mark(answer::name_of(found), container).0.to_owned(),
            // A crash may have come between the container and its volumes.
            None => name::replica(object),
        };
        // A front has nothing to finish.
        let options = RemoveContainerOptions { v: true, force: object.kind == Kind::Front, ..RemoveContainerOptions::default() };
        self.remove_container(container, options, &name).await?;
        if object.replica.is_some() {
            self.remove_empty_dirs(&name).await?;
        }
        Ok(())
    }

    /// Removes a container, or waits until it has gone if somebody else is at it.
    pub(super) async fn remove_container(&self, container: &str, options: RemoveContainerOptions, name: &str) -> Result<(), Error> {
        let removed = self.timed("remove_container", self.inner.client.remove_container(container, Some(options))).await;
        if !removed.as_ref().is_err_and(is_being_removed) {
            return removed.accept(&[404]).during("remove", name);
        }
        let begun = Instant::now();
        while self.inspect(container).await?.is_some() {
            if begun.elapsed() >= REMOVAL_PATIENCE {
                return Err(Error::TimedOut { operation: "remove", object: name.to_owned(), limit: REMOVAL_PATIENCE });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn inspect_present(&self, operation: &'static str, container: &str) -> Result<ContainerInspectResponse, Error> {
        self.inspect_own(operation, container).await?.ok_or_else(|| Error::refused(Class::Host, operation, container, "it has gone"))
    }

    /// Inspects a container that is about to be changed: it must be ours.
    pub(super) async fn inspect_own(&self, operation: &'static str, container: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let found = self.inspect(container).await?;
        let owner = found.as_ref().map(|found| found.config.as_ref()?.labels.as_ref()?.get(label::OWNER).cloned());
        match owner {
            Some(owner) if owner.as_deref() != Some(self.inner.installation.owner.as_str()) => {
                Err(Error::refused(Class::Internal, operation, container, "it is not ours"))
            }
            _ => Ok(found),
        }
    }

    pub(super) async fn inspect(&self, container: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let options = InspectContainerOptions::default();
        match self.timed("inspect_container", self.inner.client.inspect_container(container, Some(options))).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).during("inspect", container),
        }
    }
}

fn whole_seconds(duration: Duration) -> Option<i32> {
    i32::try_from(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).ok()
}

/// Returns the limit that a live container has and its workload no longer asks for.
fn removed_limit(found: &ContainerInspectResponse, resources: &Resources, cpuset: Option<&str>) -> Option<&'static str> {
    let Some(config) = &found.host_config else { return None };
    let set = |value: Option<i64>| value.is_some_and(|value| value > 0);
    [
        (set(config.memory) && resources.memory_limit.is_none(), "a memory limit"),
        (set(config.nano_cpus) && resources.cpu_limit.is_none(), "a cpu limit"),
        (set(config.memory_reservation) && resources.memory_request.is_none(), "a memory reservation"),
        (config.cpuset_cpus.as_ref().is_some_and(|cores| !cores.is_empty()) && cpuset.is_none(), "a choice of cores"),
    ]
    .into_iter()
    .find_map(|(removed, limit)| removed.then_some(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::HostConfig;

    #[test]
    fn a_limit_that_is_no_longer_asked_for_is_named() {
        let found = ContainerInspectResponse {
            host_config: Some(HostConfig { memory: Some(1 << 20), ..HostConfig::default() }),
            ..ContainerInspectResponse::default()
        };
        assert_eq!(removed_limit(&found, &Resources::default(), None), Some("a memory limit"));
        let kept = Resources { memory_limit: Some(1 << 21), ..Resources::default() };
        assert_eq!(removed_limit(&found, &kept, None), None);
    }
}
