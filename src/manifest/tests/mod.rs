//! Whole folders in, desired states and findings out.

mod bad;
mod compose;
mod compose_bad;
mod compose_files;
mod compose_hostile;
mod hostile;
mod login;
mod shop;
mod spelling;

use crate::desired::{Desired, Installation, Layout, Settings};
use crate::finding::{Finding, Severity};
use crate::hash::Key;
use crate::name::Name;

use super::{Context, Format, Tree, build};

/// Returns a context for tests.
fn context() -> Context {
    let name = |text| Name::try_from(text).expect("valid name");
    Context {
        application: name("shop"),
        revision: "1f0c".to_owned(),
        installation: Installation {
            owner: name("home"),
            domain: "cluster.local".to_owned(),
            layout: Layout::new("10.64.0.0/16".parse().expect("network")).expect("a /16"),
            key: Key::new([7; 32]),
        },
        settings: Settings::default(),
        namespace: name("shop"),
        format: Format::Auto,
    }
}

/// Builds files that must be good.
fn good(files: &[(&str, &str)]) -> Desired {
    match build(&Tree::of(files.iter().copied()), &context()) {
        Ok(desired) => desired,
        Err(findings) => panic!("refused:\n{}", lines(&findings)),
    }
}

/// Returns the findings of files, good or not.
fn findings(tree: &Tree) -> Vec<Finding> {
    match build(tree, &context()) {
        Ok(desired) => desired.findings,
        Err(findings) => findings,
    }
}

/// Writes findings as `file:line:column: message`, with hints behind an arrow.
fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { severity, place, message, hint, .. } in findings {
        let word = match severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
            Severity::Note => "note: ",
        };
        let position = match place.line {
            0 => String::new(),
            line => format!("{line}:{}:", place.column),
        };
        text.push_str(&format!("{}:{position} {word}{message}", place.file));
        if let Some(hint) = hint {
            text.push_str(&format!(" -> {hint}"));
        }
        text.push('\n');
    }
    text
}
