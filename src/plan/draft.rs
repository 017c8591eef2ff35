//! The steps and holds of a round while it is being planned.
//!
//! Whatever goes through here keeps three promises: one step per object and round, none for an object
//! that is being worked on, and none that failed and is not due to be tried again.

use std::collections::BTreeMap;

use crate::host::{Class, Step};
use crate::time::{Time, format_duration};

use super::view::View;
use super::{Held, PlannedStep};

pub(super) struct Draft<'a> {
    view: &'a View<'a>,
    steps: BTreeMap<String, PlannedStep>,
    order: Vec<String>,
    held: BTreeMap<String, BTreeMap<String, Option<Time>>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(view: &'a View<'a>) -> Self {
        Draft { view, steps: BTreeMap::new(), order: Vec::new(), held: BTreeMap::new() }
    }

    /// Adds a step; returns whether it is (or is being) done.
    pub(super) fn step(&mut self, step: Step, reason: impl Into<String>) -> bool {
        let key = step.key();
        if self.steps.contains_key(&key) || self.view.is_busy(&key) {
            return true;
        }
        if let Some(failed) = self.view.observed.failures.get(&key)
            && failed.step.action() == step.action()
            && self.view.now < failed.retry_at
        {
            let reason = match failed.failure.class {
                Class::Waiting => failed.failure.message.clone(),
                _ => format!("{}; tries again in {}", failed.failure.message, format_duration(failed.retry_at.since(self.view.now))),
            };
            self.hold(key, reason, Some(failed.retry_at));
            return false;
        }
        let planned = PlannedStep { id: format!("{}:{key}", step.action()), object: key.clone(), step, reason: reason.into() };
        self.order.push(key.clone());
        self.steps.insert(key, planned);
        true
    }

    /// Adds a step in place of any other for its object: who leaves is not healed first.
    pub(super) fn supersede(&mut self, step: Step, reason: &str) {
        let key = step.key();
        self.steps.remove(&key);
        self.held.remove(&key);
        self.step(step, reason);
    }

    /// Notes that something is not safe yet.
    pub(super) fn hold(&mut self, object: impl Into<String>, reason: impl Into<String>, until: Option<Time>) {
        self.held.entry(object.into()).or_default().entry(reason.into()).or_insert(until);
    }

    /// Returns the steps in the order in which they were added, and what is held by object.
    pub(super) fn finish(mut self) -> (Vec<PlannedStep>, Vec<Held>) {
        // A step that superseded another was added twice; it is found once.
        let steps = self.order.iter().filter_map(|key| self.steps.remove(key)).collect();
        let held = self
            .held
            .into_iter()
            .flat_map(|(object, reasons)| reasons.into_iter().map(move |(reason, until)| Held { object: object.clone(), reason, until }));
        (steps, held.collect())
    }
}
