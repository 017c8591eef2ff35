//! How applications stand, as it changes: on a terminal drawn anew, into a pipe one line per change.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use crate::agent::protocol::Answer;
use crate::report::{ApplicationStatus, StatusReport, status_json, status_text, word};
use crate::time::Time;

use super::Context;
use super::client::Answers;
use super::error::Error;
use super::exit::Exit;
use super::target::Format;

/// Shows each answer until somebody interrupts it.
pub(super) async fn watch(context: &Context, mut answers: Answers, format: Format) -> Result<Exit, Error> {
    let draws = format == Format::Text && io::stdout().is_terminal();
    let mut said = BTreeMap::new();
    loop {
        let answer = tokio::select! {
            answer = answers.next() => answer?,
            interrupted = tokio::signal::ctrl_c() => return interrupted.map(|()| Exit::Done).map_err(Error::Signal),
        };
        let report = match answer {
            Some(Answer::Status(report)) => report,
            Some(Answer::Error { class, messages, hint }) => return Err(Error::Refused { class, messages, hint }),
            Some(_) => continue,
            None => return Err(Error::CutOff),
        };
        let now = Time(jiff::Timestamp::now().as_millisecond());
        context.ui.data(&match format {
            Format::Json => status_json(&report),
            // Home, then everything below goes.
            Format::Text if draws => format!("\u{1b}[H\u{1b}[2J{}\n\n{}", word::time(now), status_text(&report, context.ui.out)),
            Format::Text => news(&mut said, &report, now, ""),
            Format::Markdown => news(&mut said, &report, now, "- "),
        })?;
    }
}

/// Returns a line for each application that stands differently than it was said last.
fn news(said: &mut BTreeMap<String, String>, report: &StatusReport, now: Time, mark: &str) -> String {
    let mut text = String::new();
    let wrong = match report.misconfigured.as_slice() {
        [] => "in force".to_owned(),
        wrong => format!("refused, the last good one is in force: {}", word::clean(&wrong.join("; "))),
    };
    // Nobody needs to be told that it is as it should be, unless it was not.
    if said.get("").map_or(!report.misconfigured.is_empty(), |before| *before != wrong) {
        text.push_str(&format!("{mark}{}  configuration: {wrong}\n", word::time(now)));
        said.insert(String::new(), wrong);
    }
    for status in &report.applications {
        let line = line(status);
        if said.get(status.name.as_str()) != Some(&line) {
            text.push_str(&format!("{mark}{}  {line}\n", word::time(now)));
            said.insert(status.name.to_string(), line);
        }
    }
    text
}

fn line(status: &ApplicationStatus) -> String {
    let subject = word::subject(status.name.as_str(), &status.revision);
    let message = if status.message.is_empty() { String::new() } else { format!("; {}", word::clean(&status.message)) };
    format!("{subject}: {}{message}", word::status_verdict(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(health: &str, message: &str) -> StatusReport {
        let text = format!(
            r#"{{"version": 1, "host": "box", "applications": [{{"name": "shop", "revision": "r1", "head": "r1", "sync": "Synced",
            "health": "{health}", "message": "{message}", "rolledBack": false, "refused": false, "plan": "0a1b", "workloads": [], "held": [],
            "findings": [], "drift": 0}}]}}"#
        );
        serde_json::from_str(&text).expect("a report")
    }

    #[test]
    fn only_what_changes_is_a_line() {
        let mut said = BTreeMap::new();
        let first = news(&mut said, &report("Progressing", "web: 0 of 1 replicas serve"), Time(0), "");
        assert_eq!(first, "1970-01-01 00:00:00 UTC  shop at r1: Synced, Progressing; web: 0 of 1 replicas serve\n");
        assert_eq!(news(&mut said, &report("Progressing", "web: 0 of 1 replicas serve"), Time(1000), ""), "");
        assert_eq!(news(&mut said, &report("Healthy", ""), Time(2000), "- "), "- 1970-01-01 00:00:02 UTC  shop at r1: Synced, Healthy\n");
    }
}
