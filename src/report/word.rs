//! The sentences that text, Markdown and pages share: verdicts, short revisions, values for one line.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::finding::{Finding, Severity};
use crate::name::ObjectId;
use crate::observed::{Interruption, RunningImage};
use crate::plan::{Change, ChangeAction, Drift, Plan};
use crate::time::{Time, format_duration};

use super::{ApplicationStatus, PlanAnswer};

/// Returns the verdict on a plan in one line, without its application and revision.
pub fn plan_verdict(answer: &PlanAnswer) -> String {
    let plan = &answer.plan;
    let nothing_known = answer.refused && plan.revision.is_empty();
    let mut parts = match (plan.changes.len(), plan.drift.len()) {
        (0, 0) if nothing_known => vec!["nothing can be planned".to_owned()],
        (0, 0) if plan.steps.is_empty() && plan.held.is_empty() => vec!["nothing to do".to_owned()],
        (0, 0) => vec!["nothing changes in Git".to_owned(), in_progress(plan)],
        (0, drift) => vec![format!("nothing changes in Git, {} from what was applied", differ(drift))],
        (_, 0) => vec![changed_words(&plan.changes.iter().collect::<Vec<_>>())],
        (_, drift) => vec![changed_words(&plan.changes.iter().collect::<Vec<_>>()), differ(drift)],
    };
    let changing: Vec<Least> = least_available(answer).into_iter().filter(|least| changes(plan, &least.object)).collect();
    parts.extend(changing.iter().min_by(|a, b| a.by_share(b)).map(|least| {
        let name = if changing.len() > 1 { format!(" of {}", least.object) } else { String::new() };
        format!("least available{name} {} of {}", least.serving, least.of)
    }));
    if answer.rolled_back.is_some() {
        parts.insert(0, "RolledBack".to_owned());
    } else if answer.refused {
        parts.insert(0, "the revision in Git is refused".to_owned());
    }
    parts.join("; ")
}

/// Returns why the plan is not that of the revision that Git has, if it is not.
pub fn plan_caveat(answer: &PlanAnswer) -> Option<String> {
    let kept = short(&answer.plan.revision);
    if let Some(reason) = &answer.rolled_back {
        return Some(format!("The revision in Git was rolled back: {reason}. This is the plan of an earlier healthy one, {kept}"));
    }
    match (answer.refused, kept.is_empty()) {
        (false, _) => None,
        (true, true) => Some("Its errors are below, and there is no earlier revision".to_owned()),
        (true, false) => Some(format!("Its errors are below. This is the plan of the last good revision, {kept}")),
    }
}

/// The least number of replicas of a workload that serve while a plan runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Least {
    /// The workload.
    pub object: String,
    /// How many serve at the worst moment.
    pub serving: usize,
    /// How many of them should never leave: what serves now, or what is wanted if that is less.
    pub of: usize,
}

impl Least {
    /// Compares by the share that serves, the worse first.
    pub fn by_share(&self, other: &Least) -> std::cmp::Ordering {
        (self.serving * other.of).cmp(&(other.serving * self.of))
    }
}

/// Returns the least number of replicas that serve in the rounds of a plan, for each workload that
/// serves now and shall go on doing so.
pub fn least_available(answer: &PlanAnswer) -> Vec<Least> {
    let mut least: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, count) in answer.rounds.iter().flatten().flat_map(|round| &round.serving) {
        least.entry(name).and_modify(|least| *least = (*least).min(*count)).or_insert(*count);
    }
    let workloads = answer.plan.workloads.iter().map(|status| (status.object.to_string(), status.available.min(status.desired) as usize));
    let found = workloads.filter(|(_, of)| *of > 0).filter_map(|(object, of)| {
        let serving = *least.get(object.as_str())?;
        Some(Least { object, serving, of })
    });
    found.collect()
}

/// Returns the verdict on drift in one line, without its application and revision.
pub fn drift_verdict(drift: &[Drift]) -> String {
    let healed = drift.iter().filter(|drift| drift.healed).count();
    match (drift.len(), healed) {
        (0, _) => "no drift".to_owned(),
        (count, 0) => format!("{}, only reported", differ(count)),
        (count, healed) if count == healed => format!("{}, being healed", differ(count)),
        (count, healed) => format!("{}, {healed} being healed", differ(count)),
    }
}

/// Returns the verdict on an application in one line.
pub fn status_verdict(status: &ApplicationStatus) -> String {
    let state = format!("{:?}, {:?}", status.sync, status.health);
    match (status.rolled_back, status.refused) {
        (true, _) => format!("{state}, RolledBack from {}", short(&status.head)),
        (false, true) => format!("{state}, {} is refused", short(&status.head)),
        (false, false) if !status.head.is_empty() && status.head != status.revision => format!("{state}, Git has {}", short(&status.head)),
        (false, false) => state,
    }
}

/// Returns `shop at 3f2a9c1`, or `shop` as long as there is no revision.
pub fn subject(application: &str, revision: &str) -> String {
    match short(revision) {
        "" => application.to_owned(),
        revision => format!("{application} at {revision}"),
    }
}

/// Returns a revision as people say it: seven digits of a hash, anything else whole.
pub fn short(revision: &str) -> &str {
    match revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => &revision[..7],
        false => revision,
    }
}

/// Returns the word for what happens to an object: one whose number of replicas alone changes is scaled.
pub fn action(change: &Change) -> &'static str {
    let only_scaled = !change.fields.is_empty() && change.fields.iter().all(|field| field.consequence == "scales");
    match change.action {
        ChangeAction::Update if only_scaled => "scale",
        action => action.as_str(),
    }
}

