//! `review`: what a change in Git would do, for whoever has to approve it.
//!
//! It compares two commits of a clone and needs neither agent nor engine nor network; with `--live` a running
//! agent is asked what differs already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::agent::protocol::{Answer, Request};
use crate::config::{self, Application};
use crate::desired::External;
use crate::git::{Checkout, Location, Range};
use crate::hash::Key;
use crate::manifest::{self, Tree};
use crate::name::Name;
use crate::report::{ApplicationReview, LiveReview, PlanAnswer, ReviewReport, review_json, review_markdown, review_text};
use crate::review;

use super::error::Error;
use super::exit::Exit;
use super::folder::said;
use super::target::Format;
use super::{Context, client};

const EXAMPLES: &str = "Examples:
  driftless review origin/main HEAD > review.md       what does this branch change?
  driftless review v1 v2 --path deploy -o json        of one folder, for programs
  driftless review origin/main HEAD --live            with what differs on the host already

It compares HEAD with the commit at which it left BASE. Reviewed are the Applications of --config,
else those that the repository itself holds, else the folder --path; of these what is of this
repository and is touched by the change. Markdown always fits into one comment of a forge, under
65,536 characters. It exits with 1 if an error would keep a revision from being taken.";

/// Show what a change in Git would do, as a comment for reviewers
///
/// What is created, changed field by field, and removed; the rollout round by round with the least number of replicas that serve;
/// what is interrupted; and all findings. The rollout is simulated by the planner that works on the host.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Review {
    /// Branch, tag or commit that the change goes to
    #[arg(value_name = "BASE")]
    base: String,

    /// Last commit of the change
    #[arg(value_name = "HEAD", default_value = "HEAD")]
    head: String,

    /// Clone of the repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repo: PathBuf,

    /// File of Application documents, or a folder of such files
    #[arg(long, value_name = "PATH", conflicts_with_all = ["path", "name", "format"])]
    config: Option<PathBuf>,

    /// Folder of the application in the repository
    #[arg(long, value_name = "DIR")]
    path: Option<String>,

    /// Name of the application [default: the last part of --path, or the repository's name]
    #[arg(long, value_name = "APP", requires = "path")]
    name: Option<String>,

    /// How the folder is read
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = FolderFormat::Auto, requires = "path")]
    format: FolderFormat,

    /// Ask the running agent what differs on its host already
    #[arg(long)]
    live: bool,

    /// What links to files begin with, as in https://git.example/acme/shop/blob/3f2a9c1
    #[arg(long, value_name = "URL")]
    link: Option<String>,

    /// Exit with 3 if something changes
    #[arg(long)]
    exit_code: bool,

    /// How the report is written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Markdown)]
    output: Format,
}

/// How a folder is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FolderFormat {
    /// As Compose if there is a Compose file, otherwise as Kubernetes manifests
    Auto,
    /// As a Compose project
    Compose,
    /// As Kubernetes manifests
    Kubernetes,
}

/// An application before and after the change.
struct Pair {
    base: Option<Application>,
    head: Option<Application>,
}

pub(super) async fn run(context: &Context, arguments: &Review) -> Result<Exit, Error> {
    let clone = Checkout::open(&arguments.repo)?;
    let range = clone.range(&arguments.base, &arguments.head)?;
    let pairs = pairs(&clone, &range, arguments)?;
    let key = random_key()?;
    let (mut applications, mut untouched) = (Vec::new(), 0);
    for (name, pair) in &pairs {
        match review_one(context, &clone, &range, name, pair, &key)? {
            Some(review) => applications.push(review),
            None => untouched += 1,
        }
    }
    if arguments.live {
        for review in &mut applications {
            review.live = Some(live(context, &review.name).await?);
        }
    }
    let report = ReviewReport { base: range.base, head: range.head, applications, untouched, link: arguments.link.clone() };
    context.ui.data(&match arguments.output {
        Format::Text => review_text(&report, context.ui.out),
        Format::Json => review_json(&report),
        Format::Markdown => review_markdown(&report),
    })?;
    Ok(match (report.is_refused(), arguments.exit_code && report.changes()) {
        (true, _) => Exit::Act,
        (false, true) => Exit::Pending,
        (false, false) => Exit::Done,
    })
}

/// Reviews one application; `None` if the change does not touch it.
fn review_one(
    context: &Context,
    clone: &Checkout,
    range: &Range,
    name: &Name,
    pair: &Pair,
    key: &Key,
) -> Result<Option<ApplicationReview>, Error> {
    let tree = |application: Option<&Application>, commit: &str| -> Result<Option<Tree>, Error> {
        application.map_or(Ok(None), |application| Ok(clone.tree(commit, &application.path)?))
    };
    let (before, after) = (tree(pair.base.as_ref(), &range.base)?, tree(pair.head.as_ref(), &range.head)?);
    if before == after && pair.base == pair.head {
        return Ok(None);
    }
    let read = |application: Option<&Application>, commit: &str, tree: Option<Tree>| {
        let mut application = application?.clone();
        // Where this runs the files of the host are not at hand, and nobody should see them.
        application.settings.compose.external = External::Unknown;
        // What was there before was taken, whatever is asked now.
        application.policy.taken = commit == range.base;
        Some(said(&context.flags, key, &application, commit, tree?).desired)
    };
    let base = read(pair.base.as_ref(), &range.base, before);
    let head = read(pair.head.as_ref(), &range.head, after);
    let folder = pair.head.as_ref().or(pair.base.as_ref()).map(|application| application.path.as_str()).unwrap_or_default();
    Ok(Some(review::application(name, folder, base, head, pair.head.is_some())))
}

