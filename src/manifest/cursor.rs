//! Decoding a located tree field by field. Unlike serde it goes on after an error and knows every
//! place, so one run reports everything that is wrong.
//!
//! A decoder that was refused something goes on with a stand-in: once an error is in the sink, no
//! desired state comes of the run.

use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::node::{Located, Node, Span, Value};
use super::sink::Sink;

/// A value to decode: where it is in the tree, and where its findings go.
#[derive(Clone)]
pub struct Cursor<'a> {
    node: &'a Node,
    /// Where a finding about the value as a whole points: at its key, or at itself within a list.
    span: Span,
    path: Path<'a>,
    /// Where findings go.
    pub sink: &'a Sink,
}

/// The way from the document's root to a value: `spec.containers[0].image`.
#[derive(Clone, Default)]
struct Path<'a>(Option<Rc<(Path<'a>, Segment<'a>)>>);

#[derive(Clone, Copy)]
enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(link) = &self.0 else { return Ok(()) };
        write!(f, "{}", link.0)?;
        match link.1 {
            Segment::Key(key) if link.0.0.is_none() => f.write_str(key),
            Segment::Key(key) => write!(f, ".{key}"),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl<'a> Cursor<'a> {
    /// Returns a cursor on a document.
    pub fn new(root: &'a Node, sink: &'a Sink) -> Self {
        Cursor { node: root, span: root.span, path: Path::default(), sink }
    }

    /// Returns the tree below.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Returns where a finding about the value as a whole points.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the path of a field below, for messages.
    pub fn path(&self) -> String {
        self.path.to_string()
    }

    fn child(&self, node: &'a Node, span: Span, segment: Segment<'a>) -> Cursor<'a> {
        Cursor { node, span, path: Path(Some(Rc::new((self.path.clone(), segment)))), sink: self.sink }
    }

    /// Reports an error about the value, at the value.
    pub fn error(&self, rule: &str, message: impl fmt::Display) {
        self.sink.error(rule, self.node.span, format!("`{}` {message}", self.path));
    }

    /// Reports an error about the value, at the value, and what to do about it.
    pub fn error_with(&self, rule: &str, message: impl fmt::Display, hint: impl Into<String>) {
        self.sink.error_with(rule, self.node.span, format!("`{}` {message}", self.path), hint);
    }

    /// Returns the text that this is.
    pub fn text(&self) -> Option<Located<String>> {
        let hint = match &self.node.value {
            Value::Text(text) => return Some(Located { value: text.clone(), span: self.node.span }),
            Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) if self.node.span.length > 0 => Some("put it in quotes"),
            _ => None,
        };
        self.wrong_type("a text", hint);
        None
    }

    /// Returns the text that this is, if it is not empty.
    pub fn filled(&self) -> Option<Located<String>> {
        let text = self.text()?;
        if text.value.is_empty() {
            self.error("empty", "is empty");
            return None;
        }
        Some(text)
    }

    /// Returns the whole number that this is, if it lies within a range.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let Value::Integer(number) = self.node.value else {
            let quoted = self.node.as_text().is_some_and(|text| text.parse::<i64>().is_ok());
            self.wrong_type("a whole number", quoted.then_some("write it without quotes"));
            return None;
        };
        if !range.contains(&number) {
            let message = match (*range.start(), *range.end()) {
                (0, _) if number < 0 => format!("is {number}, but cannot be negative"),
                (low, high) if high >= i64::from(i32::MAX) => format!("is {number}, but must be at least {low}"),
                (low, high) => format!("is {number}, but must be from {low} to {high}"),
            };
            self.error("out-of-range", message);
            return None;
        }
        Some(number)
    }

    /// Returns the boolean that this is.
    pub fn flag(&self) -> Option<bool> {
        if let Value::Bool(flag) = self.node.value {
            return Some(flag);
        }
        let quoted = matches!(self.node.as_text(), Some("true" | "false"));
        self.wrong_type("true or false", quoted.then_some("write it without quotes"));
        None
    }

    /// Returns the items of the list that this is.
    pub fn items(&self) -> Vec<Cursor<'a>> {
        let Value::List(items) = &self.node.value else {
            self.wrong_type("a list", None);
            return Vec::new();
        };
        items.iter().enumerate().map(|(index, node)| self.child(node, node.span, Segment::Index(index))).collect()
    }

    /// Returns the texts of the list of texts that this is.
    pub fn texts(&self) -> Vec<Located<String>> {
        self.items().iter().filter_map(Cursor::text).collect()
    }

    /// Returns the entries of the map that this is; its keys are the author's own.
    pub fn entries(&self) -> Vec<(&'a Located<String>, Cursor<'a>)> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_type("a map", None);
            return Vec::new();
        };
        entries.iter().map(|(key, node)| (key, self.child(node, key.span, Segment::Key(&key.value)))).collect()
    }

    /// Decodes the map that this is, whose fields are known by name. Fields that `decode` does not ask
    /// for are reported.
    pub fn fields<T>(&self, decode: impl FnOnce(&mut Fields<'a>) -> T) -> Option<T> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_type("a map", None);
            return None;
        };
        let mut fields = Fields { cursor: self.clone(), entries, known: Vec::new(), missing: Vec::new(), unknown: false, of_unknown: None };
        let decoded = decode(&mut fields);
        fields.finish();
        Some(decoded)
    }

    fn wrong_type(&self, wanted: &str, hint: Option<&str>) {
        let shown = self.node.span.length > 0;
        let found = match &self.node.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) if shown => format!("`{flag}`, a boolean"),
            Value::Bool(_) => "a boolean".to_owned(),
            Value::Integer(number) if shown => format!("the number {number}"),
            Value::Decimal(number) if shown => format!("the number {number}"),
            Value::Integer(_) | Value::Decimal(_) => "a number".to_owned(),
            Value::Text(text) if shown && text.len() <= 40 => format!("the text `{}`", text.escape_debug()),
            Value::Text(_) => "a text".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        };
        let path = match self.path.0 {
            Some(_) => format!("`{}`", self.path),
            None => "a document".to_owned(),
        };
        let message = format!("{path} must be {wanted}, but is {found}");
        match hint {
            Some(hint) => self.sink.error_with("wrong-type", self.node.span, message, hint),
            None => self.sink.error("wrong-type", self.node.span, message),
        }
    }
}

