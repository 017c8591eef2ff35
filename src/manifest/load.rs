//! Text to located trees: documents, anchors, merge keys, and the bounds that keep a hostile file from
//! costing more than a moment.
//!
//! It knows YAML and nothing of what a field means. Each document is read on its own, so a broken one
//! does not hide the findings of the next. Nothing recurses: open lists and maps stand on a stack.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::node::{Located, Node, Span, Value};
use super::scalar::Schema;
use super::secret::Hidden;
use super::sink::Sink;

/// A file with more bytes is refused. The largest manifests in use are generated custom resource
/// definitions of about 1 MiB; this much still loads within a second.
pub const MAX_BYTES: usize = 8 << 20;

/// Files that are read together are not read to their end if they have more values: a list of single letters
/// would take fifty times its size in memory. Ordinary manifests have a value for each 20 bytes.
const MAX_VALUES: usize = 500_000;

/// Files that are read together have no more bytes than this.
const MAX_TOGETHER: usize = 32 << 20;

/// Lists and maps within one another; Kubernetes objects have about 15.
const MAX_DEPTH: usize = 100;

/// What aliases may copy in files that are read together: one for each value, and one for each 32 bytes of text.
const ALIAS_BUDGET: usize = 500_000;

/// What files that are read together may still hold. Many small ones cost as much as a large one.
#[derive(Debug)]
pub struct Budget {
    bytes: Cell<usize>,
    values: Cell<usize>,
    copies: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { bytes: Cell::new(MAX_TOGETHER), values: Cell::new(MAX_VALUES), copies: Cell::new(ALIAS_BUDGET) }
    }
}

impl Budget {
    /// Tells whether there was more than is read.
    pub fn is_spent(&self) -> bool {
        [&self.bytes, &self.values, &self.copies].iter().any(|left| left.get() == 0)
    }
}

/// Takes what something costs; returns whether there was that much left.
fn take(left: &Cell<usize>, cost: usize) -> bool {
    left.replace(left.get().saturating_sub(cost)) > cost
}

/// Reads the documents of a file; empty ones are left out. What is wrong goes to the sink.
pub fn load(bytes: &[u8], file: u32, schema: Schema, sink: &Sink) -> Vec<Node> {
    load_within(&Budget::default(), bytes, file, schema, sink)
}

/// Reads the documents of one of several files, within what all of them may hold.
pub fn load_within(budget: &Budget, bytes: &[u8], file: u32, schema: Schema, sink: &Sink) -> Vec<Node> {
    if bytes.len() > MAX_BYTES {
        too_large(bytes.len() as u64, file, sink);
        return Vec::new();
    }
    if budget.is_spent() {
        return Vec::new();
    }
    if !take(&budget.bytes, bytes.len()) {
        let message = format!("the manifests up to here have more than {} MiB together; what follows is not read", MAX_TOGETHER >> 20);
        sink.error_with("file-too-large", Span { file, ..Span::default() }, message, SPLIT);
        return Vec::new();
    }
    let Some(text) = decode(bytes, file, sink) else { return Vec::new() };
    let mut roots = Vec::new();
    let mut line = 0;
    let mut first = true;
    for document in documents(text).into_iter().take_while(|_| !budget.is_spent()) {
        let (hidden, template) = (Hidden::of(document, schema, first), document.contains("{{"));
        let loader = Loader { file, line, schema, sink, hidden, template, budget };
        loader.run(document, &mut roots);
        line += lines(document);
        first &= only_remarks(document);
    }
    roots
}

/// Reports a file that has too many bytes to be read.
pub fn too_large(size: u64, file: u32, sink: &Sink) {
    let message = format!("the file has {size} bytes, more than the {MAX_BYTES} that a manifest may have");
    sink.error_with("file-too-large", Span { file, ..Span::default() }, message, SPLIT);
}