/// Returns the mark of an action.
pub fn mark(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Create => "+",
        ChangeAction::Update => "~",
        ChangeAction::Recreate => "*",
        ChangeAction::Remove => "-",
    }
}

/// Returns a value so that it fits a line and can do nothing to a terminal.
pub fn value(text: Option<&str>) -> String {
    const LONGEST: usize = 120;
    match text {
        None => "(unset)".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(text) => {
            let clean = clean(text);
            match clean.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}… ({} characters)", &clean[..end], text.chars().count()),
                None => clean,
            }
        }
    }
}

/// Returns a text on one line and without control characters.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() || is_direction(character) {
            true => clean.extend(character.escape_default()),
            false => clean.push(character),
        }
    }
    clean
}

/// Returns a text on one line as HTML and XML show it: nothing in it is markup.
pub fn markup(text: &str) -> String {
    let mut markup = String::with_capacity(text.len());
    for character in clean(text).chars() {
        match character {
            '&' => markup.push_str("&amp;"),
            '<' => markup.push_str("&lt;"),
            '>' => markup.push_str("&gt;"),
            '"' => markup.push_str("&quot;"),
            '\'' => markup.push_str("&#39;"),
            character => markup.push(character),
        }
    }
    markup
}

/// Characters that reorder what stands beside them, so that a text reads as what it is not.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns a time as people read it.
pub fn time(time: Time) -> String {
    let text = time.to_string();
    let seconds = text.split_once('.').map_or(text.trim_end_matches('Z'), |(seconds, _)| seconds);
    format!("{} UTC", seconds.replace('T', " "))
}

/// Returns a step in words as people read it: what is delivered is named by a part of its hash.
pub fn step(text: &str) -> String {
    const DIGITS: usize = 12;
    match text.split_once("Content/") {
        Some((before, id)) if id.len() > DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("{}Content/{}", clean(before), &id[..DIGITS])
        }
        _ => clean(text),
    }
}

/// Returns `1 object`, `2 objects`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Returns `2 errors, 1 warning`.
pub fn severities(findings: &[Finding]) -> String {
    let of = |severity, noun| match findings.iter().filter(|finding| finding.severity == severity).count() {
        0 => None,
        number => Some(count(number, noun)),
    };
    let counts = [of(Severity::Error, "error"), of(Severity::Warning, "warning"), of(Severity::Note, "note")];
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns `3 objects change, 1 created, 2 recreated`.
pub fn changed_words(changes: &[&Change]) -> String {
    let words = [("create", "created"), ("update", "updated"), ("recreate", "recreated"), ("scale", "scaled"), ("remove", "removed")];
    let counts = words.into_iter().filter_map(|(word, past)| match changes.iter().filter(|change| action(change) == word).count() {
        0 => None,
        number => Some(format!("{number} {past}")),
    });
    let verb = if changes.len() == 1 { "changes" } else { "change" };
    format!("{} {verb}, {}", count(changes.len(), "object"), counts.collect::<Vec<_>>().join(", "))
}

/// Returns the word for a severity.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Returns `deploy/web.yaml:3:5`, as far as it is known.
pub fn place(finding: &Finding) -> String {
    let place = &finding.place;
    match (place.line, place.column) {
        (0, _) => clean(&place.file),
        (line, 0) => format!("{}:{line}", clean(&place.file)),
        (line, column) => format!("{}:{line}:{column}", clean(&place.file)),
    }
}

/// Returns a finding as one line: `api.yaml:12:9: warning: container ...`, with its hint behind it.
pub fn finding_line(finding: &Finding) -> String {
    let place = place(finding);
    let place = if place.is_empty() { place } else { format!("{place}: ") };
    let hint = finding.hint.as_ref().map(|hint| format!(" ({})", clean(hint))).unwrap_or_default();
    format!("{place}{}: {}{hint}", severity(finding.severity), clean(&finding.message))
}

/// Returns the drift of one object as one line: `shop/Deployment/web/x7k2p stopped`.
pub fn drift_line(drift: &Drift) -> String {
    let fields: Vec<String> = drift
        .fields
        .iter()
        .map(|field| format!("{} {} -> {}", clean(&field.path), value(field.expected.as_deref()), value(field.actual.as_deref())))
        .collect();
    let fields = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
    format!("{} {}{fields}", drift.object, drift.what.as_str())
}

/// Returns what an update interrupted as one line: `shop/service/entry: port 8080/tcp of the host was
/// interrupted for 1.9s`.
pub fn interruption_line(object: &ObjectId, interruption: &Interruption) -> String {
    let Interruption { what, since, until } = interruption;
    match until {
        Some(until) => format!("{object}: {what} was interrupted for {}", format_duration(until.since(*since))),
        None => format!("{object}: {what} is interrupted since {}", time(*since)),
    }
}

/// Returns what a workload was started from as one line: `shop/Deployment/web: shop/web:1 is sha256:0a1b…`.
pub fn image_line(workload: &ObjectId, before: Option<&str>, image: &RunningImage) -> String {
    let RunningImage { image, digest } = image;
    match before {
        Some(before) => format!("{workload}: {image} {before} -> {digest}"),
        None => format!("{workload}: {image} is {digest}"),
    }
}

fn differ(number: usize) -> String {
    format!("{} {}", count(number, "object"), if number == 1 { "differs" } else { "differ" })
}

fn in_progress(plan: &Plan) -> String {
    let mut parts = Vec::new();
    if !plan.steps.is_empty() {
        parts.push(count(plan.steps.len(), "step"));
    }
    if !plan.held.is_empty() {
        parts.push(format!("{} held", plan.held.len()));
    }
    parts.join(", ")
}

fn changes(plan: &Plan, object: &str) -> bool {
    plan.changes.iter().any(|change| change.object.to_string() == object)
}
