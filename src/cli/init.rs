//! `init`: a first Application document, for whoever has a repository or a folder and nothing else.

use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use clap::Args;

use crate::config::Application;
use crate::finding::refuses;
use crate::git::{self, Auth, Location, Source, origin_of};
use crate::hash::Key;
use crate::manifest::{Tree, file};
use crate::name::{Name, dns_label};
use crate::report::VERSION;

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::folder::{Findings, Read, said};
use super::target::{Format as Output, OutputFlags};

const EXAMPLES: &str = "Examples:
  driftless init                                        the folder that one is in
  driftless init ./deploy --name shop
  driftless init https://git.example/shop.git --path deploy
  driftless init --file - > /etc/driftless/shop.yaml    written to standard output

A folder in a clone is deployed from where it was cloned from. Hidden files are never manifests, so the document
may stay beside them.";

/// Write a first Application document for a folder or repository
///
/// It finds the Compose file or the Kubernetes manifests, checks them, writes down where they are, and says what to do next.
/// Nothing is asked and nothing is deployed. Every field of the document is explained in docs/reference.md.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Init {
    /// Folder of this host, or a repository's URL
    #[arg(value_name = "FOLDER|REPO-URL", default_value = ".")]
    source: String,

    /// Name of the application [default: the last part of the repository's path]
    #[arg(long, value_name = "APP")]
    name: Option<String>,

    /// Branch, tag or commit [default: the branch of the clone, or HEAD]
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,

    /// Folder of the manifests in the repository [default: the only one that has any]
    #[arg(long, value_name = "DIR")]
    path: Option<String>,

    /// Where the document is written; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = ".driftless.yaml")]
    file: PathBuf,

    #[command(flatten)]
    output: OutputFlags,
}

/// What was found.
struct Found {
    location: Location,
    reference: Option<String>,
    /// From the top of the repository to the folder that was named.
    within: String,
    /// What is in the folder that was named.
    tree: Tree,
    revision: String,
    /// How the folder is named on the command line, if it is one of this host.
    folder: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, arguments: &Init) -> Result<Exit, Error> {
    let to_file = arguments.file.as_os_str() != "-";
    if to_file && arguments.file.exists() {
        let message = format!("`{}` is there already and is not overwritten", arguments.file.display());
        return Err(Error::Usage { message, hint: Some("choose another one with --file, or remove it".to_owned()) });
    }
    let found = find(arguments).await?;
    let path = match &arguments.path {
        Some(path) => path.trim_start_matches("./").trim_end_matches('/').to_owned(),
        None => only(&file::folders(&found.tree), &arguments.source)?,
    };
    let name = name(arguments.name.as_deref(), found.location.name())?;
    let application = Application::new(name.as_str(), found.location.clone()).expect("the name is a label");
    let application = Application { path: path.clone(), ..application };
    // Nothing that depends on the key is shown or kept.
    let read = said(&context.flags, &Key::new([0; 32]), &application, &found.revision, below(&found.tree, &path));
    let mut findings = Findings::default();
    let shown = match &found.folder {
        // Parts such as `.` say nothing.
        Some(folder) => folder.join(&path).components().filter(|part| *part != Component::CurDir).collect(),
        None => PathBuf::from(&path),
    };
    let shown = if shown.as_os_str().is_empty() { PathBuf::from(".") } else { shown };
    findings.add(&shown, &read);
    let document = document(&name, &found, &join(&found.within, &path), &read);
    if to_file {
        write(&arguments.file, &document)?;
    }
    if !findings.all.is_empty() {
        context.ui.say(&findings.text(context.ui.err));
    }
    let bad = refuses(&findings.all);
    let file = arguments.file.display().to_string();
    context.ui.data(&match (arguments.output.output, to_file) {
        (Output::Json, _) => {
            let value =
                serde_json::json!({ "version": VERSION, "file": to_file.then_some(&file), "document": document, "findings": findings.all });
            format!("{value}\n")
        }
        (Output::Text | Output::Markdown, false) => document,
        (Output::Text, true) => format!("Wrote `{file}`.\n"),
        (Output::Markdown, true) => format!("Wrote `{file}`:\n\n```yaml\n{document}```\n"),
    })?;
    next(context, &shown, if to_file { &file } else { "FILE" }, found.folder.is_some(), bad);
    Ok(if bad { Exit::Act } else { Exit::Done })
}

