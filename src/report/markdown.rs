//! Reports as Markdown, for reviews and issues: GitHub's flavour, readable as plain text too.

use crate::finding::Finding;
use crate::plan::{Drift, Held};
use crate::time::format_duration;

use super::word;
use super::{ApplicationStatus, PlanAnswer, StatusReport};

/// Returns a plan as Markdown.
pub fn plan_markdown(answer: &PlanAnswer) -> String {
    let plan = &answer.plan;
    let mut text = head("Plan", plan.application.as_str(), &plan.revision);
    text.push_str(&format!("{}\n", capital(&word::plan_verdict(answer))));
    if let Some(caveat) = word::plan_caveat(answer) {
        text.push_str(&format!("\n**{}**\n", escape(&capital(&caveat))));
    }
    let changes = plan.changes.iter().map(|change| {
        let row = [format!("`{}`", word::mark(change.action)), code(&change.object.to_string()), word::action(change).to_owned()];
        [row.as_slice(), &[escape(&change.reason)]].concat()
    });
    text.push_str(&table(&["", "object", "action", "why"], changes));
    let fields = plan.changes.iter().flat_map(|change| {
        change.fields.iter().map(|field| {
            let (old, new) = (value(field.old.as_deref()), value(field.new.as_deref()));
            vec![code(&change.object.to_string()), code(&field.path), old, new, escape(&field.consequence)]
        })
    });
    text.push_str(&folded("Fields", &table(&["object", "field", "old", "new", "consequence"], fields)));
    text.push_str(&titled("Drift", &drift_tables(&plan.drift)));
    let steps = plan.steps.iter().map(|planned| {
        let object = word::step(planned.object.trim_start_matches("Image/"));
        vec![planned.step.action().to_owned(), code(&object), escape(&planned.reason)]
    });
    text.push_str(&titled("Now", &table(&["step", "object", "why"], steps)));
    let rounds = answer.rounds.iter().flatten().map(|round| {
        let serving: Vec<String> = round.serving.iter().map(|(name, count)| format!("{} {count}", code(name))).collect();
        let list = |lines: &[String]| lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("<br>");
        let steps: Vec<String> = round.steps.iter().map(|step| escape(&word::step(step))).collect();
        let at = format_duration(std::time::Duration::from_millis(round.at));
        vec![at, steps.join("<br>"), serving.join("<br>"), list(&round.held)]
    });
    text.push_str(&folded("Rounds (simulated)", &table(&["at", "steps", "serving", "held"], rounds)));
    text.push_str(&titled("Held", &held_table(&plan.held)));
    text.push_str(&titled("Deferred to the next change", &held_table(&plan.deferred)));
    text.push_str(&titled("Findings", &finding_list(&plan.findings)));
    if !plan.changes.is_empty() {
        text.push_str(&format!("\nPlan `{}`\n", plan.id));
    }
    text
}

/// Returns the drift of an application as Markdown.
pub fn drift_markdown(answer: &PlanAnswer) -> String {
    let plan = &answer.plan;
    let mut text = head("Drift", plan.application.as_str(), &plan.revision);
    text.push_str(&format!("{}\n", capital(&word::drift_verdict(&plan.drift))));
    text.push_str(&drift_tables(&plan.drift));
    let held: Vec<Held> = plan.held.iter().filter(|held| plan.drift.iter().any(|drift| drift.object == held.object)).cloned().collect();
    text.push_str(&titled("Held", &held_table(&held)));
    let healed = answer.healed.iter().map(|healed| vec![word::time(healed.at), escape(&word::drift_line(&healed.drift))]);
    text.push_str(&titled("Healed lately", &table(&["when", "what"], healed)));
    text
}

/// Returns how applications stand as Markdown.
pub fn status_markdown(report: &StatusReport) -> String {
    let mut text = format!("### Status of {}\n", code(&report.host));
    if !report.misconfigured.is_empty() {
        text.push_str("\n**The configuration was refused; the last good one is in force:**\n\n");
        report.misconfigured.iter().for_each(|line| text.push_str(&format!("- {}\n", escape(line))));
    }
    let row = |status: &ApplicationStatus| {
        let verdict = escape(&word::status_verdict(status));
        vec![code(status.name.as_str()), code(word::short(&status.revision)), verdict, escape(&status.message)]
    };
    text.push_str(&table(&["application", "revision", "state", "message"], report.applications.iter().map(row)));
    for status in &report.applications {
        let workloads = status.workloads.iter().map(|workload| {
            let numbers = [workload.desired, workload.ready, workload.updated, workload.available].map(|number| number.to_string());
            let name = code(&workload.object.to_string());
            let over = workload.overridden_until.map(|until| format!("; an override until {}", word::time(until))).unwrap_or_default();
            [&[name], numbers.as_slice(), &[format!("{:?}", workload.health), escape(&workload.message) + &over]].concat()
        });
        text.push_str(&table(&["workload", "desired", "ready", "updated", "available", "health", "message"], workloads));
        text.push_str(&held_table(&status.held));
        text.push_str(&finding_list(&status.findings));
    }
    text
}

