//! What a person decides about one application: another try, going back, hands off, other numbers for a while.
//!
//! A decision only changes the record; what follows from it is decided by the next round.

use crate::desired::{Desired, Mode};
use crate::name::ObjectId;
use crate::observed::{Override, Returned, Suspended};
use crate::plan::change::digest;
use crate::time::Time;

use super::Reconciler;

/// Why an application went back that nobody but a person made go back.
pub const BY_HAND: &str = "asked by hand";

/// Why an application cannot go back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotGoBack {
    /// No other revision was healthy.
    #[error("no earlier revision was healthy that asks for something else")]
    NoOther,
    /// The revision was not healthy here, or that was too long ago.
    #[error("revision `{asked}` is not among those that were healthy")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// The revisions that were healthy, newest first.
        known: Vec<String>,
    },
    /// Several revisions begin like this.
    #[error("several revisions begin with `{asked}`")]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// Those that do.
        known: Vec<String>,
    },
    /// The revision is the one that Git has.
    #[error("revision `{0}` is the one that Git has")]
    Head(String),
}

/// What an override came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaled {
    /// It holds until then.
    Until(Time),
    /// Git has this number: an override that there was has ended.
    AsGit,
}

/// Why a workload cannot be scaled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotScale {
    /// It is not among the workloads.
    #[error("it is not part of the revision that runs")]
    NotThere,
    /// It has something that only one replica can have.
    #[error("it has what only one replica can have: a volume with one writer, a port of the host, or a fixed name")]
    One,
    /// The time has passed.
    #[error("{0} has passed")]
    Past(Time),
}

impl Reconciler {
    /// Takes in what Git asks for: going back by hand lasts until that is something else, and an override of
    /// a number until Git has another number.
    pub fn asked(&mut self, head: &Desired) {
        let record = &mut self.observed.record;
        record.overrides.retain(|id, over| head.workloads.get(id).is_some_and(|workload| workload.replicas == over.instead));
        if record.returned.is_some() {
            let asked = digest(head);
            record.returned.take_if(|returned| returned.from != asked);
        }
    }

    /// Goes back from what Git has to a revision that was healthy: the one that is named, also by its
    /// first characters, or the last one that asked for something else. Returns the revision.
    ///
    /// # Errors
    ///
    /// If there is none such.
    pub fn go_back(&mut self, head: &Desired, to: Option<&str>) -> Result<String, CannotGoBack> {
        let record = &mut self.observed.record;
        let from = digest(head);
        let revision = match to {
            None => {
                let other = |revision: &&String| **revision != head.revision && record.asked.get(*revision) != Some(&from);
                record.healthy.iter().rev().find(other).cloned().ok_or(CannotGoBack::NoOther)?
            }
            Some(asked) if head.revision.starts_with(asked) => return Err(CannotGoBack::Head(head.revision.clone())),
            Some(asked) => {
                let healthy = || record.healthy.iter().rev().filter(|revision| **revision != head.revision);
                let known: Vec<String> = healthy().filter(|revision| revision.starts_with(asked)).cloned().collect();
                match known.as_slice() {
                    [one] => one.clone(),
                    [] => return Err(CannotGoBack::Unknown { asked: asked.to_owned(), known: healthy().cloned().collect() }),
                    _ => return Err(CannotGoBack::Ambiguous { asked: asked.to_owned(), known }),
                }
            }
        };
        record.returned = Some(Returned { from, revision: revision.clone() });
        // Who asks for it approves it.
        if head.settings.mode == Mode::Manual {
            record.approved = Some(revision.clone());
        }
        self.retry();
        Ok(revision)
    }

    /// Forgets which rollouts failed, and that somebody went back: another try is asked for.
    pub fn forgive(&mut self) {
        self.retry();
        let record = &mut self.observed.record;
        record.failed.clear();
        record.returned = None;
        record.begun.values_mut().for_each(|begun| begun.wanted.clear());
    }

    /// Keeps hands off one workload, or off the whole application, which then stays at the revision that
    /// is kept now. Returns whether that is new.
    pub fn suspend(&mut self, workload: Option<&ObjectId>, kept: &str, now: Time) -> bool {
        let record = &mut self.observed.record;
        // People read it: seconds will do.
        let now = Time(now.0 - now.0 % 1000);
        match workload {
            Some(id) if !record.suspended_workloads.contains_key(id) => record.suspended_workloads.insert(id.clone(), now).is_none(),
            None if record.suspended.is_none() => record.suspended.replace(Suspended { at: now, revision: kept.to_owned() }).is_none(),
            _ => false,
        }
    }

    /// Takes one workload, or the application with all its workloads, up again. No deadline counts the time
    /// in which nobody was to touch it. Returns whether anything was suspended.
    pub fn resume(&mut self, workload: Option<&ObjectId>, now: Time) -> bool {
        let record = &mut self.observed.record;
        let resumed = match workload {
            Some(id) => record.suspended_workloads.remove(id).is_some(),
            None => {
                let workloads = !std::mem::take(&mut record.suspended_workloads).is_empty();
                record.suspended.take().is_some() || workloads
            }
        };
        if resumed {
            let begun = record.begun.iter_mut().filter(|(id, _)| workload.is_none_or(|workload| workload == *id));
            begun.for_each(|(_, begun)| begun.at = now);
        }
        resumed
    }

    /// Sets how many replicas a workload has until a point in time, instead of what is kept asks for. In
    /// mode manual this approves the kept revision.
    ///
    /// # Errors
    ///
    /// If it cannot have so many.
    pub fn scale(&mut self, workload: &ObjectId, kept: &Desired, replicas: u32, until: Time, now: Time) -> Result<Scaled, CannotScale> {
        let record = &mut self.observed.record;
        let known = kept.workloads.get(workload).ok_or(CannotScale::NotThere)?;
        if replicas > 1 && (!known.exclusive.is_empty() || known.template.options.container_name.is_some()) {
            return Err(CannotScale::One);
        }
        if until <= now {
            return Err(CannotScale::Past(until));
        }
        if kept.settings.mode == Mode::Manual {
            record.approved = Some(kept.revision.clone());
        }
        if replicas == known.replicas {
            record.overrides.remove(workload);
            return Ok(Scaled::AsGit);
        }
        record.overrides.insert(workload.clone(), Override { replicas, instead: known.replicas, at: now, until });
        Ok(Scaled::Until(until))
    }

    /// Ends overrides whose time is over. In mode manual who set one has approved that it ends.
    pub(super) fn end_overrides(&mut self, desired: &Desired, now: Time) {
        let record = &mut self.observed.record;
        let before = record.overrides.len();
        record.overrides.retain(|_, over| now < over.until);
        if record.overrides.len() < before && desired.settings.mode == Mode::Manual {
            record.approved = Some(desired.revision.clone());
        }
    }

    /// Returns the revision at which the application stays because it is suspended.
    pub fn suspended_at(&self) -> Option<&str> {
        self.observed.record.suspended.as_ref().map(|suspended| suspended.revision.as_str())
    }
}
