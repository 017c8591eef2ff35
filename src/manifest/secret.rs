//! Which lines of a document are never shown, because they may hold a secret.
//!
//! It looks at lines and indentation, not at the tree: a document that cannot be read has secrets, too.
//! Where it cannot tell it hides; too careful is better than not enough.

use super::scalar::Schema;

/// The lines of one document that are not shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Hidden {
    /// All of them, or none.
    Whole(bool),
    /// Those that are marked, from the first line on.
    Lines(Vec<bool>),
}

impl Hidden {
    /// Returns what to hide of a document. `first` tells whether the file has nothing before it.
    pub fn of(document: &str, schema: Schema, first: bool) -> Self {
        match schema {
            Schema::Yaml11 => Hidden::Whole(mentions_secret(document)),
            // Whoever cuts a document off may have cut it in the middle of a secret.
            Schema::Yaml12 if !first => Hidden::Whole(true),
            Schema::Yaml12 => Hidden::Lines(compose(document)),
        }
    }

    /// Tells whether a line, counted from 1, is hidden.
    pub fn has(&self, line: usize) -> bool {
        match self {
            Hidden::Whole(whole) => *whole,
            Hidden::Lines(lines) => line.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or(true),
        }
    }
}

/// Tells whether a document seems to be a Secret of Kubernetes, or a part of one that a stray `---` cut off.
fn mentions_secret(document: &str) -> bool {
    const KIND: &str = "Secret";
    let within = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
    let word = |at: usize| !within(document[..at].chars().next_back()) && !within(document[at + KIND.len()..].chars().next());
    let cut_off = !document.contains("kind");
    cut_off || document.contains("stringData") || document.match_indices(KIND).any(|(at, _)| word(at))
}

/// Attributes of Compose files whose values may be secret: variables, contents, and what is written on command
/// lines and handed to drivers. Names that begin with `x-` are the author's own, and mostly shared variables.
const ATTRIBUTES: [&str; 8] = ["environment", "content", "command", "entrypoint", "test", "args", "driver_opts", "options"];

/// Marks the lines of a Compose file that one of these attributes is on, and those that belong to it: what
/// is indented deeper, items at the same depth, and all up to the end of open braces and brackets.
fn compose(document: &str) -> Vec<bool> {
    let mut hidden = Vec::new();
    // How deep the line is indented whose value goes on.
    let mut below: Option<usize> = None;
    let mut braces = 0_usize;
    for line in document.replace("\r\n", "\n").split(['\n', '\r']) {
        let text = line.trim_start();
        let blank = text.is_empty() || text.starts_with('#');
        // A tab is no indentation: how deep the line was meant to be is not known.
        let depth = if line[..line.len() - text.len()].contains('\t') { usize::MAX } else { line.len() - text.len() };
        let goes_on = |from: &usize| blank || depth > *from || braces > 0 || depth == *from && !text.starts_with(char::is_alphanumeric);
        below = below.filter(goes_on);
        if below.is_none() && !blank && names_secret(text) {
            below = Some(depth.min(usize::MAX - 1));
        }
        hidden.push(below.is_some() || is_variable(text));
        braces = braces_after(text, braces);
    }
    hidden
}

/// Tells whether one of the attributes is a key on a line.
fn names_secret(line: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let mut rest = line;
    while let Some(start) = rest.find(in_word) {
        let end = rest[start..].find(|c: char| !in_word(c)).map_or(rest.len(), |length| start + length);
        let (word, after) = (&rest[start..end], &rest[end..]);
        let unquoted = after.trim_start_matches(['"', '\'']);
        let value = unquoted.trim_start().strip_prefix(':');
        let is_key = line.starts_with('?') || value.is_some_and(|value| unquoted.len() < after.len() || !value.starts_with(in_word));
        if is_key && (ATTRIBUTES.contains(&word) || word.starts_with("x-")) {
            return true;
        }
        rest = after;
    }
    false
}

/// Tells whether a line begins with the name of a variable, as in `PASSWORD: x`, wherever it has got to.
fn is_variable(line: &str) -> bool {
    let line = line.trim_start_matches(['-', ' ', '"', '\'']);
    let end = line.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(line.len());
    line.starts_with(|c: char| c.is_ascii_uppercase()) && line[end..].trim_start_matches(['"', '\'', ' ']).starts_with([':', '='])
}

/// Returns how many braces and brackets are open after a line, leaving out those in quotes.
fn braces_after(line: &str, mut open: usize) -> usize {
    let mut rest = line;
    while let Some(at) = rest.find(['{', '[', '}', ']', '"', '\'']) {
        let (found, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = after;
        match found {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            quote => rest = after.find(char::from(quote)).map_or(after, |end| &after[end + 1..]),
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line that must be hidden is marked with `~` at its end.
    fn check(marked: &str) {
        let document = marked.replace('~', "");
        let hidden = Hidden::of(&document, Schema::Yaml12, true);
        let shown: Vec<String> = (1..)
            .zip(document.split('\n'))
            .map(|(line, text)| format!("{text}{}", if hidden.has(line) && !text.is_empty() { "~" } else { "" }))
            .collect();
        assert_eq!(shown.join("\n"), marked);
    }

    #[test]
    fn of_a_compose_file_only_lines_that_may_hold_a_secret_are_hidden() {
        check(
            "x-env: &env~
  password: hunter2~
services:
  web:
    image: test:1
    imge: a
    environment:~
      password: hunter2~
      # remark~

      more: |~
        hunter2~
    ports: ['80:80']
    environment: # a list may stand as deep as its name~
    - password=hunter2~
    \"command\" : >-~
      redis --requirepass hunter2~
    build: { context: ., args: { a: hunter2 } }~
    healthcheck: { interval: 5s }
    labels:
      a: 'command: in a text is taken for one'~
      PASSWORD: got here by mistake~
  flow: {~
    environment: {~
  password: hunter2 },~
    image: a }~
  json: {\"environment\":[\"a=hunter2\"]}~
  next: { image: 'a{', user: b }
  ? environment~
  : password: hunter2~
secrets:
  db:
    content: |~
      hunter2~
    file: a
"
            .replace("  flow: {~", "  flow: {")
            .as_str(),
        );
    }

    #[test]
    fn a_tab_or_a_second_document_hides_more() {
        check("services:\n  web:\n    environment:~\n\tpassword: hunter2~\n    image: a\n");
        assert_eq!(Hidden::of("services: {}", Schema::Yaml12, false), Hidden::Whole(true));
    }

    #[test]
    fn a_kubernetes_document_is_hidden_as_a_whole() {
        let hides = |text: &str| Hidden::of(text, Schema::Yaml11, true) == Hidden::Whole(true);
        assert!(hides("kind: Secret") && hides("kind: List\nitems: [{kind: Secret}]") && hides("password: hunter2"));
        assert!(!hides("kind: Deployment") && !hides("kind: Deployment\nname: Secretary"));
    }
}