/// Says what to do next.
fn next(context: &Context, shown: &Path, file: &str, local: bool, bad: bool) {
    // A path needs a slash to be one.
    let shown = match shown.display().to_string() {
        path if path.is_empty() || path == "." => "./".to_owned(),
        path if path.contains('/') => path,
        path => format!("./{path}"),
    };
    if bad {
        let what = if local { format!("look again with `driftless check {shown}`") } else { "mend them in the repository".to_owned() };
        context.ui.say(&format!("The manifests have errors: {what}. Then:"));
    } else {
        context.ui.say("Next:");
    }
    let plan = format!("driftless plan {shown}");
    let agent = format!("driftless agent --config {file}");
    let width = plan.len().max(agent.len());
    if local {
        context.ui.say(&format!("  {plan:<width$}  what would happen"));
    }
    context.ui.say(&format!("  {agent:<width$}  deploys it, and keeps it as Git says"));
}

/// Looks at what was named.
async fn find(arguments: &Init) -> Result<Found, Error> {
    let text = &arguments.source;
    let location = Location::parse(text).map_err(|reason| Error::Usage { message: format!("`{text}` {reason}"), hint: None })?;
    match location {
        Location::Url(_) => {
            let reference = arguments.reference.clone();
            let scratch = Scratch::new()?;
            let source = Source::new(&scratch.0, location.clone(), Auth::default());
            let revision = source.fetch(reference.as_deref().unwrap_or_default()).await?;
            let tree = source.tree(&revision.id, ".").await?;
            Ok(Found { location, reference, within: String::new(), tree, revision: revision.id, folder: None })
        }
        Location::Path(_) | Location::Folder(_) => {
            let folder = PathBuf::from(text);
            let absolute = fs::canonicalize(&folder).map_err(|source| Error::Path { path: folder.clone(), source })?;
            let (revision, tree) = git::read(&absolute).await?;
            let clone = origin_of(&absolute);
            let within = clone.as_ref().and_then(|clone| absolute.strip_prefix(&clone.top).ok()).map(|path| path.display().to_string());
            let branch = arguments.reference.clone().or_else(|| clone.as_ref().and_then(|clone| clone.branch.clone()));
            let top = clone.as_ref().map_or(absolute.as_path(), |clone| clone.top.as_path());
            let remote = clone.as_ref().and_then(|clone| clone.remote.as_deref()).and_then(|url| Location::parse_in(top, url).ok());
            let location = match (remote, &clone) {
                (Some(remote), _) => remote,
                (None, Some(clone)) => Location::parse(&clone.top.display().to_string()).unwrap_or(Location::folder(&clone.top)),
                (None, None) => Location::folder(&absolute),
            };
            Ok(Found { location, reference: branch, within: within.unwrap_or_default(), tree, revision: revision.id, folder: Some(folder) })
        }
    }
}

/// Returns the one folder that has manifests.
fn only(folders: &[String], source: &str) -> Result<String, Error> {
    match folders {
        [one] => Ok(one.clone()),
        [] => Err(Error::Usage {
            message: format!("`{source}` holds neither a Compose file nor Kubernetes manifests"),
            hint: Some("name the folder that does, or begin with a `compose.yaml`".to_owned()),
        }),
        several => Err(Error::Usage {
            message: format!("several folders of `{source}` hold manifests, and each is an application of its own"),
            hint: Some(format!("choose one with --path: {}", several.join(", "))),
        }),
    }
}

/// Returns the application's name: what is asked for, or what the repository is called as far as that is a
/// name.
fn name(asked: Option<&str>, last: &str) -> Result<Name, Error> {
    let text = match asked {
        Some(text) => text.to_owned(),
        None => {
            let plain: String = last.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            plain.trim_matches('-').chars().take(63).collect()
        }
    };
    let wrong = |reason: String| Error::Usage {
        message: format!("`{text}` cannot be an application's name: it {reason}"),
        hint: Some("choose one with --name".to_owned()),
    };
    dns_label(&text).map_err(|reason| wrong(reason.to_string()))?;
    Name::try_from(text.as_str()).map_err(|reason| wrong(reason.to_string()))
}

