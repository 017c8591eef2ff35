//! Reading the host beside the loop: an engine that hangs holds nobody up.
//!
//! At most one snapshot is being taken. What ends meanwhile is told at once, but taken in only after
//! the snapshot was planned with: it may be from before, and a plan of the past would do things twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use crate::host::{Class, Outcome, Step};
use crate::name::Name;
use crate::observed::Live;

use super::application::chain;
use super::{Agent, Event, now};

/// The engine is asked again this soon when it could not be read.
const AWAY: Duration = Duration::from_secs(1);
/// A snapshot that takes longer is given up.
const SLOWEST: Duration = Duration::from_secs(60);
/// Who asks is told after so long that the engine hangs; the snapshot may still come.
const HANGS: Duration = Duration::from_secs(5);

/// Why a snapshot could not be taken.
pub(super) type Unread = (Class, Vec<String>);

/// How the host is read.
#[derive(Default)]
pub(super) struct Reading {
    /// The read that is running, and since when.
    current: Option<(Instant, AbortHandle)>,
    /// How many have ended.
    ended: u64,
    /// The last snapshot was not planned with yet.
    fresh: bool,
    /// Steps that ended too late for the snapshot.
    late: Vec<(Name, Step, Outcome)>,
    /// Why containers in it could not be read.
    unread: Vec<String>,
}

impl Reading {
    /// Tells whether a snapshot is being taken, so that the last one may be past.
    pub(super) fn runs(&self) -> bool {
        self.current.is_some()
    }

    /// Returns the number of the first snapshot that will tell of now.
    pub(super) fn next(&self) -> u64 {
        self.ended + if self.runs() { 2 } else { 1 }
    }

    /// Tells whether a snapshot with this number was taken.
    pub(super) fn has(&self, number: u64) -> bool {
        self.ended >= number
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.current {
            task.abort();
        }
    }
}

impl Agent {
    /// Begins to take a new snapshot if the last may be past.
    pub(super) fn read(&mut self) {
        if let Some((begun, _)) = &self.reading.current {
            if begun.elapsed() >= HANGS {
                self.lost(Class::Host, vec![format!("the engine has not answered for {} s", HANGS.as_secs())]);
            }
            return;
        }
        let since = self.read_at.elapsed();
        let is_due = match &self.away {
            Some(_) => since >= AWAY,
            // No event tells that a container can be read again.
            None => {
                self.stale || self.live.is_none() || since >= super::IDLE || (since >= super::WAITING && !self.reading.unread.is_empty())
            }
        };
        if self.reading.fresh || !is_due {
            return;
        }
        self.read_at = Instant::now();
        // Whatever happens from here on asks for another one.
        self.stale = false;
        let (docker, sender) = (self.docker.clone(), self.sender.clone());
        let task = tokio::spawn(async move {
            let read = match tokio::time::timeout(SLOWEST, docker.read()).await {
                Ok(Ok(live)) => Ok(Box::new(live)),
                Ok(Err(error)) => Err((error.class(), chain(&error))),
                Err(_) => Err((Class::Host, vec![format!("the engine did not answer for {} s", SLOWEST.as_secs())])),
            };
            let _ = sender.send(Event::Read(read));
        });
        self.reading.current = Some((self.read_at, task.abort_handle()));
    }

    /// Takes in a snapshot, or why there is none.
    pub(super) fn arrived(&mut self, read: Result<Box<Live>, Unread>) {
        self.reading.current = None;
        self.reading.ended += 1;
        match read {
            Ok(live) => {
                if self.away.take().is_some() {
                    // No deadline counts the time in which nobody could look.
                    self.apps.iter_mut().for_each(|app| app.reconciler.looked_away(now()));
                    tracing::info!("the engine answers again");
                }
                let unread: Vec<String> = live.containers.iter().filter_map(|container| container.unread.clone()).collect();
                for why in unread.iter().filter(|why| !self.reading.unread.contains(why)) {
                    self.failed(Class::Host);
                    tracing::error!(why, "a container cannot be read; nothing is done about its workload until it can");
                }
                self.reading.unread = unread;
                self.live = Some(Arc::new(*live));
                self.reading.fresh = true;
            }
            Err((class, messages)) => self.lost(class, messages),
        }
    }

    /// Notes that the engine cannot be read. What is published goes on being served.
    fn lost(&mut self, class: Class, messages: Vec<String>) {
        self.stale = true;
        if self.away.as_ref() != Some(&messages) {
            self.failed(class);
            tracing::error!(error = messages.join(": "), "the engine cannot be read; what is published is served on");
        }
        self.away = Some(messages);
    }

    /// Takes in how a step ended, now or after the snapshot that may be from before.
    pub(super) fn ended(&mut self, name: Name, step: Step, outcome: Outcome) {
        if self.reading.runs() || self.reading.fresh {
            self.reading.late.push((name, step, outcome));
            return;
        }
        self.stale = true;
        self.finish(&name, &step, outcome);
    }

    /// Says that the last snapshot was planned with.
    pub(super) fn planned(&mut self) {
        if self.reading.runs() {
            return;
        }
        self.reading.fresh = false;
        for (name, step, outcome) in std::mem::take(&mut self.reading.late) {
            self.ended(name, step, outcome);
        }
        // Not with the next event: what has ended makes room for what comes next.
        if self.stale {
            self.read();
        }
    }
}
