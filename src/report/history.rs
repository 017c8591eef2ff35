//! What happened to an application, as a value and its three looks.

use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::time::Time;

use super::markdown::{code, escape, table};
use super::paint::{Ink, Paint};
use super::text::{Cell, Table};
use super::word;

/// Something that happened to an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// When.
    pub at: Time,
    /// The revision that it is about; empty if it is about none.
    pub revision: String,
    /// A stable word, as in `healthy` or `refused`.
    pub kind: String,
    /// One sentence, or a line for each finding.
    pub message: String,
}

/// The last events of one application, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// The format's version.
    pub version: u32,
    /// The host's name.
    pub host: String,
    /// The application.
    pub application: Name,
    /// The events, newest first.
    pub events: Vec<HistoryEvent>,
}

/// Returns the history of an application as text.
pub fn history_text(report: &HistoryReport, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.ink(Ink::Bold, report.application.as_str()));
    if report.events.is_empty() {
        return text + "  nothing happened yet\n";
    }
    let mut table = Table::new(2);
    for event in &report.events {
        let revision = Cell::inked(word::clean(word::short(&event.revision)), Ink::Dim);
        let kind = Cell::inked(word::clean(&event.kind), ink(&event.kind));
        let mut lines = event.message.lines();
        let first = Cell::plain(word::clean(lines.next().unwrap_or_default()));
        table.row([Cell::plain(word::time(event.at)), revision, kind, first]);
        for line in lines {
            table.row([Cell::plain(""), Cell::plain(""), Cell::plain(""), Cell::plain(word::clean(line))]);
        }
    }
    text.push_str(&table.text(paint));
    text
}

/// Returns the history of an application as Markdown.
pub fn history_markdown(report: &HistoryReport) -> String {
    let rows = report.events.iter().map(|event| {
        let message: Vec<String> = event.message.lines().map(escape).collect();
        vec![word::time(event.at), code(word::short(&event.revision)), escape(&event.kind), message.join("<br>")]
    });
    format!("### History of {}\n{}", code(report.application.as_str()), table(&["when", "revision", "what", ""], rows))
}

fn ink(kind: &str) -> Ink {
    match kind {
        "healthy" | "healed" => Ink::Good,
        "refused" | "rolled back" | "degraded" => Ink::Bad,
        "drift" => Ink::Warn,
        _ => Ink::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_one_line_for_each_event_and_one_for_each_finding() {
        let event = |at: i64, kind: &str, message: &str| HistoryEvent {
            at: Time(at),
            revision: "3f2a9c1d5e6f708192a3b4c5d6e7f8091a2b3c4d".to_owned(),
            kind: kind.to_owned(),
            message: message.to_owned(),
        };
        let application = Name::try_from("shop").expect("a name");
        let events = vec![event(61_000, "refused", "a.yaml:1:1: error: one\nb.yaml:2:1: error: <two>"), event(0, "healthy", "")];
        let report = HistoryReport { version: 1, host: "box".to_owned(), application, events };
        insta::assert_snapshot!(history_text(&report, Paint::Plain), @"
        shop
          1970-01-01 00:01:01 UTC  3f2a9c1  refused  a.yaml:1:1: error: one
                                                     b.yaml:2:1: error: <two>
          1970-01-01 00:00:00 UTC  3f2a9c1  healthy
        ");
        insta::assert_snapshot!(history_markdown(&report), @r"
        ### History of `shop`

        | when | revision | what |  |
        |---|---|---|---|
        | 1970-01-01 00:01:01 UTC | `3f2a9c1` | refused | a.yaml:1:1: error: one<br>b.yaml:2:1: error: \<two\> |
        | 1970-01-01 00:00:00 UTC | `3f2a9c1` | healthy |  |
        ");
    }
}