/// Returns findings as Markdown.
pub fn check_markdown(findings: &[Finding]) -> String {
    match findings {
        [] => "No errors, no warnings.\n".to_owned(),
        findings => format!("{}\n{}", word::severities(findings), finding_list(findings)),
    }
}

fn head(what: &str, application: &str, revision: &str) -> String {
    match word::short(revision) {
        "" => format!("### {what} for {}\n\n", code(application)),
        revision => format!("### {what} for {} at {}\n\n", code(application), code(revision)),
    }
}

fn drift_tables(drift: &[Drift]) -> String {
    let objects = drift.iter().map(|drift| {
        let since = drift.since.map(word::time).unwrap_or_default();
        let healed = if drift.healed { "is being healed" } else { "only reported" };
        vec![code(&drift.object), drift.what.as_str().to_owned(), since, healed.to_owned()]
    });
    let fields = drift.iter().flat_map(|drift| {
        drift
            .fields
            .iter()
            .map(|field| vec![code(&drift.object), code(&field.path), value(field.expected.as_deref()), value(field.actual.as_deref())])
    });
    table(&["object", "what", "since", ""], objects) + &table(&["object", "field", "expected", "actual"], fields)
}

fn held_table(held: &[Held]) -> String {
    let rows = held.iter().map(|held| {
        let until = held.until.map(word::time).unwrap_or_default();
        vec![code(&held.object), escape(&held.reason), until]
    });
    table(&["held", "why", "until"], rows)
}

fn finding_list(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let hint = finding.hint.as_ref().map(|hint| format!(" ({})", escape(hint))).unwrap_or_default();
        let place = word::place(finding);
        let place = if place.is_empty() { String::new() } else { format!("{}: ", code(&place)) };
        let severity = word::severity(finding.severity);
        text.push_str(&format!("\n- {place}**{severity}** {}{hint}", escape(&finding.message)));
    }
    if text.is_empty() { text } else { text + "\n" }
}

pub(super) fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let lines: String = rows.map(|row| format!("| {} |\n", row.join(" | "))).collect();
    match lines.as_str() {
        "" => String::new(),
        lines => heads(columns) + lines,
    }
}

/// Returns the first lines of a table.
pub(super) fn heads(columns: &[&str]) -> String {
    format!("\n| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn titled(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("\n**{title}**\n{body}") }
}

fn folded(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("\n<details><summary>{title}</summary>\n{body}\n</details>\n") }
}

pub(super) fn value(text: Option<&str>) -> String {
    text.map_or_else(|| "(unset)".to_owned(), |text| code(&word::value(Some(text))))
}

/// Returns a text in backticks, in which nothing is markup: a backtick inside would end it, a bar would end
/// the cell of a table. A bar behind a backslash cannot be escaped in a table, so a space comes between.
pub(super) fn code(text: &str) -> String {
    let clean = word::clean(text).replace('`', "'").replace("\\|", "\\ |").replace('|', "\\|");
    if clean.is_empty() { "` `".to_owned() } else { format!("`{clean}`") }
}

/// Returns a text in which only pairs of backticks mean something: messages put literals between them.
///
/// A backslash keeps forges from seeing markup but not names: an `@` behind it still calls somebody, and a
/// `#1` still links. A character without width behind them does.
pub(super) fn escape(text: &str) -> String {
    const NOTHING: char = '\u{200b}';
    let clean = word::clean(text);
    let parts: Vec<&str> = clean.split('`').collect();
    // An odd backtick has no partner: what follows it is text.
    let paired = (parts.len() - 1) / 2 * 2;
    let mut escaped = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        if index % 2 == 1 && index < paired {
            // Two of them side by side would be a delimiter of another kind.
            if escaped.ends_with('`') {
                escaped.push(' ');
            }
            escaped.push_str(&code(part));
            continue;
        }
        if index > paired {
            escaped.push_str("\\`");
        }
        for character in part.chars() {
            if matches!(character, '|' | '*' | '_' | '<' | '>' | '[' | ']' | '#' | '\\' | '~' | '&') {
                escaped.push('\\');
            }
            escaped.push(character);
            if matches!(character, '@' | '#') {
                escaped.push(NOTHING);
            }
        }
    }
    escaped
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
