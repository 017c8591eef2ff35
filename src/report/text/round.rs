//! The rounds of a plan as a timeline: when, what is done, how many serve, what begins to wait.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::report::paint::{Ink, Paint};
use crate::report::word;
use crate::report::{PlanAnswer, PlanRound};
use crate::time::format_duration;

use super::table::{Cell, Table};

/// Returns the rounds, one block of lines each. How many serve, and what is held, is shown in the round
/// in which it changes.
pub(in crate::report) fn round_lines(rounds: &[PlanRound], paint: Paint) -> String {
    let mut table = Table::new(2);
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut serving: &[(String, usize)] = &[];
    for round in rounds {
        let serves = serves(&round.serving, serving).map(|text| Cell::inked(text, Ink::Good));
        let stuck = round.steps.is_empty();
        let end = stuck.then(|| Cell::inked("nothing more happens, and it has not converged", Ink::Bad));
        let steps = round.steps.iter().map(|step| Cell::plain(word::step(step)));
        let begins = round.held.iter().filter(|held| stuck || !known.contains(held.as_str()));
        let held = begins.map(|held| Cell::inked(format!("held: {}", word::clean(held)), Ink::Dim));
        let mut at = format!("{:>6}", format_duration(Duration::from_millis(round.at)));
        for line in serves.into_iter().chain(end).chain(steps).chain(held) {
            table.row([Cell::inked(std::mem::take(&mut at), Ink::Bold), line]);
        }
        known = round.held.iter().map(String::as_str).collect();
        serving = &round.serving;
    }
    table.text(paint)
}

/// Returns the least number of replicas that serve, by workload.
pub(in crate::report) fn least_lines(answer: &PlanAnswer, paint: Paint) -> String {
    let mut table = Table::new(2);
    for least in word::least_available(answer) {
        let ink = if least.serving < least.of { Ink::Warn } else { Ink::Good };
        table.row([Cell::plain(&least.object), Cell::inked(format!("{} of {}", least.serving, least.of), ink)]);
    }
    table.text(paint)
}

/// Returns how many serve of the workloads for which that has changed.
fn serves(serving: &[(String, usize)], before: &[(String, usize)]) -> Option<String> {
    let name = |object: &str| object.rsplit('/').next().unwrap_or(object).to_owned();
    let before: BTreeSet<&(String, usize)> = before.iter().collect();
    let changed = serving.iter().filter(|entry| !before.contains(entry));
    let counts: Vec<String> = changed.map(|(object, count)| format!("{} {count}", name(object))).collect();
    (!counts.is_empty()).then(|| format!("serving: {}", counts.join(", ")))
}