/// Returns the text of a file without a byte order mark, unless it is not text.
fn decode<'a>(bytes: &'a [u8], file: u32, sink: &Sink) -> Option<&'a str> {
    let (valid, mut bad) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(), Some("the file is not UTF-8 text")),
    };
    let control = |b: u8| (b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || b == 0x7f;
    let mut end = valid.len();
    if let Some(position) = valid.bytes().position(control) {
        (end, bad) = (position, Some("the file is not text: here is a control character"));
    }
    let Some(message) = bad else { return Some(valid.strip_prefix('\u{feff}').unwrap_or(valid)) };
    let before = &valid[..end];
    let last = before.rfind('\n').map_or(before, |at| &before[at + 1..]);
    let span = Span { file, line: lines(before) + 1, column: last.chars().count() as u32 + 1, length: 0 };
    sink.error("not-text", span, message);
    None
}

/// Splits a file at the lines that begin with `---`. The YAML specification (9.1.2) forbids them
/// within a document, so this needs no parsing. Directives stay with the document they precede.
fn documents(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices("---") {
        let at_line_start = at == 0 || matches!(text.as_bytes()[at - 1], b'\n' | b'\r');
        let ends = text.as_bytes().get(at + 3).is_none_or(u8::is_ascii_whitespace);
        if at_line_start && ends && at > start && !only_directives(&text[start..at]) {
            found.push(&text[start..at]);
            start = at;
        }
    }
    found.push(&text[start..]);
    found
}

fn only_directives(text: &str) -> bool {
    text.starts_with('%') && text.lines().all(|line| line.trim().is_empty() || line.starts_with(['%', '#']))
}

fn only_remarks(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// Counts line breaks as the parser does.
fn lines(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let breaks = (0..bytes.len()).filter(|&i| bytes[i] == b'\n' || (bytes[i] == b'\r' && bytes.get(i + 1) != Some(&b'\n')));
    breaks.count() as u32
}

/// Reads one document.
struct Loader<'a> {
    file: u32,
    /// Lines of the file before this document.
    line: u32,
    schema: Schema,
    sink: &'a Sink,
    /// Those of its lines that must not be shown.
    hidden: Hidden,
    /// It has the braces that templates have.
    template: bool,
    budget: &'a Budget,
}

/// A list or map that is not complete yet.
struct Open {
    node: Node,
    /// The key whose value comes next.
    key: Option<Key>,
    /// What merge keys add.
    merges: Vec<Node>,
    anchor: usize,
    /// Cost of what is in it, and how many levels there are below.
    cost: usize,
    height: usize,
}

/// A key of a map.
enum Key {
    Name(Located<String>),
    /// `<<`: the value's entries are added to the map.
    Merge,
}

/// An anchored value.
struct Anchor {
    node: Node,
    cost: usize,
    height: usize,
}

/// What is known while a document is read.
#[derive(Default)]
struct State {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchor>,
}

impl State {
    /// Returns the way from the root to what is in the innermost open list or map: `spec.containers[0].`
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match (&open.node.value, &open.key) {
                (Value::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some(Key::Name(key))) => path.push_str(&format!(".{}", key.value.escape_debug())),
                (_, Some(Key::Merge)) => path.push_str(".<<"),
                (_, None) => {}
            }
        }
        path.push('.');
        path.trim_start_matches('.').to_owned()
    }
}

/// The reading of a document ends here; what is wrong was reported.
struct Stop;

