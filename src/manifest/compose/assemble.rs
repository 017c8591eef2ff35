//! The files of a project to one tree: the base and its `.override`, what they `include`, and what services
//! `extends`, by the rules of the Compose specification.
//!
//! Only files of the application's folder are read. Every value keeps the place where it is written, and relative
//! paths are made to begin at the application's folder.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::manifest::node::{Located, Node, Span, Value};
use crate::manifest::sink::Sink;
use crate::manifest::{Entry, Tree, load};

use super::interpolate::Variables;
use super::{env, merge, mount, rebase, unknown_name};
use crate::manifest::scalar::Schema;

/// So many values may services come to that extend others: a few of them, each twice what the one before is,
/// would otherwise fill any memory.
const MOST_VALUES: usize = 500_000;
/// So many files may one project have.
const MOST_FILES: usize = 100;
/// So many services may extend one another in a row.
const DEEPEST: usize = 100;

/// The sections of a project that others bring in.
const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

/// What all files of a project are read with.
pub struct Files<'a> {
    pub tree: &'a Tree,
    pub sink: &'a Sink,
    values_left: Cell<usize>,
    files_left: Cell<usize>,
    budget: load::Budget,
}

impl<'a> Files<'a> {
    /// Returns the files of a tree.
    pub fn new(tree: &'a Tree, sink: &'a Sink) -> Self {
        Files { tree, sink, values_left: Cell::new(MOST_VALUES), files_left: Cell::new(MOST_FILES), budget: load::Budget::default() }
    }

    /// Returns the tree of a project, from its files, the base first. Without variables it is as it is written.
    pub fn project(&self, numbers: &[u32], variables: Option<&BTreeMap<String, String>>) -> Option<Node> {
        let path = |number: &u32| self.tree.files.keys().nth(*number as usize).cloned();
        let paths: Vec<(String, Span)> =
            numbers.iter().filter_map(|number| Some((path(number)?, Span { file: *number, ..Span::default() }))).collect();
        Model { files: self, variables, folder: None, read: RefCell::default(), made: RefCell::default() }.project(&paths, &mut Vec::new())
    }

    /// Returns the one document of a file; otherwise says at `span` why there is none.
    fn document(&self, path: &str, span: Span) -> Option<Node> {
        let entry = self.tree.files.get(path);
        let Some(Entry::File { bytes, .. }) = entry else {
            env::unreadable(entry, path, span, self.sink);
            return None;
        };
        match self.files_left.get().checked_sub(1) {
            Some(left) => self.files_left.set(left),
            None => {
                let message = format!("the project has more than {MOST_FILES} files");
                self.sink.error_with("too-large", span, message, "put what belongs together into one file");
                return None;
            }
        }
        let number = env::number(self.tree, path)?;
        let before = self.sink.errors();
        let mut documents = load::load_within(&self.budget, bytes, number, Schema::Yaml12, self.sink);
        if documents.len() > 1 {
            let hint = "put each project into a folder of its own";
            self.sink.error_with("several-documents", documents[1].span, "a Compose file has one document", hint);
        }
        if documents.is_empty() && self.sink.errors() == before {
            self.sink.error_with("empty", Span { file: number, ..Span::default() }, "the file is empty", "write `services`");
        }
        documents.drain(..).next()
    }
}

/// One project, or one that another includes: its files see the same variables.
struct Model<'a> {
    files: &'a Files<'a>,
    variables: Option<&'a BTreeMap<String, String>>,
    /// Where relative paths begin, if that is not the folder of each file.
    folder: Option<String>,
    /// Files that were read, by path.
    read: RefCell<BTreeMap<String, Option<Rc<Read>>>>,
    /// Services with what they extend, by file and name; `None` is one of which nothing could be made.
    made: RefCell<BTreeMap<(String, String), Option<Node>>>,
}

/// A file that was read.
struct Read {
    root: Node,
    /// Where each of its services stands among them.
    services: BTreeMap<String, usize>,
}

impl Read {
    fn new(root: Node) -> Self {
        let services = services(&root).iter().enumerate().map(|(at, (name, _))| (name.value.clone(), at)).collect();
        Read { root, services }
    }

    fn service(&self, name: &str) -> Option<&Node> {
        self.services.get(name).and_then(|at| services(&self.root).get(*at)).map(|(_, service)| service)
    }
}

