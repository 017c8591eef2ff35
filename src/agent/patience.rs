//! How long `apply` waits for what does not come by itself: an image that nobody has built yet, a host that is
//! in the way, a replica that somebody stopped and that is left alone for a while.

use std::time::{Duration, Instant};

use crate::host::{Class, Step};
use crate::observed::{Container, State};
use crate::plan::Held;
use crate::time::Time;

use super::application::App;

/// How long somebody waits for others.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Patience { limit, since: None }
    }

    /// Takes in what is waited for now; returns whether that has lasted too long. A moment without a wait
    /// begins it anew.
    pub(super) fn is_over(&mut self, waits: bool, now: Instant) -> bool {
        match waits {
            true => now.duration_since(*self.since.get_or_insert(now)) >= self.limit,
            false => {
                self.since = None;
                false
            }
        }
    }
}

/// Returns what an application waits for that others must do, if it does nothing else meanwhile.
pub(super) fn waits_for(app: &App, now: Time) -> Option<String> {
    let observed = app.reconciler.observed();
    let plan = app.plan.as_ref()?;
    let pulls = |step: &Step| matches!(step, Step::Pull { .. });
    if observed.in_flight.values().any(|running| !pulls(&running.step)) || plan.steps.iter().any(|planned| !pulls(&planned.step)) {
        return None;
    }
    let failed = observed.failures.values().find(|failed| matches!(failed.failure.class, Class::Waiting | Class::Host));
    if let Some(failed) = failed {
        return Some(failed.failure.message.clone());
    }
    // What is held as a whole and until nobody knows when waits for what this application does not do. A replica that
    // is not ready yet has a deadline of its own.
    let as_a_whole = |held: &&Held| held.until.is_none() && !is_replica(app, &held.object);
    if let Some(held) = plan.held.first().filter(|_| plan.held.iter().all(|held| as_a_whole(&held))) {
        return Some(format!("{}: {}", held.object, held.reason));
    }
    let mine =
        |container: &&Container| container.labels.as_ref().is_some_and(|labels| labels.application.as_ref() == Some(&app.config.name));
    if let Some(why) = observed.live.containers.iter().filter(mine).find_map(|container| container.unread.clone()) {
        return Some(why);
    }
    let heal = app.config.settings.heal_stopped;
    observed.live.containers.iter().filter(mine).find_map(|container| {
        let labels = container.labels.as_ref()?;
        let since = container.stopped_by_hand.filter(|_| matches!(container.state, State::Exited(_) | State::Paused))?;
        (now < since + heal).then(|| format!("{} was stopped or paused by hand, and is healed at {}", labels.object, since + heal))
    })
}

/// Tells whether an object is one of the replicas that the host has.
fn is_replica(app: &App, object: &str) -> bool {
    let labels = app.reconciler.observed().live.containers.iter().filter_map(|container| container.labels.as_ref());
    labels.into_iter().any(|labels| labels.is_replica() && labels.object.to_string() == object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_only_after_a_wait_without_a_break() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Duration::from_secs(60));
        assert!(!patience.is_over(true, start) && !patience.is_over(true, after(59)));
        assert!(!patience.is_over(false, after(60)) && !patience.is_over(true, after(61)) && !patience.is_over(true, after(120)));
        assert!(patience.is_over(true, after(121)));
        assert!(Patience::new(Duration::ZERO).is_over(true, start));
    }
}