/// Returns what is below a folder of a tree.
fn below(tree: &Tree, folder: &str) -> Tree {
    if matches!(folder, "" | ".") {
        return tree.clone();
    }
    let inside =
        tree.files.iter().filter_map(|(path, entry)| Some((path.strip_prefix(folder)?.strip_prefix('/')?.to_owned(), entry.clone())));
    Tree { files: inside.collect() }
}

fn join(within: &str, path: &str) -> String {
    match (within, path) {
        ("", path) => path.to_owned(),
        (within, ".") => within.to_owned(),
        (within, path) => format!("{within}/{path}"),
    }
}

/// Returns the document.
fn document(name: &Name, found: &Found, path: &str, read: &Read) -> String {
    let compose = read.tree.files.keys().any(|file| file.contains("compose.y"));
    let kind = if compose { "A Compose project" } else { "Kubernetes manifests" };
    let repo = match &found.location {
        Location::Url(url) => url.clone(),
        Location::Path(path) | Location::Folder(path) => path.display().to_string(),
    };
    let mut text = format!(
        "# {kind}, deployed by `driftless agent`. Every field: docs/reference.md, Application.\napiVersion: driftless.dev/v1\nkind: Application\n\
         metadata:\n  name: {name}\nspec:\n  repo: {}\n",
        quoted(&repo)
    );
    if let Some(reference) = &found.reference {
        text.push_str(&format!("  ref: {}\n", quoted(reference)));
    }
    if path != "." {
        text.push_str(&format!("  path: {}\n", quoted(path)));
    }
    text.push_str("  mode: auto          # manual: changes wait for `driftless apply`; observe: only looks\n");
    if let Location::Url(url) = &found.location {
        text.push_str(match url.starts_with("http") {
            true => "  # auth:             # if the repository is private\n  #   tokenFile: /etc/driftless/token\n",
            false => "  auth:\n    sshKeyFile: /etc/driftless/id_ed25519\n",
        });
    }
    text
}

/// Returns a text as YAML: in quotes unless nothing in it could mean anything else.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '@' | '+' | '~');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.');
    let word = !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | ".");
    match begins && word && text.chars().all(plain) && !text.ends_with(':') {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    // Made anew or not at all: nothing is overwritten.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// A folder for the mirror of a repository that is only looked at.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, Error> {
        let path = std::env::temp_dir().join(format!("driftless-init-{}", std::process::id()));
        fs::create_dir(&path).map_err(|source| Error::Write { path: path.clone(), source })?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_the_repository_is_called() {
        for (last, expected) in [("shop", "shop"), ("My_Shop.v2", "my-shop-v2"), ("-x-", "x")] {
            assert_eq!(name(None, last).expect("a name").as_str(), expected);
        }
        assert!(name(None, "___").is_err() && name(Some("My Shop"), "shop").is_err());
    }

    #[test]
    fn texts_are_quoted_where_yaml_would_read_something_else() {
        for (text, expected) in [
            ("main", "main"),
            ("https://git.example/shop.git", "https://git.example/shop.git"),
            ("/srv/a b", "\"/srv/a b\""),
            ("1.20", "\"1.20\""),
            ("yes", "\"yes\""),
            ("a: b", "\"a: b\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn the_folder_with_manifests_is_found_if_there_is_one() {
        let folders = |files: &[(&str, &str)]| file::folders(&Tree::of(files.iter().copied()));
        let object = "apiVersion: v1\nkind: Service\n";
        assert_eq!(folders(&[("compose.yaml", "services: {}"), ("README.md", "")]), ["."]);
        assert_eq!(folders(&[("deploy/docker-compose.yml", ""), ("ci.yaml", "on: push"), (".github/w.yaml", object)]), ["deploy"]);
        assert_eq!(folders(&[("k8s/a.yaml", object), ("k8s/db/b.yaml", object)]), ["k8s"]);
        assert_eq!(folders(&[("a/compose.yaml", ""), ("b/x.yaml", object)]), ["a", "b"]);
        assert!(only(&[], ".").is_err() && only(&["a".to_owned(), "b".to_owned()], ".").is_err());
    }
}
