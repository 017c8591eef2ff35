//! A plan as text: what changes, what is done now, what waits, what was found.

use crate::plan::{Change, ChangeAction, PlannedStep};
use crate::report::PlanAnswer;
use crate::report::paint::{Ink, Paint};
use crate::report::word;

use super::round::{least_lines, round_lines};
use super::table::{Cell, Table};
use super::{drift, finding_lines, held_lines, section};

/// Returns a plan as text.
pub fn plan_text(answer: &PlanAnswer, paint: Paint) -> String {
    let plan = &answer.plan;
    let subject = word::subject(plan.application.as_str(), &plan.revision);
    let mut text = paint.ink(Ink::Bold, &format!("{subject}: {}", word::plan_verdict(answer))) + "\n";
    if let Some(caveat) = word::plan_caveat(answer) {
        text.push_str(&paint.ink(Ink::Bad, &word::clean(&caveat)));
        text.push('\n');
    }
    if let Some(failed) = &plan.failed {
        text.push_str(&paint.ink(Ink::Bad, &format!("The rollout of {} has failed: {}", failed.object, word::clean(&failed.reason))));
        text.push('\n');
    }
    text.push_str(&section("Changes", &change_lines(&plan.changes, paint), paint));
    text.push_str(&section("Drift", &drift::lines(&plan.drift, paint), paint));
    match answer.rounds.as_deref() {
        Some(rounds) if !rounds.is_empty() => {
            text.push_str(&section("Rounds (simulated)", &round_lines(rounds, paint), paint));
            text.push_str(&section("Least available", &least_lines(answer, paint), paint));
        }
        _ => {
            text.push_str(&section("Now", &step_lines(&plan.steps, paint), paint));
            text.push_str(&section("Held", &held_lines(&plan.held, paint), paint));
        }
    }
    text.push_str(&section("Deferred to the next change", &held_lines(&plan.deferred, paint), paint));
    let heading = format!("Findings: {}", word::severities(&plan.findings));
    text.push_str(&section(&heading, &finding_lines(&plan.findings, paint), paint));
    if !plan.changes.is_empty() {
        text.push_str(&format!("\nPlan {}\n", plan.id));
    }
    text
}

pub(in crate::report) fn change_lines(changes: &[Change], paint: Paint) -> String {
    let mut text = String::new();
    let width = changes.iter().map(|change| change.object.to_string().chars().count()).max().unwrap_or(0);
    for change in changes {
        let ink = match change.action {
            ChangeAction::Create => Ink::Good,
            ChangeAction::Remove => Ink::Bad,
            ChangeAction::Update | ChangeAction::Recreate => Ink::Warn,
        };
        let mark = paint.ink(ink, word::mark(change.action));
        let action = paint.ink(ink, &format!("{:<8}", word::action(change)));
        text.push_str(&format!("  {mark} {:<width$}  {action}  {}\n", change.object.to_string(), word::clean(&change.reason)));
        let mut table = Table::new(6);
        for field in &change.fields {
            let new = word::value(field.new.as_deref());
            let values = match (change.action, &field.old) {
                (ChangeAction::Create, None) => new,
                (_, old) => format!("{} -> {new}", word::value(old.as_deref())),
            };
            let consequence = if change.action == ChangeAction::Create { "" } else { field.consequence.as_str() };
            table.row([Cell::plain(word::clean(&field.path)), Cell::plain(values), Cell::inked(consequence, Ink::Dim)]);
        }
        text.push_str(&table.text(paint));
    }
    text
}

fn step_lines(steps: &[PlannedStep], paint: Paint) -> String {
    let mut table = Table::new(2);
    for planned in steps {
        table.row([
            Cell::plain(planned.step.action()),
            Cell::plain(word::step(planned.object.trim_start_matches("Image/"))),
            Cell::inked(word::clean(&planned.reason), Ink::Dim),
        ]);
    }
    table.text(paint)
}