/// A map whose fields are known by name.
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    entries: &'a [(Located<String>, Node)],
    known: Vec<&'a str>,
    missing: Vec<&'static str>,
    unknown: bool,
    of_unknown: Option<&'static str>,
}

impl<'a> Fields<'a> {
    /// Returns the map itself.
    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// Returns a field, unless it is absent or null, which means the same (Kubernetes API conventions).
    pub fn get(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        self.known.push(name);
        let (key, node) = self.entries.iter().find(|(key, _)| key.value == name)?;
        (!node.is_null()).then(|| self.cursor.child(node, key.span, Segment::Key(&key.value)))
    }

    /// Returns a field that must be there.
    pub fn require(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        let field = self.get(name);
        if field.is_none() {
            self.missing.push(name);
        }
        field
    }

    /// Returns a text field.
    pub fn text(&mut self, name: &'static str) -> Option<Located<String>> {
        self.get(name)?.text()
    }

    /// Returns a boolean field; absent means false.
    pub fn flag(&mut self, name: &'static str) -> bool {
        self.get(name).and_then(|field| field.flag()).unwrap_or(false)
    }

    /// Returns a whole number.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        self.get(name)?.integer(range)
    }

    /// Returns the items of a list; absent means none.
    pub fn items(&mut self, name: &'static str) -> Vec<Cursor<'a>> {
        self.get(name).map(|field| field.items()).unwrap_or_default()
    }

    /// Returns what a text field chooses among some words; absent or wrong means the first.
    pub fn choice<T: Clone>(&mut self, name: &'static str, words: &[(&str, T)]) -> T {
        let fallback = words[0].1.clone();
        let Some(field) = self.get(name) else { return fallback };
        let Some(text) = field.text() else { return fallback };
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text.value) {
            return choice.clone();
        }
        let known = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let message = format!("cannot be `{}`; supported: {known}", text.value.escape_debug());
        match nearest(&text.value, words.iter().map(|(word, _)| *word)) {
            Some(word) => field.error_with("unsupported-value", message, format!("did you mean `{word}`?")),
            None => field.error("unsupported-value", message),
        }
        fallback
    }

    /// Takes note of fields that mean nothing here, and may be written.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Takes note of fields whose names pass a test; they mean nothing here, and may be written.
    pub fn ignore_where(&mut self, test: impl Fn(&str) -> bool) {
        self.known.extend(self.entries.iter().map(|(key, _)| key.value.as_str()).filter(|key| test(key)));
    }

    /// Sets what to say of a field that nothing is known of and that resembles none.
    pub fn say_of_unknown(&mut self, hint: &'static str) {
        self.of_unknown = Some(hint);
    }

    /// Takes no notice of the fields that were not asked for, because what the map is could not be told.
    pub fn ignore_rest(&mut self) {
        self.unknown = true;
    }

    /// Refuses fields that exist but are not supported, each with a reason. A field that is null, or an
    /// empty map or list, asks for nothing.
    pub fn refuse(&mut self, fields: &[(&'static str, &str)]) {
        for (name, reason) in fields {
            let Some(field) = self.get(name) else { continue };
            let asks = match &field.node.value {
                Value::List(items) => !items.is_empty(),
                Value::Map(entries) => !entries.is_empty(),
                _ => true,
            };
            if asks {
                field.sink.error_with("unsupported-field", field.span, format!("`{}` is not supported", field.path), *reason);
            }
        }
    }

    /// Refuses all fields whose names pass a test, with a reason.
    pub fn refuse_where(&mut self, test: impl Fn(&str) -> bool, reason: &str) {
        for (key, node) in self.entries.iter().filter(|(key, _)| test(&key.value)) {
            self.known.push(&key.value);
            let field = self.cursor.child(node, key.span, Segment::Key(&key.value));
            field.sink.error_with("unsupported-field", field.span, format!("`{}` is not supported", field.path), reason);
        }
    }

    /// Refuses a field unless its value is the only one supported, which is also the default.
    pub fn only(&mut self, name: &'static str, value: &Value, reason: &str) {
        let Some(field) = self.get(name) else { return };
        if field.node.value != *value {
            let shown = match value {
                Value::Bool(flag) => flag.to_string(),
                Value::Text(text) => text.clone(),
                _ => "the default".to_owned(),
            };
            let message = format!("is not supported with a value other than `{shown}`");
            field.error_with("unsupported-field", message, reason);
        }
    }

    /// Reports fields that nothing asked for, and those that were asked for in vain. A missing field
    /// that is there with a slip of the pen is one mistake, not two.
    fn finish(self) {
        let Fields { cursor, entries, known, mut missing, unknown, of_unknown } = self;
        let path = |name| Path(Some(Rc::new((cursor.path.clone(), Segment::Key(name)))));
        for (key, _) in entries.iter().filter(|(key, _)| !unknown && !known.contains(&key.value.as_str())) {
            let message = format!("unknown field `{}`", path(&key.value).to_string().escape_debug());
            let meant = nearest(&key.value, known.iter().copied());
            missing.retain(|name| meant != Some(*name));
            match (meant, of_unknown) {
                (Some(name), _) => cursor.sink.error_with("unknown-field", key.span, message, format!("did you mean `{name}`?")),
                (None, Some(hint)) => cursor.sink.error_with("unknown-field", key.span, message, hint),
                (None, None) => cursor.sink.error("unknown-field", key.span, message),
            }
        }
        for name in missing {
            cursor.sink.error("missing-field", cursor.span, format!("`{}` is missing", path(name)));
        }
    }
}

/// A longer text is not compared with names that are known.
const LONGEST_NAME: usize = 80;

/// Returns the word that somebody most likely meant.
pub fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Comparing takes the product of two lengths, and nobody mistypes a name that long.
    if text.len() > LONGEST_NAME {
        return None;
    }
    let text = text.to_lowercase();
    let distance = |word: &str| strsim::damerau_levenshtein(&text, &word.to_lowercase());
    let allowed = (text.chars().count() / 3).clamp(1, 3);
    let words = words.into_iter().filter(|word| word.len().abs_diff(text.len()) <= 4 * allowed);
    words.map(|word| (distance(word), word)).filter(|(distance, _)| *distance <= allowed).min().map(|(_, word)| word)
}