fn services(root: &Node) -> &[(Located<String>, Node)] {
    match root.get("services").map(|services| &services.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

impl Model<'_> {
    /// `way` has the files that include one another, down to these.
    fn project(&self, paths: &[(String, Span)], way: &mut Vec<String>) -> Option<Node> {
        let roots = paths.iter().filter_map(|(path, span)| self.extended(path, *span));
        let mut root = roots.reduce(merge::merge)?;
        let Value::Map(entries) = &mut root.value else { return Some(root) };
        let included = entries.iter().position(|(key, _)| key.value == "include").map(|at| entries.remove(at).1);
        let Some(included) = included else { return Some(root) };
        let Value::List(items) = &included.value else {
            self.files.sink.error_with("wrong-type", included.span, "`include` must be a list", "write `include: [FILE]`");
            return Some(root);
        };
        let before = way.len();
        way.extend(paths.iter().map(|(path, _)| path.clone()));
        for item in items {
            self.include(item, &mut root, way);
        }
        way.truncate(before);
        Some(root)
    }

    /// Brings in what an item of `include` names.
    fn include(&self, item: &Node, root: &mut Node, way: &mut Vec<String>) {
        let sink = self.files.sink;
        let texts = |key: &str| texts(item.get(key));
        let (paths, folder, env_files) = match &item.value {
            Value::Text(path) => (vec![Located { value: path.clone(), span: item.span }], None, Vec::new()),
            Value::Map(entries) => {
                for (key, _) in entries.iter().filter(|(key, _)| !["path", "project_directory", "env_file"].contains(&key.value.as_str())) {
                    let message = format!("unknown field `{}` of `include`", key.value.escape_debug());
                    sink.error_with("unknown-field", key.span, message, "known are `path`, `project_directory` and `env_file`");
                }
                (texts("path"), texts("project_directory").pop(), texts("env_file"))
            }
            _ => (Vec::new(), None, Vec::new()),
        };
        let Some(first) = paths.first() else {
            let message = "an item of `include` names no file";
            return sink.error_with("missing-field", item.span, message, "write the path of a Compose file, or a map with `path`");
        };
        if let Some(path) = paths.iter().find(|path| way.contains(&path.value)) {
            let files: Vec<String> = way.iter().chain([&path.value]).map(|path| format!("`{path}`")).collect();
            let message = format!("these files include each other: {}", files.join(" -> "));
            return sink.error_with("include-cycle", path.span, message, "take one of them out of the other's `include`");
        }
        let own = parent(&first.value).to_owned();
        let home = folder.as_ref().map_or(own, |folder| mount::within(&folder.value).unwrap_or_default());
        let variables = self.variables.map(|known| self.variables_of(&home, &env_files, known));
        let paths: Vec<(String, Span)> = paths.into_iter().filter_map(|path| self.within(&path)).collect();
        let model = Model {
            files: self.files,
            variables: variables.as_ref(),
            folder: folder.is_some().then_some(home),
            read: RefCell::default(),
            made: RefCell::default(),
        };
        if let Some(included) = model.project(&paths, way) {
            bring_in(root, included, sink);
        }
    }

    /// Returns the variables of a project that is included: those of its own files, over which ours win.
    fn variables_of(&self, home: &str, env_files: &[Located<String>], known: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let Files { tree, sink, .. } = self.files;
        let default = if home.is_empty() { ".env".to_owned() } else { format!("{home}/.env") };
        let read = |path: &str, span: Span| {
            let text = env::file(tree, path, span, sink)?;
            Some(env::read(text, env::number(tree, path)?, known, sink))
        };
        let mut values = match env_files.is_empty() {
            true if tree.files.contains_key(&default) => read(&default, Span::default()).unwrap_or_default(),
            true => BTreeMap::new(),
            false => env_files.iter().filter_map(|file| self.within(file)).filter_map(|(path, span)| read(&path, span)).flatten().collect(),
        };
        values.extend(known.clone());
        values
    }

    /// Returns a path from the application's folder, if it stays within.
    fn within(&self, path: &Located<String>) -> Option<(String, Span)> {
        let within = mount::within(&path.value);
        if within.is_none() {
            let message = format!("`{}` is outside of the application's folder", path.value.escape_debug());
            self.files.sink.error_with("bad-path", path.span, message, "put the file into the folder");
        }
        Some((within?, path.span))
    }

    /// Returns a file as it is read, with its variables put in and its relative paths beginning at the application's folder.
    fn file(&self, path: &str, span: Span) -> Option<Rc<Read>> {
        if let Some(known) = self.read.borrow().get(path) {
            return known.clone();
        }
        let mut root = self.files.document(path, span);
        if let Some(root) = &mut root {
            if let Some(variables) = self.variables {
                Variables::new(variables).replace(root, self.files.sink);
            }
            rebase::rebase(root, self.folder.as_deref().unwrap_or_else(|| parent(path)));
            self.read_labels(root);
        }
        let read = root.map(|root| Rc::new(Read::new(root)));
        self.read.borrow_mut().insert(path.to_owned(), read.clone());
        read
    }

    /// Puts what `label_file` says into `labels`, which win.
    fn read_labels(&self, root: &mut Node) {
        let Value::Map(entries) = &mut root.value else { return };
        let services = entries.iter_mut().find(|(key, _)| key.value == "services");
        let Some((_, Node { value: Value::Map(services), .. })) = services else { return };
        for (_, service) in services {
            let Some(files) = take(service, "label_file") else { continue };
            let mut labels = BTreeMap::new();
            for (path, span) in texts(Some(&files)).iter().filter_map(|file| self.within(file)) {
                let Files { tree, sink, .. } = self.files;
                let Some(text) = env::file(tree, &path, span, sink) else { continue };
                let known = self.variables.cloned().unwrap_or_default();
                labels.extend(env::read(text, env::number(tree, &path).unwrap_or_default(), &known, sink));
            }
            let left = self.files.values_left.get().checked_sub(labels.len());
            if left.is_none() {
                self.files.sink.error_with("too-large", files.span, "all services have too many labels", "write fewer");
            }
            self.files.values_left.set(left.unwrap_or(0));
            let node = |value| Node { value, span: files.span };
            let label = |(name, value)| (Located { value: name, span: files.span }, node(Value::Text(value)));
            let read = node(Value::Map(labels.into_iter().filter(|_| left.is_some()).map(label).collect()));
            let labels = match take(service, "labels") {
                Some(own) => merge::labels(read, own),
                None => read,
            };
            if let Value::Map(entries) = &mut service.value {
                entries.push((Located { value: "labels".to_owned(), span: files.span }, labels));
            }
        }
    }

    /// Returns a file whose services have what they extend.
    fn extended(&self, path: &str, span: Span) -> Option<Node> {
        let mut root = self.file(path, span)?.root.clone();
        let Value::Map(entries) = &mut root.value else { return Some(root) };
        let services = entries.iter_mut().find(|(key, _)| key.value == "services");
        if let Some((_, Node { value: Value::Map(services), .. })) = services {
            for (name, service) in services.iter_mut().filter(|(_, service)| service.get("extends").is_some()) {
                if let Some(made) = self.service(path, name, &mut Vec::new()) {
                    *service = made;
                }
            }
        }
        Some(root)
    }

    /// Returns a service of a file with what it extends. `way` has those that extend one another, down to this one.
    fn service(&self, path: &str, name: &Located<String>, way: &mut Vec<(String, String)>) -> Option<Node> {
        let id = (path.to_owned(), name.value.clone());
        if let Some(made) = self.made.borrow().get(&id) {
            return made.clone();
        }
        let sink = self.files.sink;
        let read = self.file(path, name.span)?;
        let Some(service) = read.service(&name.value) else {
            let message = format!("there is no service `{}` in `{path}`", name.value.escape_debug());
            unknown_name("missing-service", name, message, read.services.keys().map(String::as_str), sink);
            return None;
        };
        let mut own = service.clone();
        let Some(extends) = take(&mut own, "extends") else { return Some(own) };
        way.push(id.clone());
        let base = self.base(path, &extends, way);
        way.pop();
        let made = match base {
            Some(base) => merge::service(base, own, &name.value),
            // What it lacks is in the base, and that was not to be had.
            None => stand_in(own),
        };
        let left = self.files.values_left.get().checked_sub(made.count());
        if left.is_none() && self.files.values_left.get() > 0 {
            let message = format!("with what they extend, all services have more than {MOST_VALUES} values");
            sink.error_with("too-large", extends.span, message, "let fewer services extend one another");
        }
        self.files.values_left.set(left.unwrap_or(0));
        let made = left.map(|_| made);
        self.made.borrow_mut().insert(id, made.clone());
        made
    }

    /// Returns the service that `extends` names.
    fn base(&self, path: &str, extends: &Node, way: &mut Vec<(String, String)>) -> Option<Node> {
        let sink = self.files.sink;
        let text = |key: &str| texts(extends.get(key)).pop();
        let (file, service) = match &extends.value {
            Value::Text(service) => (None, Some(Located { value: service.clone(), span: extends.span })),
            _ => (text("file"), text("service")),
        };
        if let Value::Map(entries) = &extends.value {
            for (key, _) in entries.iter().filter(|(key, _)| !matches!(key.value.as_str(), "file" | "service")) {
                let message = format!("unknown field `{}` of `extends`", key.value.escape_debug());
                sink.error_with("unknown-field", key.span, message, "known are `service` and `file`");
            }
        }
        let Some(service) = service else {
            sink.error_with("missing-field", extends.span, "`extends` names no service", "write `extends: { service: NAME }`");
            return None;
        };
        let base = match &file {
            Some(file) => self.within(file)?.0,
            None => path.to_owned(),
        };
        if let Some(at) = way.iter().position(|(path, name)| *path == base && *name == service.value) {
            let names: Vec<String> = way[at..].iter().chain([&way[at]]).map(|(path, name)| format!("`{name}` in `{path}`")).collect();
            let message = format!("these services extend each other: {}", names.join(" -> "));
            sink.error_with("extends-cycle", service.span, message, "take `extends` out of one of them");
            return None;
        }
        if way.len() >= DEEPEST {
            let message = format!("more than {DEEPEST} services extend one another in a row");
            sink.error_with("too-large", service.span, message, "let them extend one that has it all");
            return None;
        }
        if let Some(file) = &file {
            self.file(&base, file.span)?;
        }
        self.service(&base, &service, way)
    }
}

/// Returns the folder of a file.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns the texts of a text, or of a list of texts.
fn texts(node: Option<&Node>) -> Vec<Located<String>> {
    let text = |node: &Node| Some(Located { value: node.as_text()?.to_owned(), span: node.span });
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().filter_map(text).collect(),
        _ => node.and_then(text).into_iter().collect(),
    }
}

