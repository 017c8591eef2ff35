//! A review as Markdown: the verdict first, then a table, then what a reviewer looks up.
//!
//! It fits into one comment of a forge, whatever changes: what is too much is counted where it is left out.
//! Every value comes from a manifest that somebody else wrote, so nothing in it is markup, and nobody is
//! mentioned by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::finding::Finding;
use crate::plan::{Change, ChangeAction};
use crate::report::PlanRound;
use crate::report::markdown::{code, escape, heads, value};
use crate::report::word;
use crate::time::format_duration;

use super::page::{first, fit, shorten};
use super::{ApplicationReview, LiveReview, ReviewReport, known_words};

/// The longest review in bytes. GitHub takes comments of 65,536 characters; the rest is for who posts it.
pub const LONGEST: usize = 65_000;
/// Sections of an application that has no room for more are not begun.
const SCRAP: usize = 400;
/// What stands around the rows of a section, in bytes at most.
const AROUND: usize = 300;
/// The longest sentence of a finding or a reason, in characters.
const SENTENCE: usize = 600;
/// What a plan says of a replica that is not ready, before the last answer of its probe.
const NOT_READY: &str = "is not ready yet";
/// So many lines of one cell are shown.
const LINES: usize = 12;

/// Returns a review as Markdown, with at most [`LONGEST`] bytes.
pub fn review_markdown(report: &ReviewReport) -> String {
    let range = format!("{} to {}", code(word::short(&report.base)), code(word::short(&report.head)));
    let mut text = format!("**{}**\n", escape(&shorten(&report.verdict(), SENTENCE)));
    let rows: Vec<String> = report.applications.iter().map(overview).collect();
    if !rows.is_empty() {
        text.push_str(&heads(&["application", "created", "changed", "removed", "unchanged", "least available", "findings"]));
        text.push_str(&fit(&rows, LONGEST / 8, "applications", |sentence| format!("| {sentence} | | | | | | |\n")));
    }
    let untouched = match report.untouched {
        0 => String::new(),
        number => format!(" {} not touched.", word::count(number, "application")),
    };
    let foot = format!("\nFrom {range}.{untouched} The rollout is simulated; figures of time are the simulator's.\n");
    let mut left = LONGEST - text.len() - foot.len();
    for (index, review) in report.applications.iter().enumerate() {
        let waiting = report.applications.len() - index;
        // What one application does not use is for those behind it.
        let share = left / waiting;
        if share < SCRAP + AROUND {
            let sentence = format!("\n{} in detail: not shown, the comment would be too long\n", word::count(waiting, "application"));
            text.push_str(&sentence[..sentence.len().min(left)]);
            break;
        }
        let section = application(review, report.link.as_deref(), share);
        left -= section.len().min(left);
        text.push_str(&section);
    }
    text + &foot
}

