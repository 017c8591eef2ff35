//! Drift as text: object by object, field by field.

use crate::plan::{Drift, DriftKind};
use crate::report::PlanAnswer;
use crate::report::paint::{Ink, Paint};
use crate::report::word;

use super::table::{Cell, Table};
use super::{held_lines, section};

/// Returns the drift of an application as text.
pub fn drift_text(answer: &PlanAnswer, paint: Paint) -> String {
    let plan = &answer.plan;
    let subject = word::subject(plan.application.as_str(), &plan.revision);
    let mut text = paint.ink(Ink::Bold, &format!("{subject}: {}", word::drift_verdict(&plan.drift))) + "\n";
    if !plan.changes.is_empty() {
        let changes = word::count(plan.changes.len(), "object");
        text.push_str(&format!("{changes} of the plan still to be applied, which is not drift: see `driftless plan`\n"));
    }
    if !plan.drift.is_empty() {
        text.push('\n');
        text.push_str(&lines(&plan.drift, paint));
        let held: Vec<_> = plan.held.iter().filter(|held| plan.drift.iter().any(|drift| drift.object == held.object)).cloned().collect();
        text.push_str(&section("Held", &held_lines(&held, paint), paint));
    }
    let healed = answer.healed.iter().map(|healed| format!("  {}  {}\n", word::time(healed.at), word::drift_line(&healed.drift)));
    text.push_str(&section("Healed lately", &healed.collect::<String>(), paint));
    text
}

/// Returns the lines for each object.
pub(super) fn lines(drift: &[Drift], paint: Paint) -> String {
    let mut text = String::new();
    let width = drift.iter().map(|drift| drift.object.chars().count()).max().unwrap_or(0);
    for drift in drift {
        let (mark, ink) = match drift.what {
            DriftKind::Missing => ("-", Ink::Bad),
            DriftKind::Extra => ("+", Ink::Warn),
            _ => ("~", Ink::Warn),
        };
        let since = drift.since.map(|since| format!(" since {}", word::time(since))).unwrap_or_default();
        let healed = if drift.healed { "is being healed" } else { "only reported" };
        let what = paint.ink(ink, drift.what.as_str());
        text.push_str(&format!("  {} {:<width$}  {what}{since}, {healed}\n", paint.ink(ink, mark), drift.object));
        let mut table = Table::new(6);
        for field in &drift.fields {
            let (expected, actual) = (word::value(field.expected.as_deref()), word::value(field.actual.as_deref()));
            table.row([Cell::plain(word::clean(&field.path)), Cell::plain(format!("{expected} -> {actual}"))]);
        }
        text.push_str(&table.text(paint));
    }
    text
}
