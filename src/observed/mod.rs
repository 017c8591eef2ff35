//! All that a plan may look at: plain values, each handed in by somebody who looked.
//!
//! Nothing here looks by itself. The real world may have moved on since a value was taken, so every
//! step that follows from it has to stand a second try.

mod live;
mod probe;
mod record;
mod traffic;

use std::collections::BTreeMap;

use crate::host::Failure;
use crate::time::Time;

pub use live::{Container, Field, Labels, Live, Network, State, Volume};
pub use probe::{PORT_PERIOD, Probing, Question, ready_since};
pub use record::{Applied, Failed, Heal, Record};
pub use traffic::{Joined, Left, Traffic};

/// All that a plan may look at.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Since when somebody has been looking without a break.
    pub since: Time,
    /// What the host has.
    pub live: Live,
    /// What probes said, by container id.
    pub probing: BTreeMap<String, Probing>,
    /// Steps that are running, by key, and since when.
    pub in_flight: BTreeMap<String, Time>,
    /// Steps that failed last time, by key.
    pub failures: BTreeMap<String, FailedStep>,
    /// What must outlive a crash and cannot be read from the host.
    pub record: Record,
    /// Who is given new connections, and what the data path has acknowledged.
    pub traffic: Traffic,
    /// Images with pull policy Always that were pulled, and the revision they were pulled for.
    pub pulled: BTreeMap<String, String>,
}

/// A step that failed, and when it may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// Why.
    pub failure: Failure,
    /// How many times in a row.
    pub count: u32,
    /// Not before this.
    pub retry_at: Time,
}
