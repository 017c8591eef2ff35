//! Reports as terminal text: a verdict first, then what it stands on.
//!
//! Nothing here wraps lines or asks how wide a terminal is: a path or an id that is cut cannot be
//! copied. Each text ends with a line feed.

mod drift;
mod plan;
mod round;
mod status;
mod table;

pub use drift::drift_text;
pub use plan::plan_text;
pub use status::status_text;

use crate::finding::{Finding, Severity};
use crate::plan::Held;

use super::paint::{Ink, Paint};
use super::word;
pub(super) use plan::change_lines;
pub(super) use round::{least_lines, round_lines};
pub(super) use table::{Cell, Table};

/// Returns a section with its heading, and nothing if it has no lines.
pub(super) fn section(heading: &str, lines: &str, paint: Paint) -> String {
    match lines {
        "" => String::new(),
        lines => format!("\n{}\n{lines}", paint.ink(Ink::Bold, heading)),
    }
}

fn held_lines(held: &[Held], paint: Paint) -> String {
    let mut table = Table::new(2);
    for held in held {
        let until = held.until.map(|until| format!(" (until {})", word::time(until))).unwrap_or_default();
        table.row([Cell::plain(&held.object), Cell::plain(format!("{}{until}", word::clean(&held.reason)))]);
    }
    table.text(paint)
}

pub(super) fn finding_lines(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    for finding in findings {
        let ink = match finding.severity {
            Severity::Error => Ink::Bad,
            Severity::Warning => Ink::Warn,
            Severity::Note => Ink::Accent,
        };
        let head = paint.ink(ink, &format!("{}[{}]", word::severity(finding.severity), finding.rule));
        let place = word::place(finding);
        let place = if place.is_empty() { place } else { format!("{}: ", paint.ink(Ink::Accent, &place)) };
        text.push_str(&format!("  {place}{head}: {}\n", word::clean(&finding.message)));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("      {} {}\n", paint.ink(Ink::Accent, "hint:"), word::clean(hint)));
        }
    }
    text
}
