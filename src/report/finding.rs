//! Findings as a compiler shows them: the source line, a caret under what is meant, and a hint.
//!
//! A finding whose place has no length is shown without its line, because that may hold a secret; so is
//! one whose file is not at hand.

use std::collections::BTreeMap;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::finding::{Finding, Severity};

use super::Paint;
use super::word;

/// Returns findings with their source lines and, at the end, how many there are. `sources` gives the
/// text of a file by its path. Without findings the text is empty.
pub fn findings_text<'s>(findings: &[Finding], sources: &dyn Fn(&str) -> Option<&'s str>, paint: Paint) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Ansi => Renderer::styled(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut files: BTreeMap<&str, Vec<&'s str>> = BTreeMap::new();
    let mut text = String::new();
    for finding in findings {
        let file = finding.place.file.as_str();
        let lines = files.entry(file).or_insert_with(|| sources(file).map(lines).unwrap_or_default());
        let line = finding.place.line.checked_sub(1).and_then(|index| lines.get(index)).filter(|_| finding.place.length > 0);
        text.push_str(&renderer.render(&[group(finding, line.copied())]));
        text.push_str("\n\n");
    }
    text.push_str(&word::severities(findings));
    text.push('\n');
    text
}

fn group<'a>(finding: &'a Finding, line: Option<&'a str>) -> Group<'a> {
    let Finding { rule, severity, place, message, hint } = finding;
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level.primary_title(word::clean(message)).id(rule.as_str()).elements(Vec::<Origin<'_>>::new());
    let span = line.and_then(|line| Some((line, span(line, place.column, place.length)?)));
    group = match span {
        Some((line, span)) => group
            .element(Snippet::source(line).path(place.file.as_str()).line_start(place.line).annotation(AnnotationKind::Primary.span(span))),
        None if place.file.is_empty() => group,
        None if place.line == 0 => group.element(Origin::path(word::clean(&place.file))),
        None => group.element(Origin::path(word::clean(&place.file)).line(place.line).char_column(place.column)),
    };
    match hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(word::clean(hint))),
        None => group,
    }
}

/// Splits a file into lines where YAML does: at `\n`, `\r\n` and a lone `\r`.
fn lines(text: &str) -> Vec<&str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect()
}

/// Returns the bytes of a line that some characters of it are.
fn span(line: &str, column: usize, length: usize) -> Option<std::ops::Range<usize>> {
    let mut starts = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    let start = starts.nth(column.checked_sub(1)?)?;
    let end = starts.nth(length.saturating_sub(1)).unwrap_or(line.len());
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use crate::finding::Place;

    use super::*;

    fn show(findings: &[Finding], source: &str) -> String {
        findings_text(findings, &|file| (file == "web.yaml").then_some(source), Paint::Plain)
    }

    fn place(line: usize, column: usize, length: usize) -> Place {
        Place { file: "web.yaml".to_owned(), line, column, length }
    }

    #[test]
    fn a_finding_shows_its_line_and_a_caret() {
        let source = "kind: Deployment\r\nspec:\r\n  größe: { replicas: three }\r\n";
        let finding = Finding::error("wrong-type", place(3, 22, 5), "must be a number").with_hint("write it as 3");
        let note = Finding::note("size", place(1, 1, 4), "noted");
        let expected = "\
error[wrong-type]: must be a number
 --> web.yaml:3:22
  |
3 |   größe: { replicas: three }
  |                      ^^^^^
  |
  = hint: write it as 3

note[size]: noted
 --> web.yaml:1:1
  |
1 | kind: Deployment
  | ^^^^

1 error, 1 note
";
        assert_eq!(show(&[finding, note], source), expected);
    }

    #[test]
    fn a_place_without_length_keeps_its_line_to_itself() {
        let finding = Finding::error("wrong-type", place(1, 11, 0), "must be a text");
        let text = show(&[finding], "password: 1234\n");
        assert_eq!(text, "error[wrong-type]: must be a text\n--> web.yaml:1:11\n\n1 error\n");
    }

    #[test]
    fn places_outside_of_the_file_do_no_harm() {
        for place in [place(9, 1, 1), place(1, 99, 1), place(0, 0, 0), place(1, 0, 1), Place::default(), Place::file("other.yaml")] {
            let text = show(&[Finding::warning("rule", place, "message")], "kind: x\n");
            assert!(text.starts_with("warning[rule]: message\n") && text.ends_with("\n1 warning\n"), "{text}");
        }
    }

    #[test]
    fn lines_break_as_in_yaml() {
        assert_eq!(lines("a\rb\r\nc\n\rd"), ["a", "b", "c", "", "d"]);
    }
}