/// Takes a key out of a map.
fn take(node: &mut Node, key: &str) -> Option<Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|(known, _)| known.value == key)?;
    Some(entries.remove(at).1)
}

/// Gives a service an image, so that only what is really wrong with it is reported.
fn stand_in(mut service: Node) -> Node {
    let (span, lacks) = (service.span, service.get("image").is_none());
    if let (true, Value::Map(entries)) = (lacks, &mut service.value) {
        let image = Node { value: Value::Text("unknown".to_owned()), span };
        entries.push((Located { value: "image".to_owned(), span }, image));
    }
    service
}

/// Adds what an included project has. What both have must be the same.
fn bring_in(root: &mut Node, included: Node, sink: &Sink) {
    let (Value::Map(known), Value::Map(more)) = (&mut root.value, included.value) else { return };
    for (key, section) in more {
        if matches!(key.value.as_str(), "name" | "version") || key.value.starts_with("x-") {
            continue;
        }
        let Some((_, target)) = known.iter_mut().find(|(name, _)| name.value == key.value) else {
            known.push((key, section));
            continue;
        };
        let (true, Value::Map(section)) = (SECTIONS.contains(&key.value.as_str()), section.value) else { continue };
        if target.is_null() {
            target.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut target.value else { continue };
        for (name, node) in section {
            match entries.iter().find(|(known, _)| known.value == name.value) {
                None => entries.push((name, node)),
                Some((known, other)) if merge::plain(other) != merge::plain(&node) => {
                    let place = sink.place(known.span);
                    let message = format!("`{}.{}` is also in `{}`, line {}, and differs", key.value, name.value, place.file, place.line);
                    sink.error_with("include-conflict", name.span, message, "give one of them another name, or use `.override`");
                }
                Some(_) => {}
            }
        }
    }
}
