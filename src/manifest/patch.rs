//! A change of one field of a manifest, as the text that its author would have written.
//!
//! Only what is meant is touched: comments, order and style stay. Whether the changed files really ask for
//! what was meant, and for nothing else, is checked by reading them again; if not, it is refused and said where
//! to edit by hand.

use crate::desired::{Desired, Workload};
use crate::finding::{Finding, Place};
use crate::name::{Kind, ObjectId};

use super::node::{Located, Node, Value};
use super::scalar::Schema;
use super::sink::Sink;
use super::{Context, Entry, Tree, build, file, load};

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its path from the application's folder.
    pub file: String,
    /// Its text before.
    pub old: String,
    /// Its text after.
    pub new: String,
}

/// Why a change is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The manifests have errors, or would have.
    #[error("the manifests have errors then")]
    Findings(Vec<Finding>),
    /// There is no such workload.
    #[error("{0} is not in the manifests")]
    NotThere(ObjectId),
    /// They already say so.
    #[error("the manifests say so already, at {}:{}", .0.file, .0.line)]
    AsItIs(Place),
    /// The field is written in a way that a small change cannot change: a variable, an alias.
    #[error("the number is written in a way that cannot be changed by a small edit, near {}:{}", .0.file, .0.line)]
    ByHand(Place),
}

/// Changes how many replicas a workload has.
///
/// # Errors
///
/// If the manifests cannot be read, or would not say just that afterwards.
pub fn replicas(tree: &Tree, context: &Context, id: &ObjectId, count: u32) -> Result<Patch, Refused> {
    let before = build(tree, context).map_err(Refused::Findings)?;
    let workload = before.workloads.get(id).ok_or_else(|| Refused::NotThere(id.clone()))?;
    if workload.replicas == count {
        return Err(Refused::AsItIs(workload.place.clone()));
    }
    let by_hand = || Refused::ByHand(workload.place.clone());
    let edits = match id.kind {
        Kind::ComposeService => compose(tree, context, id.name.as_str(), count),
        _ => kubernetes(tree, workload, count),
    };
    let patch = edits.ok_or_else(by_hand)?;
    let mut changed = tree.clone();
    let entry = Entry::File { bytes: patch.new.clone().into_bytes(), executable: false };
    changed.files.insert(patch.file.clone(), entry);
    let after = build(&changed, context).map_err(Refused::Findings)?;
    if says_just_that(&before, &after, id, count) { Ok(patch) } else { Err(by_hand()) }
}

/// Tells whether nothing but one number of replicas has changed.
fn says_just_that(before: &Desired, after: &Desired, id: &ObjectId, count: u32) -> bool {
    let expected = |known: &Workload| if known.id == *id { count } else { known.replicas };
    before.workloads.len() == after.workloads.len()
        && before.services == after.services
        && before.workloads.values().all(|known| {
            let found = after.workloads.get(&known.id);
            found.is_some_and(|found| found.hash == known.hash && found.replicas == expected(known))
        })
}

/// Changes `spec.replicas` of the object whose name is written at the workload's place.
fn kubernetes(tree: &Tree, workload: &Workload, count: u32) -> Option<Patch> {
    let path = &workload.place.file;
    let text = text(tree, path)?;
    let sink = Sink::new(Vec::new());
    let documents = load::load(text.as_bytes(), 0, Schema::Yaml11, &sink);
    let items = documents.iter().flat_map(|root| match root.get("items").map(|items| &items.value) {
        Some(Value::List(items)) => items.iter().collect(),
        _ => vec![root],
    });
    let here = |node: &&Node| {
        let span = node.get("metadata").and_then(|metadata| metadata.get("name")).map(|name| name.span);
        span.is_some_and(|span| (span.line as usize, span.column as usize) == (workload.place.line, workload.place.column))
    };
    let object = { items }.find(here)?;
    let spec = object.get("spec")?;
    let new = match entry(spec, "replicas") {
        Some((key, value)) => replaced(text, key, value, count)?,
        None => inserted(text, spec, &["replicas"], count)?,
    };
    Some(Patch { file: path.clone(), old: text.to_owned(), new })
}

