//! How applications stand, as text.

use crate::plan::{Health, Sync};
use crate::report::paint::{Ink, Paint};
use crate::report::word;
use crate::report::{ApplicationStatus, StatusReport};

use super::table::{Cell, Table};
use super::{finding_lines, held_lines};

/// Returns how applications stand, as text.
pub fn status_text(report: &StatusReport, paint: Paint) -> String {
    let wrong = misconfigured(report, paint);
    if report.applications.is_empty() {
        return wrong + "No application is configured.\n";
    }
    let blocks: Vec<String> = report.applications.iter().map(|status| application(status, paint)).collect();
    match blocks.len() {
        1 => wrong + &blocks.concat(),
        number => {
            let good = report.applications.iter().filter(|status| is_good(status)).count();
            let head = paint.ink(Ink::Bold, &format!("{}: {good} of {number} applications are Synced and Healthy", report.host));
            format!("{wrong}{head}\n\n{}", blocks.join("\n"))
        }
    }
}

fn misconfigured(report: &StatusReport, paint: Paint) -> String {
    if report.misconfigured.is_empty() {
        return String::new();
    }
    let head = paint.ink(Ink::Bad, "The configuration was refused; the last good one is in force:");
    let lines: String = report.misconfigured.iter().map(|line| format!("  {}\n", word::clean(line))).collect();
    format!("{head}\n{lines}\n")
}

fn is_good(status: &ApplicationStatus) -> bool {
    status.sync == Sync::Synced && status.health == Health::Healthy && !status.rolled_back && !status.refused
}

fn application(status: &ApplicationStatus, paint: Paint) -> String {
    let ink = match (is_good(status), status.health) {
        (true, _) => Ink::Good,
        (false, Health::Degraded | Health::Missing) => Ink::Bad,
        (false, _) => Ink::Warn,
    };
    let subject = paint.ink(Ink::Bold, &word::subject(status.name.as_str(), &status.revision));
    let mut text = format!("{subject}: {}\n", paint.ink(ink, &word::status_verdict(status)));
    if !status.message.is_empty() {
        text.push_str(&format!("  {}\n", word::clean(&status.message)));
    }
    if status.drift > 0 {
        let verb = if status.drift == 1 { "drifts" } else { "drift" };
        text.push_str(&format!("  {} {verb}: see `driftless drift {}`\n", word::count(status.drift, "object"), status.name));
    }
    text.push_str(&workloads(status, paint));
    for workload in &status.workloads {
        if let Some(interruption) = &workload.interrupted {
            text.push_str(&format!("  {}\n", word::clean(&word::interruption_line(&workload.object, interruption))));
        }
    }
    if !status.held.is_empty() {
        text.push_str(&format!("  {}\n{}", paint.ink(Ink::Bold, "Held"), indented(&held_lines(&status.held, paint))));
    }
    if !status.findings.is_empty() {
        let heading = format!("Findings: {}", word::severities(&status.findings));
        text.push_str(&format!("  {}\n{}", paint.ink(Ink::Bold, &heading), indented(&finding_lines(&status.findings, paint))));
    }
    text
}

fn workloads(status: &ApplicationStatus, paint: Paint) -> String {
    if status.workloads.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2);
    let heads = ["WORKLOAD", "DESIRED", "READY", "UPDATED", "AVAILABLE", "HEALTH"];
    table.row(heads.map(|head| Cell::inked(head, Ink::Dim)));
    for workload in &status.workloads {
        let ink = match workload.health {
            Health::Healthy => Ink::Good,
            Health::Degraded | Health::Missing => Ink::Bad,
            _ => Ink::Warn,
        };
        let numbers = [workload.desired, workload.ready, workload.updated, workload.available];
        let mut cells = vec![Cell::plain(workload.object.to_string())];
        cells.extend(numbers.map(|number| Cell::plain(number.to_string())));
        let said = workload.health == Health::Healthy || workload.message == status.message;
        let message = if said { String::new() } else { word::clean(&workload.message) };
        let over = workload.overridden_until.map(|until| format!("an override until {}", word::time(until)));
        let message = [Some(message).filter(|message| !message.is_empty()), over].into_iter().flatten().collect::<Vec<_>>().join("; ");
        cells.extend([Cell::inked(format!("{:?}", workload.health), ink), Cell::plain(message)]);
        table.row(cells);
    }
    table.text(paint)
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}
