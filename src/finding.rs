//! Findings: what is wrong or doubtful in a manifest, a setting or a plan, and where.
//!
//! A finding is a value; how it looks is the business of `report`.

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; never changes an exit code.
    Note,
    /// Probably a mistake; the revision is taken all the same.
    Warning,
    /// The revision is refused for its application.
    Error,
}

/// A place in a file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Place {
    /// Path from the application's folder, with `/`; empty if no file is concerned.
    pub file: String,
    /// Line, counted from 1; 0 means the file as a whole.
    pub line: usize,
    /// Column in characters, counted from 1; 0 means the line as a whole.
    pub column: usize,
    /// How many characters the place covers, for the underline only; 0 means that the line must not be
    /// shown, because it may hold a secret.
    #[serde(skip)]
    pub length: usize,
}

impl Place {
    /// Returns the place that is a file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Place { file: file.into(), line: 0, column: 0, length: 0 }
    }
}

/// Something wrong or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// A stable word for the rule, as in `unknown-field`.
    pub rule: String,
    /// How much it weighs.
    pub severity: Severity,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// One sentence without a final period; literals in backticks; never a secret value.
    pub message: String,
    /// What to do about it, if that can be said.
    pub hint: Option<String>,
}

impl Finding {
    /// Returns an error at a place.
    pub fn error(rule: &str, place: Place, message: impl Into<String>) -> Self {
        Finding { rule: rule.to_owned(), severity: Severity::Error, place, message: message.into(), hint: None }
    }

    /// Returns a warning at a place.
    pub fn warning(rule: &str, place: Place, message: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, ..Finding::error(rule, place, message) }
    }

    /// Returns a note at a place.
    pub fn note(rule: &str, place: Place, message: impl Into<String>) -> Self {
        Finding { severity: Severity::Note, ..Finding::error(rule, place, message) }
    }

    /// Returns the finding with a hint.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Tells whether any finding is an error.
pub fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}
