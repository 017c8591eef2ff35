//! Removing what Git no longer has: last, and never everything by accident.

use crate::host::Step;
use crate::name::ObjectId;

use super::draft::Draft;
use super::replica::{Replica, Standing};
use super::view::View;
use super::{status, workload};

/// Adds the steps for replicas of workloads that Git no longer has.
pub(super) fn plan(view: &View<'_>, draft: &mut Draft<'_>) {
    let gone: Vec<(&ObjectId, &[Replica<'_>])> =
        view.all_replicas().filter(|(id, _)| !view.desired.workloads.contains_key(id) && view.claimed_by(id).is_none()).collect();
    for replica in gone.iter().flat_map(|(_, replicas)| replicas.iter()) {
        workload::traffic(view, std::time::Duration::ZERO, replica, draft);
        workload::leaving(view, replica, draft);
    }
    let staying: Vec<(&ObjectId, Vec<&Replica<'_>>)> = gone
        .into_iter()
        .map(|(id, replicas)| {
            (id, replicas.iter().filter(|replica| replica.standing != Standing::Leaving && !replica.busy).collect::<Vec<_>>())
        })
        .filter(|(_, replicas)| !replicas.is_empty())
        .collect();
    if staying.is_empty() || !view.applies() {
        return;
    }
    let reason = refusal(view);
    for (id, replicas) in staying {
        match &reason {
            Some(reason) if !needed_elsewhere(view, &replicas) || !view.desired.settings.prune => {
                draft.hold(id.to_string(), reason.clone(), None)
            }
            _ => {
                for replica in replicas {
                    let step = Step::Leave { replica: replica.id.clone(), container: replica.container.id.clone() };
                    draft.supersede(step, "no longer in Git");
                }
            }
        }
    }
}

/// Returns why nothing is removed now.
fn refusal(view: &View<'_>) -> Option<String> {
    let desired = view.desired;
    if !desired.settings.prune {
        return Some("no longer in Git; `prune: false` keeps it".to_owned());
    }
    if desired.workloads.is_empty() && view.observed.record.prune_all.as_ref() != Some(&desired.revision) {
        return Some("this revision would remove everything; `driftless apply --prune-all` permits it".to_owned());
    }
    let unsettled = desired.workloads.values().find(|workload| !status::is_settled(view, workload));
    unsettled.map(|workload| format!("no longer in Git; removed when {} is healthy", workload.id))
}

/// Tells whether a workload of this revision waits for what only one can have and these replicas hold.
fn needed_elsewhere(view: &View<'_>, replicas: &[&Replica<'_>]) -> bool {
    use crate::desired::Exclusive;
    let wanted = view.desired.workloads.values().flat_map(|workload| &workload.exclusive);
    wanted.into_iter().any(|exclusive| {
        replicas.iter().any(|replica| match exclusive {
            Exclusive::Volume(id) => {
                view.desired.volumes.get(id).is_some_and(|volume| replica.container.writes.contains(&volume.host_name))
            }
            Exclusive::HostPort(protocol, port) => {
                replica.container.published.iter().any(|held| held.protocol == *protocol && held.host_port == *port)
            }
        })
    })
}