fn overview(review: &ApplicationReview) -> String {
    let of = |actions: &[ChangeAction]| {
        let number = review.changes().iter().filter(|change| actions.contains(&change.action)).count();
        if number == 0 { String::new() } else { number.to_string() }
    };
    let least = review.least();
    let worst =
        least.iter().min_by(|a, b| a.by_share(b)).map(|least| format!("{} of {} ({})", least.serving, least.of, code(&least.object)));
    let unchanged = if review.answer.is_some() { review.unchanged.to_string() } else { String::new() };
    let cells = [
        code(review.name.as_str()),
        of(&[ChangeAction::Create]),
        of(&[ChangeAction::Update, ChangeAction::Recreate]),
        of(&[ChangeAction::Remove]),
        unchanged,
        worst.unwrap_or_default(),
        word::severities(&review.findings),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// Returns one application, with at most `limit` bytes.
fn application(review: &ApplicationReview, link: Option<&str>, limit: usize) -> String {
    let open = if word_of_trouble(review) { " open" } else { "" };
    let name = word::markup(review.name.as_str());
    let verdict = word::markup(&shorten(&review.verdict(), SENTENCE));
    let mut text = format!("\n<details{open}><summary><b>{name}</b>: {verdict}</summary>\n");
    let end = "\n</details>\n";
    let room = |text: &str, share: usize| (limit.saturating_sub(text.len() + end.len() + AROUND)) / share;
    let notes: Vec<String> = review.caveats.iter().map(|caveat| format!("\n{}.\n", sentence(caveat))).collect();
    text.push_str(&fit(&notes, room(&text, 6), "notes", |sentence| format!("\n{sentence}\n")));
    let interruptions: Vec<String> = review
        .interruptions
        .iter()
        .map(|one| format!("- **Interrupts** {}{}: {}\n", code(&one.object), one.duration(), sentence(&one.reason)))
        .collect();
    text.push_str(&block("", &fit(&interruptions, room(&text, 6), "interruptions", bullet)));
    let mut ordered: Vec<&Finding> = review.findings.iter().collect();
    ordered.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let findings: Vec<String> = ordered.into_iter().map(|finding| finding_line(finding, link)).collect();
    text.push_str(&block("Findings", &fit(&findings, room(&text, 4), "findings", bullet)));
    text.push_str(&known_words(review).map(|words| format!("\n{words}.\n")).unwrap_or_default());
    if let Some(live) = &review.live {
        text.push_str(&live_section(live, room(&text, 4)));
    }
    if let Some(answer) = &review.answer {
        let objects: BTreeSet<String> = answer.plan.changes.iter().map(|change| change.object.to_string()).collect();
        let rounds = rollout(answer.rounds.as_deref().unwrap_or_default(), &objects, room(&text, 3));
        let rows: Vec<String> = answer.plan.changes.iter().flat_map(change_rows).collect();
        let limit = room(&text, 1).saturating_sub(rounds.len());
        let rows = fit(&rows, limit, "lines of changes", |sentence| format!("| | | | | {sentence} |\n"));
        if !rows.is_empty() {
            text.push_str(&heads(&["object", "field", "old", "new", "consequence"]));
            text.push_str(&rows);
        }
        text.push_str(&rounds);
        if !answer.plan.changes.is_empty() {
            text.push_str(&format!("\nPlan {}\n", code(&answer.plan.id)));
        }
    }
    text + end
}

/// An application that somebody must look at is not folded.
fn word_of_trouble(review: &ApplicationReview) -> bool {
    review.answer.is_none() || !review.interruptions.is_empty()
}

/// Returns the rows of one object: what happens to it, then each field.
fn change_rows(change: &Change) -> Vec<String> {
    let object = code(&change.object.to_string());
    let first =
        format!("| {} {object} | | | | **{}**: {} |\n", code(word::mark(change.action)), word::action(change), sentence(&change.reason));
    let fields = change.fields.iter().map(|field| {
        let path = code(&shorten(&field.path, SENTENCE));
        // Of what is new nothing was before, and nothing follows.
        let (old, consequence) = match change.action {
            ChangeAction::Create => Default::default(),
            _ => (value(field.old.as_deref()), sentence(&field.consequence)),
        };
        format!("| {object} | {path} | {old} | {} | {consequence} |\n", value(field.new.as_deref()))
    });
    std::iter::once(first).chain(fields).collect()
}

/// Returns the rounds, folded. Names that are made when a replica is are left out: on the host they are others.
fn rollout(rounds: &[PlanRound], changing: &BTreeSet<String>, limit: usize) -> String {
    let Some(last) = rounds.last() else { return String::new() };
    let mut serving: BTreeSet<&(String, usize)> = BTreeSet::new();
    let mut held: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for round in rounds {
        let workloads: BTreeSet<&str> = round.serving.iter().map(|(name, _)| name).chain(changing).map(String::as_str).collect();
        let steps = match round.steps.as_slice() {
            [] => vec!["**nothing more happens, and it has not converged**".to_owned()],
            steps => first(counted(steps.iter().map(|step| generic(step, &workloads))), LINES),
        };
        let now: Vec<String> = counted(round.held.iter().map(|held| generic(held, &workloads)));
        let before: BTreeSet<&String> = held.iter().collect();
        let begins: Vec<String> = now.iter().filter(|line| round.steps.is_empty() || !before.contains(line)).cloned().collect();
        let counts = round.serving.iter().filter(|entry| !serving.contains(*entry)).map(|(name, count)| format!("{} {count}", code(name)));
        let at = format_duration(Duration::from_millis(round.at));
        let cells = [at, steps.join("<br>"), first(counts.collect(), LINES).join("<br>"), first(begins, LINES).join("<br>")];
        rows.push(format!("| {} |\n", cells.join(" | ")));
        serving = round.serving.iter().collect();
        held = now;
    }
    let took = format_duration(Duration::from_millis(last.at));
    let table = heads(&["at", "steps", "serving", "waits"]);
    let summary = format!("\n<details><summary>Rollout: {} in {took}</summary>\n{table}", word::count(rounds.len(), "round"));
    let rows = fit(&rows, limit.saturating_sub(summary.len() + 12), "rounds", |sentence| format!("| | {sentence} | | |\n"));
    format!("{summary}{rows}\n</details>\n")
}

/// Returns a step or a reason without the name of a replica, and without the hash of delivered files.
fn generic(text: &str, workloads: &BTreeSet<&str>) -> String {
    if let Some((before, _)) = text.split_once("Content/") {
        return sentence(&before.rsplit_once(' ').map_or("files".to_owned(), |(action, _)| format!("{action} files")));
    }
    let word = |word: &str| {
        let (name, end) = word.strip_suffix(':').map_or((word, ""), |name| (name, ":"));
        match name.rsplit_once('/').filter(|(workload, _)| workloads.contains(workload)) {
            Some((workload, _)) => format!("{workload}{end}"),
            None => word.to_owned(),
        }
    };
    let text = text.split(' ').map(word).collect::<Vec<_>>().join(" ");
    // Why a simulated replica is not ready says nothing of a real one.
    let end = text.find(NOT_READY).map_or(text.len(), |at| at + NOT_READY.len());
    sentence(&text[..end])
}

/// Returns lines with how often each stands there, in the order of their first.
fn counted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        match known.get(&line) {
            Some(index) => counts[*index].1 += 1,
            None => {
                known.insert(line.clone(), counts.len());
                counts.push((line, 1));
            }
        }
    }
    counts.into_iter().map(|(line, count)| if count == 1 { line } else { format!("{line} ({count} times)") }).collect()
}

