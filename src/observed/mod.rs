//! All that a plan may look at: plain values, each handed in by somebody who looked.
//!
//! Nothing here looks by itself. The real world may have moved on since a value was taken, so every
//! step that follows from it has to stand a second try.

mod live;
mod probe;
mod record;
mod share;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use crate::host::{Failure, Step};
use crate::time::Time;

pub use live::{Claimed, Container, Debris, Field, Health, Labels, Live, Network, State, Volume};
pub use probe::{PORT_PERIOD, Probing, Question, ready_since};
pub use record::{Applied, Begun, Delivered, Failed, Heal, Interruption, Override, Record, Returned, RunningImage, Suspended};
pub use share::{Share, Shares};
pub use traffic::{Joined, Left, Traffic};

/// All that a plan may look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Since when somebody has been looking without a break.
    pub since: Time,
    /// What the host has.
    pub live: Live,
    /// What probes said, by container id.
    pub probing: BTreeMap<String, Probing>,
    /// Steps that are running, by key.
    pub in_flight: BTreeMap<String, InFlight>,
    /// Steps that failed last time, by key.
    pub failures: BTreeMap<String, FailedStep>,
    /// What must outlive a crash and cannot be read from the host.
    pub record: Record,
    /// Who is given new connections, and what the data path has acknowledged.
    pub traffic: Traffic,
    /// Ids of the replicas' containers as they were last seen.
    pub known: BTreeSet<String>,
    /// Images with pull policy Always that were pulled, and the revision they were pulled for.
    pub pulled: BTreeMap<String, String>,
}

/// A step that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// What is being done.
    pub step: Step,
    /// Since when.
    pub since: Time,
}

/// A step that failed, and when it may be tried again. Another step for the same object waits for
/// nothing: who could not be started may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// What was being done.
    pub step: Step,
    /// Why.
    pub failure: Failure,
    /// How many times in a row.
    pub count: u32,
    /// Not before this.
    pub retry_at: Time,
}
