//! Which image a tag named when replicas were started from it: a tag moves, what was started does not.

use crate::desired::Desired;
use crate::name::ObjectId;
use crate::observed::{Record, RunningImage};
use crate::plan::Plan;

/// A workload runs an image that it did not run before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The workload.
    pub workload: ObjectId,
    /// The digest for which the image's name stood before, if it ran one of that name.
    pub before: Option<String>,
    /// The image.
    pub image: RunningImage,
}

/// Notes what the images of settled workloads are; returns those that are others than before.
pub(super) fn note(record: &mut Record, plan: &Plan, desired: &Desired) -> Vec<Started> {
    record.images.retain(|id, _| desired.workloads.contains_key(id));
    let mut started = Vec::new();
    for status in plan.workloads.iter().filter(|status| status.settled && !status.images.is_empty()) {
        let known = record.images.insert(status.object.clone(), status.images.clone()).unwrap_or_default();
        let before = |image: &RunningImage| known.iter().find(|known| known.image == image.image).map(|known| known.digest.clone());
        let new = status.images.iter().filter(|image| !known.contains(image));
        started.extend(new.map(|image| Started { workload: status.object.clone(), before: before(image), image: image.clone() }));
    }
    started
}