/// Changes `deploy.replicas` or `scale` of a service, in the last file that has it; without one it is added
/// to the first file that has the service.
fn compose(tree: &Tree, context: &Context, service: &str, count: u32) -> Option<Patch> {
    let numbers = file::compose(tree, context.format, &Sink::new(Vec::new()))?;
    let files: Vec<(&String, &str, Node)> = numbers
        .into_iter()
        .filter_map(|number| {
            let path = tree.files.keys().nth(number as usize)?;
            let text = text(tree, path)?;
            Some((path, text, load::load(text.as_bytes(), number, Schema::Yaml12, &Sink::new(Vec::new())).into_iter().next()?))
        })
        .collect();
    let of = |root: &'_ Node| root.get("services").and_then(|services| services.get(service)).cloned();
    for (path, text, root) in files.iter().rev() {
        let Some(node) = of(root) else { continue };
        let deploy = node.get("deploy");
        let written: Vec<_> = [entry(&node, "scale"), deploy.and_then(|deploy| entry(deploy, "replicas"))].into_iter().flatten().collect();
        match written.as_slice() {
            [] => {}
            [(key, value)] => {
                return Some(Patch { file: (*path).clone(), old: (*text).to_owned(), new: replaced(text, key, value, count)? });
            }
            _ => return None,
        }
    }
    let (path, text, node) = files.iter().find_map(|(path, text, root)| Some((path, text, of(root)?)))?;
    let new = match node.get("deploy") {
        Some(deploy) if matches!(deploy.value, Value::Map(_)) => inserted(text, deploy, &["replicas"], count)?,
        _ => inserted(text, &node, &["deploy", "replicas"], count)?,
    };
    Some(Patch { file: (*path).clone(), old: (*text).to_owned(), new })
}

fn text<'a>(tree: &'a Tree, path: &str) -> Option<&'a str> {
    match tree.files.get(path)? {
        Entry::File { bytes, .. } => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn entry<'a>(node: &'a Node, name: &str) -> Option<(&'a Located<String>, &'a Node)> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.value == name).map(|(key, value)| (key, value)),
        _ => None,
    }
}

/// Returns where a line begins in a text, counted from 1.
fn line_start(text: &str, line: u32) -> Option<usize> {
    let mut starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    starts.nth((line as usize).checked_sub(1)?)
}

fn offset(text: &str, line: u32, column: u32) -> Option<usize> {
    let start = line_start(text, line)?;
    let within = text[start..].char_indices().nth((column as usize).checked_sub(1)?);
    Some(within.map_or(text.len(), |(at, _)| start + at))
}

/// Replaces a number that is written beside its key.
fn replaced(text: &str, key: &Located<String>, value: &Node, count: u32) -> Option<String> {
    let at = offset(text, value.span.line, value.span.column)?;
    let rest = &text[at..];
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if key.span.line != value.span.line || digits == 0 {
        return None;
    }
    Some(format!("{}{count}{}", &text[..at], &rest[digits..]))
}

/// Adds a number to a map, before what is in it and as deep.
fn inserted(text: &str, map: &Node, path: &[&str], count: u32) -> Option<String> {
    let Value::Map(entries) = &map.value else { return None };
    let (first, _) = entries.first()?;
    let open = offset(text, map.span.line, map.span.column)?;
    if text[open..].starts_with('{') {
        let [before @ .., last] = path else { return None };
        let inner = format!("{last}: {count}");
        let entry = before.iter().rev().fold(inner, |inner, name| format!("{name}: {{ {inner} }}"));
        return Some(format!("{} {entry},{}", &text[..=open], &text[open + 1..]));
    }
    let start = line_start(text, first.span.line)?;
    let indent = &text[start..offset(text, first.span.line, first.span.column)?];
    // As in `- key: value`, where the first key shares its line.
    if !indent.chars().all(|c| c == ' ') {
        return None;
    }
    let line = &text[start..];
    let ending = if line.find('\n').is_some_and(|at| line[..at].ends_with('\r')) { "\r\n" } else { "\n" };
    let step = if indent.is_empty() { 2 } else { step(entries, first).unwrap_or(2) };
    let depth = |level: usize| " ".repeat(level * step);
    let lines: String = path
        .iter()
        .enumerate()
        .map(|(level, name)| match level + 1 == path.len() {
            true => format!("{indent}{}{name}: {count}{ending}", depth(level)),
            false => format!("{indent}{}{name}:{ending}", depth(level)),
        })
        .collect();
    Some(format!("{}{lines}{}", &text[..start], &text[start..]))
}

