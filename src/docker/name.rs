//! The names that our containers and volumes have on the host.
//!
//! A container's name is the lock of its replica: the engine lets only one container have it, so a
//! step that is tried twice cannot make two.

use crate::desired::ContentId;
use crate::name::{Kind, Name, ObjectId};
use crate::observed::Labels;

/// Returns the name of a replica's container: `<namespace>_<workload>_<suffix>`, or of a Compose service
/// `<project>-<service>-<number>`.
pub(super) fn replica(id: &ObjectId) -> String {
    if id.kind == Kind::ComposeService {
        return format!("{}-{}-{}", id.namespace, id.name, suffix(id));
    }
    format!("{}_{}_{}", id.namespace, id.name, suffix(id))
}

/// Returns the name that a replica has for itself: `<workload>-<suffix>`.
pub(super) fn pod(id: &ObjectId) -> String {
    format!("{}-{}", id.name, suffix(id))
}

/// Returns a replica's host name: its own name, cut to the 63 characters of a DNS label.
pub(super) fn host(id: &ObjectId) -> String {
    let name = pod(id);
    match name.get(name.len().saturating_sub(63)..) {
        // The end is what tells replicas apart.
        Some(end) if name.len() > 63 => end.trim_start_matches(['-', '.', '_']).to_owned(),
        _ => name,
    }
}

fn suffix(id: &ObjectId) -> &str {
    id.replica.as_ref().map_or("", Name::as_str)
}

/// Returns the name of a container that leaves.
pub(super) fn leaving(name: &str, id: &str) -> String {
    format!("{name}{}", mark(id))
}

/// Returns the name of a container without the mark of one that leaves, and whether it had it.
pub(super) fn without_mark<'a>(name: &'a str, id: &str) -> (&'a str, bool) {
    match name.strip_suffix(&mark(id)) {
        Some(base) => (base, true),
        None => (name, false),
    }
}

fn mark(id: &str) -> String {
    format!("-leaving-{}", id.get(..12).unwrap_or(id))
}

/// Returns the name that we give to a container with such labels.
pub(super) fn expected(labels: &Labels) -> String {
    match (&labels.front, &labels.application) {
        (Some(_), None) => format!("driftless-{}-front", labels.owner),
        (Some(service), Some(_)) => format!("{}-{service}", labels.object.namespace),
        (None, _) => replica(&labels.object),
    }
}

/// Returns the name of the volume that holds some content.
pub(super) fn content(owner: &Name, application: &Name, id: &ContentId) -> String {
    format!("driftless_{owner}_{application}_{}", id.0.get(..24).unwrap_or(&id.0))
}

/// Returns the name of the volume behind an emptyDir of a replica.
pub(super) fn empty_dir(container: &str, dir: &Name) -> String {
    format!("{container}_{dir}")
}

/// Returns the name of the container through which a content volume is being filled.
pub(super) fn filling(volume: &str) -> String {
    format!("{volume}-filling")
}

/// Returns the name of the container that keeps a filled volume until a replica holds it.
pub(super) fn staged(volume: &str) -> String {
    format!("{volume}-staged")
}

/// Returns the name of the container through which a replica's emptyDirs are prepared.
pub(super) fn opener(container: &str) -> String {
    format!("{container}-opener")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaving_name_reads_back() {
        let id = "0123456789abcdef";
        let name = leaving("shop_web_x7k2p", id);
        assert_eq!(name, "shop_web_x7k2p-leaving-0123456789ab");
        assert_eq!(without_mark(&name, id), ("shop_web_x7k2p", true));
        assert_eq!(without_mark(&name, "fedcba987654"), (name.as_str(), false));
    }

    #[test]
    fn a_host_name_keeps_the_end_that_tells_replicas_apart() {
        let id = ObjectId::try_from(format!("shop/Deployment/{}/x7k2p", "w".repeat(80))).expect("valid id");
        assert_eq!(host(&id).len(), 63);
        assert!(host(&id).ends_with("w-x7k2p"));
    }
}
