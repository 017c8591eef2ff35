//! What the agent does for each running replica.

use crate::desired::{Care, Desired};
use crate::name::ObjectId;
use crate::observed::{Observed, State};
use crate::time::Time;

use super::Claims;
use super::replica::Standing;
use super::view::View;

/// A running container, and what the agent does for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaredFor {
    /// The replica.
    pub object: ObjectId,
    /// Its container's id.
    pub container: String,
    /// The start it is about.
    pub started: Time,
    /// Its address, if it has one.
    pub address: Option<std::net::Ipv4Addr>,
    /// What is done for it.
    pub care: Care,
}

/// Returns what is done for each running replica of an application: as the manifest says now for those
/// of the wanted template, as written at their creation for the others.
pub fn cared_for(desired: &Desired, observed: &Observed, now: Time) -> Vec<CaredFor> {
    let claims = Claims::default();
    let view = View::new(desired, &claims, observed, now);
    let replicas = view.all_replicas().flat_map(|(_, replicas)| replicas);
    let running = replicas.filter(|replica| replica.standing != Standing::Leaving && replica.container.state == State::Running);
    running
        .filter_map(|replica| {
            Some(CaredFor {
                object: replica.id.clone(),
                container: replica.container.id.clone(),
                started: replica.container.started?,
                address: replica.container.addresses.values().next().copied(),
                care: (*replica.care).clone(),
            })
        })
        .collect()
}
