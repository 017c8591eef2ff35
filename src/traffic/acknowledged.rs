//! What the data path says about itself: which generation it serves, and what keeps a front from it.
//!
//! `serve` writes it beside the published state, the agent reads it. It decides nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::VERSION;

/// What the data path says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// The format's version.
    pub version: u32,
    /// The generation that is served: every front that runs has its rules. 0 before the first.
    pub generation: u64,
    /// The process that serves.
    pub pid: u32,
    /// Established connections through fronts, by the address of a replica that left. Counted once a
    /// second, beginning with the generation without the replica; missing until then.
    pub connections: BTreeMap<Ipv4Addr, u64>,
    /// Each front, by its container's name.
    pub fronts: BTreeMap<String, FrontStatus>,
    /// Why DNS is not answered on the host, if it is not.
    #[serde(default)]
    pub dns_error: Option<String>,
    /// Why the newest published file is not served, if it is not; the state before it is.
    #[serde(default)]
    pub file_error: Option<String>,
}

/// How one front is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontStatus {
    /// The container's main process, if it runs.
    pub pid: Option<u32>,
    /// What keeps it from being served.
    pub error: Option<String>,
    /// How often its kernel rules were loaded again because somebody had changed them, since `serve` was started.
    #[serde(default)]
    pub mended: u64,
}

impl Acknowledged {
    /// Returns what a process says that serves nothing yet.
    pub fn nothing(pid: u32) -> Self {
        Acknowledged {
            version: VERSION,
            generation: 0,
            pid,
            connections: BTreeMap::new(),
            fronts: BTreeMap::new(),
            dns_error: None,
            file_error: None,
        }
    }
}