/// Returns how much deeper a map in a map is written.
fn step(entries: &[(Located<String>, Node)], first: &Located<String>) -> Option<usize> {
    entries.iter().find_map(|(key, value)| match &value.value {
        Value::Map(inner) => {
            let (inner, _) = inner.first()?;
            (inner.span.line > key.span.line).then(|| inner.span.column.saturating_sub(first.span.column) as usize)
        }
        _ => None,
    })
}

impl Patch {
    /// Returns the file's path from the top of its repository, of which `folder` is the application's.
    pub fn file_in(&self, folder: &str) -> String {
        match folder.trim_start_matches("./").trim_matches('/') {
            "" | "." => self.file.clone(),
            folder => format!("{folder}/{}", self.file),
        }
    }

    /// Returns the change as a unified diff that `git apply` takes; `folder` is the application's folder in its
    /// repository.
    pub fn unified(&self, folder: &str) -> String {
        const AROUND: usize = 3;
        let path = self.file_in(folder);
        let (old, new): (Vec<&str>, Vec<&str>) = (self.old.split_inclusive('\n').collect(), self.new.split_inclusive('\n').collect());
        let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let rest = old.len().min(new.len()) - same;
        let after = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
        let from = same.saturating_sub(AROUND);
        let (old_end, new_end) = (old.len() - after, new.len() - after);
        let to = (old_end + AROUND).min(old.len());
        let mut text =
            format!("--- a/{path}\n+++ b/{path}\n@@ -{},{} +{},{} @@\n", from + 1, to - from, from + 1, to - from + new_end - old_end);
        let mut add = |mark: char, lines: &[&str]| {
            for line in lines {
                text.push(mark);
                text.push_str(line);
                if !line.ends_with('\n') {
                    text.push_str("\n\\ No newline at end of file\n");
                }
            }
        };
        add(' ', &old[from..same]);
        add('-', &old[same..old_end]);
        add('+', &new[same..new_end]);
        add(' ', &old[old_end..to]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Installation, Layout, Settings};
    use crate::hash::Key;
    use crate::manifest::Format;
    use crate::name::Name;

    fn name(text: &str) -> Name {
        Name::try_from(text).expect("a name")
    }

    fn patch(file: &str, text: &str, object: &str, count: u32) -> Result<Patch, Refused> {
        patch_of(&[(file, text)], object, count)
    }

    fn patch_of(files: &[(&str, &str)], object: &str, count: u32) -> Result<Patch, Refused> {
        let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
        let context = Context {
            application: name("shop"),
            revision: "r1".to_owned(),
            installation: Installation { owner: name("o1"), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) },
            settings: Settings::default(),
            namespace: name("shop"),
            format: Format::Auto,
        };
        let id = ObjectId::try_from(object.to_owned()).expect("an object");
        replicas(&Tree::of(files.iter().copied()), &context, &id, count)
    }

    fn deployment(spec: &str) -> String {
        format!(
            "# the shop\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n{spec}  selector: {{ matchLabels: {{ app: web }} }}\n  \
             template:\n    metadata: {{ labels: {{ app: web }} }}\n    spec: {{ containers: [{{ name: web, image: web:1 }}] }}\n"
        )
    }