/// Returns the applications that are reviewed, as they are before and after the change.
fn pairs(clone: &Checkout, range: &Range, arguments: &Review) -> Result<BTreeMap<Name, Pair>, Error> {
    if let Some(path) = &arguments.config {
        let applications = ours(clone, config::read(path)?)?;
        return Ok(applications.into_iter().map(|one| (one.name.clone(), Pair { base: Some(one.clone()), head: Some(one) })).collect());
    }
    if arguments.path.is_none() {
        let before = documents(clone, &range.base, &arguments.repo).unwrap_or_default();
        let after = documents(clone, &range.head, &arguments.repo)?;
        if !before.is_empty() || !after.is_empty() {
            let before = before.into_iter().filter(|one| clone.is_at(&one.location)).collect::<Vec<_>>();
            let after = if before.is_empty() { ours(clone, after)? } else { after };
            return Ok(matched(before, after.into_iter().filter(|one| clone.is_at(&one.location))));
        }
    }
    let one = folder(clone, arguments)?;
    Ok(BTreeMap::from([(one.name.clone(), Pair { base: Some(one.clone()), head: Some(one) })]))
}

/// Pairs applications by name.
fn matched(before: Vec<Application>, after: impl Iterator<Item = Application>) -> BTreeMap<Name, Pair> {
    let mut pairs: BTreeMap<Name, Pair> = BTreeMap::new();
    for one in before {
        pairs.insert(one.name.clone(), Pair { base: Some(one), head: None });
    }
    for one in after {
        let name = one.name.clone();
        pairs.entry(name).or_insert(Pair { base: None, head: None }).head = Some(one);
    }
    pairs
}

/// Returns the applications of documents in the repository itself.
fn documents(clone: &Checkout, commit: &str, folder: &Path) -> Result<Vec<Application>, Error> {
    let files = clone.documents(commit, config::API_VERSION_LINE)?;
    let files = files.into_iter().map(|(path, bytes)| (folder.join(path), bytes)).collect::<Vec<_>>();
    if files.is_empty() { Ok(Vec::new()) } else { Ok(config::parse_files(folder, &files)?) }
}

/// Returns the applications that are of this repository.
fn ours(clone: &Checkout, all: Vec<Application>) -> Result<Vec<Application>, Error> {
    let (ours, others): (Vec<Application>, Vec<Application>) = all.into_iter().partition(|one| clone.is_at(&one.location));
    match (ours.is_empty(), others.first()) {
        (true, Some(other)) => Err(Error::Usage {
            message: format!("no application is of this repository: `{}` is of {}", other.name, other.location),
            hint: Some("name the folder with --path, or another clone with --repo".to_owned()),
        }),
        _ => Ok(ours),
    }
}

/// Returns the application that a folder of the repository is.
fn folder(clone: &Checkout, arguments: &Review) -> Result<Application, Error> {
    let path = arguments.path.clone().unwrap_or_else(|| ".".to_owned());
    let last = path.split('/').rfind(|part| !matches!(*part, "" | "." | ".."));
    let name = arguments.name.clone().or_else(|| last.map(str::to_owned)).unwrap_or_else(|| clone.name());
    let invalid = |reason| Error::Config(config::Error::Name { text: name.clone(), reason });
    let mut application = Application::new(&name, Location::folder(&arguments.repo)).map_err(invalid)?;
    application.path = path;
    application.format = match arguments.format {
        FolderFormat::Auto => manifest::Format::Auto,
        FolderFormat::Compose => manifest::Format::Compose,
        FolderFormat::Kubernetes => manifest::Format::Kubernetes,
    };
    Ok(application)
}

/// Asks the running agent how an application stands.
async fn live(context: &Context, name: &Name) -> Result<LiveReview, Error> {
    let path = context.flags.socket();
    let request = Request::Drift { application: Some(name.to_string()), files: false };
    let hint = "start `driftless agent`, name its socket with --socket, or leave out --live".to_owned();
    let Some(mut answers) = client::ask(&path, &request).await? else { return Err(Error::NoAgent { path, hint }) };
    let mut found = None;
    while let Some(answer) = answers.next().await? {
        match answer {
            Answer::Plan(answer) => found = Some(standing(*answer)),
            Answer::Error { class, messages, hint } => return Err(Error::Refused { class, messages, hint }),
            Answer::Done { .. } => break,
            _ => {}
        }
    }
    found.ok_or(Error::CutOff)
}

fn standing(answer: PlanAnswer) -> LiveReview {
    let PlanAnswer { host, plan, rolled_back, .. } = answer;
    LiveReview { host, revision: plan.revision, drift: plan.drift, pending: plan.changes.len(), rolled_back }
}

/// Returns a key for one review. Digests of secrets are compared within it and nowhere else, and nobody can
/// guess a secret from what is made of them.
fn random_key() -> Result<Key, Error> {
    let path = PathBuf::from("/dev/urandom");
    let mut bytes = [0; 32];
    let read = std::fs::File::open(&path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    read.map_err(|source| Error::Path { path, source })?;
    Ok(Key::new(bytes))
}