fn live_section(live: &LiveReview, limit: usize) -> String {
    let rows: Vec<String> = live
        .drift
        .iter()
        .flat_map(|drift| {
            let what = [code(&drift.object), drift.what.as_str().to_owned()].join(" | ");
            let fields = drift.fields.iter().map(|field| {
                format!("| {what} | {} | {} | {} |\n", code(&field.path), value(field.expected.as_deref()), value(field.actual.as_deref()))
            });
            let fields: Vec<String> = fields.collect();
            if fields.is_empty() { vec![format!("| {what} | | | |\n")] } else { fields }
        })
        .collect();
    let mut text = format!("\n**On {} now**: at {}", code(&live.host), code(word::short(&live.revision)));
    match live.pending {
        0 => {}
        number => text.push_str(&format!(", {} still to change", word::count(number, "object"))),
    }
    if let Some(reason) = &live.rolled_back {
        text.push_str(&format!(", rolled back: {}", sentence(reason)));
    }
    if rows.is_empty() {
        return text + ", no drift\n";
    }
    text.push_str(", and this drifts already:\n");
    text.push_str(&heads(&["object", "what", "field", "expected", "actual"]));
    let room = limit.saturating_sub(text.len());
    text + &fit(&rows, room, "lines of drift", |sentence| format!("| {sentence} | | | | |\n"))
}

fn finding_line(finding: &Finding, link: Option<&str>) -> String {
    let hint = finding.hint.as_ref().map(|hint| format!(" ({})", sentence(hint))).unwrap_or_default();
    let place = word::place(finding);
    let shown = code(&shorten(&place, SENTENCE));
    // What has a whole path is a file of the host, such as a policy: there is no page for it.
    let link = link.filter(|_| !finding.place.file.starts_with('/'));
    let place = match (place.is_empty(), link) {
        (true, _) => String::new(),
        (false, Some(link)) => format!("[{shown}]({}): ", target(link, finding)),
        (false, None) => format!("{shown}: "),
    };
    format!("- {place}**{}** {}{hint}\n", word::severity(finding.severity), sentence(&finding.message))
}

/// Returns the address of a line; every character of the path that could end a link is written in digits.
fn target(link: &str, finding: &Finding) -> String {
    let mut address = format!("{}/", link.trim_end_matches('/'));
    for byte in finding.place.file.bytes() {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.') {
            true => address.push(char::from(byte)),
            false => address.push_str(&format!("%{byte:02X}")),
        }
    }
    if finding.place.line > 0 {
        address.push_str(&format!("#L{}", finding.place.line));
    }
    address
}

fn sentence(text: &str) -> String {
    escape(&shorten(text, SENTENCE))
}

fn bullet(sentence: &str) -> String {
    format!("- {sentence}\n")
}

fn block(title: &str, body: &str) -> String {
    match (title, body) {
        (_, "") => String::new(),
        ("", body) => format!("\n{body}"),
        (title, body) => format!("\n**{title}**\n\n{body}"),
    }
}