impl Loader<'_> {
    fn run(&self, text: &str, roots: &mut Vec<Node>) {
        let mut parser = Parser::new_from_str(text);
        let mut state = State::default();
        while let Some(next) = parser.next_event() {
            let (event, span) = match next {
                Ok((event, span)) => (event, self.span(span)),
                Err(error) => return self.not_yaml(&error),
            };
            match self.event(event, span, &mut state) {
                Ok(Some(root)) if !root.is_null() => roots.push(root),
                Ok(_) => {}
                Err(Stop) => return,
            }
        }
    }

    /// Takes in an event; returns the document's root when it is complete.
    fn event(&self, event: Event<'_>, span: Span, state: &mut State) -> Result<Option<Node>, Stop> {
        match event {
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), &["map"], span);
                self.open(state, Value::Map(Vec::new()), span, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), &["seq"], span);
                self.open(state, Value::List(Vec::new()), span, anchor)?;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let open = state.open.pop().expect("the parser closes only what it opened");
                return self.close(state, open);
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(Open { node: Node { value: Value::Map(_), .. }, key: key @ None, .. }) = state.open.last_mut()
                    && anchor == 0
                {
                    *key = Some(self.key(&text, style, span));
                    return Ok(None);
                }
                let cost = 1 + text.len() / 32;
                let node = Node { value: self.scalar(&text, style, tag.as_deref(), span), span };
                return self.put(state, Anchor { node, cost, height: 0 }, anchor);
            }
            Event::Alias(id) => {
                let Some(anchor) = state.anchors.get(&id) else {
                    self.error("yaml-alias", span, "this alias stands inside of what it refers to");
                    return Err(Stop);
                };
                if state.open.len() + anchor.height > MAX_DEPTH {
                    return Err(self.too_deep(span));
                }
                if !take(&self.budget.copies, anchor.cost) {
                    let message = "aliases copy too much: written out, this document would be huge";
                    self.error_with("yaml-alias", span, message, "write out what is meant, with fewer aliases within one another");
                    return Err(Stop);
                }
                let copy = Anchor { node: anchor.node.clone(), cost: anchor.cost, height: anchor.height };
                return self.put(state, copy, 0);
            }
            Event::DocumentStart(_) => *state = State::default(),
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
        }
        Ok(None)
    }

    fn open(&self, state: &mut State, value: Value, span: Span, anchor: usize) -> Result<(), Stop> {
        if state.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        state.open.push(Open { node: Node { value, span }, key: None, merges: Vec::new(), anchor, cost: 1, height: 1 });
        Ok(())
    }

    fn close(&self, state: &mut State, open: Open) -> Result<Option<Node>, Stop> {
        let Open { mut node, merges, anchor, cost, height, .. } = open;
        if let Value::Map(entries) = &mut node.value {
            self.refuse_duplicates(entries, state);
            merge(entries, merges);
        }
        self.put(state, Anchor { node, cost, height }, anchor)
    }

    /// Puts a complete value where it belongs.
    fn put(&self, state: &mut State, made: Anchor, anchor: usize) -> Result<Option<Node>, Stop> {
        if anchor != 0 {
            if !take(&self.budget.copies, made.cost) {
                self.error("yaml-alias", made.node.span, "anchors within anchors hold too much");
                return Err(Stop);
            }
            state.anchors.insert(anchor, Anchor { node: made.node.clone(), ..made });
        }
        if !take(&self.budget.values, 1) {
            let message = format!("the manifests up to here have {MAX_VALUES} values or more; what follows is not read");
            self.error_with("file-too-large", made.node.span, message, SPLIT);
            return Err(Stop);
        }
        let Some(parent) = state.open.last_mut() else { return Ok(Some(made.node)) };
        parent.cost += made.cost;
        parent.height = parent.height.max(made.height + 1);
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(made.node),
            (Value::Map(_), Some(Key::Merge)) => self.add_merge(&mut parent.merges, made.node),
            (Value::Map(entries), Some(Key::Name(name))) => entries.push((name, made.node)),
            (Value::Map(_), None) => parent.key = Some(Key::Name(self.key_of(made.node))),
            _ => unreachable!("only lists and maps are opened"),
        }
        Ok(None)
    }

    fn add_merge(&self, merges: &mut Vec<Node>, node: Node) {
        match node.value {
            Value::Map(_) => merges.push(node),
            Value::List(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => merges.extend(items),
            _ => self.error("yaml-merge", node.span, "`<<` takes a map, or a list of maps"),
        }
    }

    /// Returns the key that a scalar is. Keys that this schema does not read as text are refused,
    /// unless they look the same either way.
    fn key(&self, text: &str, style: ScalarStyle, span: Span) -> Key {
        if style == ScalarStyle::Plain {
            match self.schema.resolve(text) {
                Value::Bool(flag) if !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false") => {
                    let message = format!("the key `{text}` means `{flag}` in YAML 1.1, which Kubernetes reads");
                    self.error_with("yaml-key", span, message, format!("write \"{text}\" in quotes"));
                }
                Value::Null => self.error("yaml-key", span, "a key is missing"),
                _ if text == "<<" => return Key::Merge,
                _ => {}
            }
        }
        Key::Name(Located { value: text.to_owned(), span })
    }

    /// Returns the key that an anchored or aliased value is.
    fn key_of(&self, node: Node) -> Located<String> {
        match node.value {
            Value::Text(value) => Located { value, span: node.span },
            _ => {
                match self.template {
                    true => self.error_with("yaml-key", node.span, "a key must be a text", TEMPLATE),
                    false => self.error("yaml-key", node.span, "a key must be a text"),
                }
                Located { value: format!("key at {}:{}", node.span.line, node.span.column), span: node.span }
            }
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Value {
        let resolved = || self.schema.resolve(text);
        match tag {
            None if style == ScalarStyle::Plain => resolved(),
            None => Value::Text(text.to_owned()),
            Some(tag) if tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "int" | "float" | "bool" | "null") => resolved(),
            Some(_) => {
                self.check_tag(tag, &["str"], span);
                Value::Text(text.to_owned())
            }
        }
    }

    fn check_tag(&self, tag: Option<&Tag>, known: &[&str], span: Span) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str()))
            && !(tag.handle.is_empty() && tag.suffix == "!")
        {
            let name = if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() };
            self.error("yaml-tag", span, format!("the tag `{name}` is not supported here"));
        }
    }

    fn refuse_duplicates(&self, entries: &mut Vec<(Located<String>, Node)>, state: &State) {
        let mut seen = BTreeSet::new();
        let unique = entries.iter().map(|(key, _)| seen.insert(key.value.as_str())).collect::<Vec<_>>();
        if unique.iter().all(|unique| *unique) {
            return;
        }
        for ((key, _), _) in entries.iter().zip(&unique).filter(|(_, unique)| !**unique) {
            let first = entries.iter().find(|(other, _)| other.value == key.value).map_or(0, |(other, _)| other.span.line);
            let message = format!("duplicate key `{}{}`", state.path(), key.value.escape_debug());
            self.error_with("duplicate-key", key.span, message, format!("it is already at line {first}"));
        }
        let mut unique = unique.into_iter();
        entries.retain(|_| unique.next().unwrap_or(true));
    }

    fn too_deep(&self, span: Span) -> Stop {
        self.error("yaml-depth", span, format!("lists and maps are nested more than {MAX_DEPTH} deep"));
        Stop
    }

    fn not_yaml(&self, error: &ScanError) {
        let mark = *error.marker();
        let span = self.span(saphyr_parser::Span::empty(mark));
        let message = format!("this is not valid YAML: {}", error.info());
        let hint = match error.info() {
            _ if self.template => TEMPLATE,
            info if info.contains("tab") => "indent with spaces",
            info if info.contains("quoted scalar") => "close the quote",
            info if info.contains("expected key") => "indent what belongs together alike",
            info if info.contains("unknown anchor") => "name what it stands for with `&` before",
            info if info.contains("mapping values") => "put a text that has `: ` in it in quotes",
            info if info.starts_with("unexpected character") => "put a text that begins with this character in quotes",
            _ => return self.error("not-yaml", span, message),
        };
        self.error_with("not-yaml", span, message, hint);
    }

    fn error(&self, rule: &str, span: Span, message: impl Into<String>) {
        self.sink.error(rule, span, message);
    }

    fn error_with(&self, rule: &str, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.sink.error_with(rule, span, message, hint);
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let length = match span.end.line() == span.start.line() {
            true => (span.end.col().saturating_sub(span.start.col()) as u32).max(1),
            false => 1,
        };
        Span {
            file: self.file,
            line: self.line + span.start.line() as u32,
            column: span.start.col() as u32 + 1,
            length: if self.hidden.has(span.start.line()) { 0 } else { length },
        }
    }
}

const SPLIT: &str = "split it, or move data out of the manifests";

const TEMPLATE: &str = "templates are not rendered here: commit what `helm template` makes of them";

/// Adds the entries of merged maps that are not there; earlier maps win (YAML merge key, 2005).
fn merge(entries: &mut Vec<(Located<String>, Node)>, merges: Vec<Node>) {
    if merges.is_empty() {
        return;
    }
    let mut names: BTreeSet<String> = entries.iter().map(|(key, _)| key.value.clone()).collect();
    for merged in merges {
        if let Value::Map(more) = merged.value {
            entries.extend(more.into_iter().filter(|(key, _)| names.insert(key.value.clone())));
        }
    }
}
