//! Where findings of one run gather. Decoding goes on after each of them, so that one run tells all.

use std::cell::{Cell, RefCell};

use crate::finding::{Finding, Place, Severity};

use super::node::Span;

/// So many errors of one file are kept: a file that is wrong everywhere does not bury the others.
const PER_FILE: usize = 100;
/// A message with more bytes is cut.
const LONGEST: usize = 2_000;

/// The findings of one run, and the names of the files that spans refer to.
#[derive(Debug, Default)]
pub struct Sink {
    files: Vec<String>,
    findings: RefCell<Vec<Finding>>,
    left: RefCell<Vec<usize>>,
    errors: Cell<usize>,
}

impl Sink {
    /// Returns an empty sink for these files; a span's `file` is a position in this list.
    pub fn new(files: Vec<String>) -> Self {
        let left = RefCell::new(vec![PER_FILE; files.len()]);
        Sink { files, left, ..Sink::default() }
    }

    /// Returns the place that a span means.
    pub fn place(&self, span: Span) -> Place {
        let file = self.files.get(span.file as usize).cloned().unwrap_or_default();
        Place { file, line: span.line as usize, column: span.column as usize, length: span.length as usize }
    }

    /// Adds an error.
    pub fn error(&self, rule: &str, span: Span, message: impl Into<String>) {
        self.add(Finding::error(rule, self.place(span), message), span.file);
    }

    /// Adds an error that says what to do about it.
    pub fn error_with(&self, rule: &str, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Finding::error(rule, self.place(span), message).with_hint(hint), span.file);
    }

    /// Adds a warning that says what to do about it.
    pub fn warning(&self, rule: &str, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Finding::warning(rule, self.place(span), message).with_hint(hint), span.file);
    }

    /// Adds a note.
    pub fn note(&self, rule: &str, span: Span, message: impl Into<String>) {
        self.add(Finding::note(rule, self.place(span), message), span.file);
    }

    /// Adds a finding of another room about a place in these files.
    pub fn put(&self, span: Span, severity: Severity, rule: &str, message: String, hint: Option<String>) {
        self.add(Finding { rule: rule.to_owned(), severity, place: self.place(span), message, hint }, span.file);
    }

    /// Adds a finding of another room about a file that is none of these.
    pub fn take(&self, finding: Finding) {
        self.add(finding, u32::MAX);
    }

    /// Returns how many errors there are so far.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Returns where the findings so far point to, as far as they point to lines of these files, and their rules.
    pub fn spans(&self) -> Vec<(Span, String)> {
        self.findings.borrow().iter().filter_map(|finding| Some((self.span(finding)?, finding.rule.clone()))).collect()
    }

    /// Changes findings about lines of these files, or drops those for which `keep` returns false.
    pub fn revise(&self, keep: impl Fn(Span, &mut Finding) -> bool) {
        self.findings.borrow_mut().retain_mut(|finding| self.span(finding).is_none_or(|span| keep(span, finding)));
    }

    fn span(&self, finding: &Finding) -> Option<Span> {
        let Place { file, line, column, length } = &finding.place;
        let number = self.files.iter().position(|known| known == file).filter(|_| *line > 0)?;
        let small = |number: usize| u32::try_from(number).ok();
        Some(Span { file: small(number)?, line: small(*line)?, column: small(*column)?, length: small(*length)? })
    }

    /// Returns the findings, file by file from top to bottom, each once.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings.into_inner();
        findings.sort_by(|a, b| (&a.place, b.severity, &a.message).cmp(&(&b.place, a.severity, &b.message)));
        findings.dedup();
        findings
    }

    fn add(&self, mut finding: Finding, file: u32) {
        // What an author wrote is part of it, and that may be a whole file.
        if finding.message.len() > LONGEST {
            finding.message.truncate(finding.message.floor_char_boundary(LONGEST));
            finding.message.push('…');
        }
        if finding.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
            if let Some(left) = self.left.borrow_mut().get_mut(file as usize) {
                match *left {
                    0 => return,
                    1 => self.findings.borrow_mut().push(self.too_many(file)),
                    _ => {}
                }
                *left -= 1;
            }
        }
        self.findings.borrow_mut().push(finding);
    }

    fn too_many(&self, file: u32) -> Finding {
        let place = self.place(Span { file, ..Span::default() });
        Finding::error(
            "too-many-errors",
            place,
            format!("the file has {PER_FILE} errors or more; those after the first {PER_FILE} are not shown"),
        )
    }
}