    #[test]
    fn a_number_is_changed_where_it_is_written_and_its_comment_stays() {
        let patch = patch("app.yaml", &deployment("  replicas: 2  # enough\n"), "shop/Deployment/web", 13).expect("a patch");
        insta::assert_snapshot!(patch.unified("deploy"), @r"
        --- a/deploy/app.yaml
        +++ b/deploy/app.yaml
        @@ -4,7 +4,7 @@
         metadata:
           name: web
         spec:
        -  replicas: 2  # enough
        +  replicas: 13  # enough
           selector: { matchLabels: { app: web } }
           template:
             metadata: { labels: { app: web } }
        ");
    }

    #[test]
    fn a_missing_number_is_added_at_the_right_depth() {
        let added = patch("app.yaml", &deployment(""), "shop/Deployment/web", 3).expect("a patch");
        insta::assert_snapshot!(added.unified("."), @r"
        --- a/app.yaml
        +++ b/app.yaml
        @@ -4,6 +4,7 @@
         metadata:
           name: web
         spec:
        +  replicas: 3
           selector: { matchLabels: { app: web } }
           template:
             metadata: { labels: { app: web } }
        ");
        let flow = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { selector: { matchLabels: { app: web } }, template: { \
                    metadata: { labels: { app: web } }, spec: { containers: [{ name: web, image: web:1 }] } } }";
        let added = patch("app.yaml", flow, "shop/Deployment/web", 3).expect("a patch");
        assert!(added.new.contains("spec: { replicas: 3, selector:"), "{}", added.new);
        assert!(added.unified("").contains("\\ No newline at end of file\n+spec"), "{}", added.unified(""));
    }

    #[test]
    fn of_several_documents_only_the_one_that_is_meant_is_changed() {
        let api = deployment("  replicas: 1\n").replace("app: web", "app: api").replace("name: web\nspec", "name: api\nspec");
        let both = format!("{}---\n{api}", deployment("  replicas: 1\n"));
        let patch = patch("app.yaml", &both, "shop/Deployment/api", 4).expect("a patch");
        assert_eq!(patch.new, both.replacen("replicas: 1", "replicas: X", 1).replace("replicas: 1", "replicas: 4").replace('X', "1"));
    }

    #[test]
    fn a_compose_file_is_changed_where_it_says_so_and_in_its_own_style() {
        for (before, after) in [
            ("services:\n  web:\n    image: web:1\n", "services:\n  web:\n    deploy:\n      replicas: 3\n    image: web:1\n"),
            ("services:\n  web:\n    image: web:1\n    scale: 2\n", "services:\n  web:\n    image: web:1\n    scale: 3\n"),
            (
                "services:\n  web:\n    image: web:1\n    deploy:\n      replicas: 2 # two\n",
                "services:\n  web:\n    image: web:1\n    deploy:\n      replicas: 3 # two\n",
            ),
            (
                "services:\r\n    web:\r\n        deploy:\r\n            update_config: { order: start-first }\r\n        image: web:1\r\n",
                "services:\r\n    web:\r\n        deploy:\r\n            replicas: 3\r\n            update_config: { order: start-first }\r\n        image: web:1\r\n",
            ),
            ("services: { web: { image: 'web:1' } }\n", "services: { web: { deploy: { replicas: 3 }, image: 'web:1' } }\n"),
        ] {
            assert_eq!(patch("compose.yaml", before, "shop/service/web", 3).expect(before).new, after);
        }
        let base = "services:\n  web:\n    image: web:1\n";
        let over = "services:\n  web:\n    scale: 2\n";
        let patch = patch_of(&[("compose.yaml", base), ("compose.override.yaml", over)], "shop/service/web", 3).expect("a patch");
        assert_eq!((patch.file.as_str(), patch.new.contains("scale: 3")), ("compose.override.yaml", true));
    }

    #[test]
    fn what_a_small_edit_cannot_change_is_refused_with_its_place() {
        let anchor = "x-n: &n 2\nservices:\n  web:\n    image: web:1\n    scale: *n\n  api:\n    image: web:1\n    scale: *n\n";
        for text in [anchor, "services:\n  web:\n    image: web:1\n    scale: ${N:-2}\n"] {
            let refused = patch("compose.yaml", text, "shop/service/web", 3).expect_err(text);
            assert!(
                matches!(&refused, Refused::ByHand(place) if place.file == "compose.yaml" && place.line == 2 + usize::from(text == anchor)),
                "{refused:?}"
            );
        }
        let same = patch("app.yaml", &deployment("  replicas: 2\n"), "shop/Deployment/web", 2);
        assert!(matches!(same, Err(Refused::AsItIs(_))), "{same:?}");
        let gone = patch("app.yaml", &deployment(""), "shop/Deployment/api", 2);
        assert!(matches!(gone, Err(Refused::NotThere(_))), "{gone:?}");
        let fixed = "services:\n  web:\n    image: web:1\n    container_name: web\n";
        assert!(matches!(patch("compose.yaml", fixed, "shop/service/web", 2), Err(Refused::Findings(_))));
    }
}
