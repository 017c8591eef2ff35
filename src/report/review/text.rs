//! A review as terminal text: the verdict, then the plan of each application as `plan` shows it.

use crate::report::paint::{Ink, Paint};
use crate::report::text::{change_lines, finding_lines, least_lines, round_lines, section};
use crate::report::word;

use super::{ApplicationReview, ReviewReport, known_words};

/// Returns a review as text.
pub fn review_text(report: &ReviewReport, paint: Paint) -> String {
    let range = format!("{}..{}", word::short(&report.base), word::short(&report.head));
    let mut text = paint.ink(Ink::Bold, &format!("{range}: {}", report.verdict())) + "\n";
    for review in &report.applications {
        text.push('\n');
        text.push_str(&application_text(review, paint));
    }
    if report.untouched > 0 {
        text.push_str(&format!("\n{} not touched\n", word::count(report.untouched, "application")));
    }
    text
}

fn application_text(review: &ApplicationReview, paint: Paint) -> String {
    let folder = if matches!(review.folder.as_str(), "" | ".") { String::new() } else { format!(" ({})", word::clean(&review.folder)) };
    let mut text = paint.ink(Ink::Bold, &format!("{}{folder}: {}", review.name, review.verdict())) + "\n";
    for caveat in &review.caveats {
        text.push_str(&paint.ink(Ink::Warn, &word::clean(caveat)));
        text.push('\n');
    }
    for interruption in &review.interruptions {
        let line = format!("interrupts {}{}: {}", interruption.object, interruption.duration(), word::clean(&interruption.reason));
        text.push_str(&paint.ink(Ink::Bad, &line));
        text.push('\n');
    }
    if let Some(live) = &review.live {
        let lines: String = live.drift.iter().map(|drift| format!("  {}\n", word::drift_line(drift))).collect();
        text.push_str(&section(&format!("Drifts already on {}", word::clean(&live.host)), &lines, paint));
    }
    if let Some(answer) = &review.answer {
        text.push_str(&section("Changes", &change_lines(&answer.plan.changes, paint), paint));
        text.push_str(&section("Rounds (simulated)", &round_lines(answer.rounds.as_deref().unwrap_or_default(), paint), paint));
        text.push_str(&section("Least available", &least_lines(answer, paint), paint));
    }
    let heading = format!("Findings: {}", word::severities(&review.findings));
    text.push_str(&section(&heading, &finding_lines(&review.findings, paint), paint));
    if let Some(words) = known_words(review) {
        text.push_str(&format!("\n{words}\n"));
    }
    if review.unchanged > 0 && review.answer.is_some() {
        text.push_str(&format!("\n{} unchanged\n", word::count(review.unchanged, "object")));
    }
    text
}
