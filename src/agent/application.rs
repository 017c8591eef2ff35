//! One application as the agent keeps it: where it comes from, what was last good, what is asked now.
//!
//! It holds values and asks the core; it neither reads the host nor starts a step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::config::Application;
use crate::desired::{Desired, Installation, Mode, Protocol};
use crate::docker::Docker;
use crate::finding::Finding;
use crate::git::{Revision, Source};
use crate::host::Class;
use crate::manifest::Context;
use crate::observed::Live;
use crate::plan::Plan;
use crate::policy;
use crate::reconcile::{Reconciler, Target};
use crate::report::Healed;
use crate::report::word::{severities, short};

use super::external;
use super::note::Unwritten;
use super::share::Wants;
use super::shown::Shown;

/// Something that keeps a revision from being read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trouble {
    pub(super) class: Class,
    /// The error and its causes, outermost first.
    pub(super) messages: Vec<String>,
    pub(super) hint: Option<String>,
}

impl Trouble {
    /// Returns what should never happen.
    pub(super) fn bug(message: String) -> Self {
        Trouble { class: Class::Internal, messages: vec![message, "this is a bug of ours".to_owned()], hint: None }
    }
}

/// What loading a revision came to.
#[derive(Debug)]
pub(super) enum Loaded {
    /// The ref still names the revision that was looked at last.
    Unchanged,
    /// Another revision, in which the application's folder is the same.
    Moved(Revision),
    /// A revision was read: its findings, what it asks for unless it is refused, the folder's print, and the
    /// digest of the external files.
    Read { revision: Revision, findings: Vec<Finding>, desired: Option<Arc<Desired>>, print: Option<String>, external: String },
    /// It could not be read.
    Failed(Trouble),
}

/// Which revision is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the ref names now.
    Head,
    /// A revision that was good before.
    Earlier(String),
}

/// A revision that was refused because of errors.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) revision: String,
    pub(super) findings: Vec<Finding>,
}

/// One application.
pub(super) struct App {
    pub(super) config: Application,
    pub(super) source: Source,
    /// Its repository, by its place among the agent's.
    pub(super) repository: usize,
    /// What Git asks for: the newest revision that was not refused.
    pub(super) head: Option<Arc<Desired>>,
    pub(super) refused: Option<Refused>,
    /// The print of the folder that was last read, if it has one.
    pub(super) print: Option<String>,
    /// A later revision in which the folder is the same as in the one that was last read.
    pub(super) moved: Option<String>,
    pub(super) trouble: Option<Trouble>,
    /// An earlier revision that is kept instead of `head`, or may have to be.
    pub(super) earlier: Option<Arc<Desired>>,
    /// An earlier revision that cannot be loaded; it is tried again after the next look at the source.
    pub(super) lost: Option<String>,
    pub(super) reconciler: Reconciler,
    /// It was configured anew since the head was read.
    pub(super) reread: bool,
    /// Who had joined was taken over from what was published before.
    pub(super) restored: bool,
    pub(super) plan: Option<Plan>,
    /// The snapshot that its plan was last compared or made with.
    pub(super) seen: Option<Arc<Live>>,
    /// What was healed lately, oldest first.
    pub(super) healed: Vec<Healed>,
    /// What it wants of that which only one application can have.
    pub(super) wants: Wants,
    /// Plans that people may have seen.
    pub(super) shown: Shown,
    /// The load that is running; and whether to look again after it.
    pub(super) loading: Option<Wanted>,
    pub(super) look_again: bool,
    /// The revision, and the digest of the external files, with which a fetch began that load.
    pub(super) reading: Option<(String, String)>,
    /// The digest of the external files that the head was read with.
    pub(super) external: String,
    /// An image that decides about a front has come since the head was read, and is looked at (when last) first.
    pub(super) outdated: bool,
    pub(super) looked: Option<Instant>,
    /// Something has happened to it since the last turn that its reconciler does not know of, or it was planned.
    pub(super) touched: bool,
    /// The record was changed and must be stored; and the revisions that were kept when it last was.
    pub(super) unsaved: bool,
    pub(super) retained: BTreeSet<String>,
    /// The record on disk is an older one.
    pub(super) unwritten: Option<Unwritten>,
    /// Why what is served cannot be published.
    pub(super) unpublished: Option<String>,
    /// Why the last plan was refused by the audit: bugs of ours.
    pub(super) audit: Vec<String>,
    /// How many loads of the head have ended.
    pub(super) looks: u64,
    /// The number of the fetch whose news was last taken up, and of the last one that is taken in: whoever asks for a
    /// fresh look waits for one that began later.
    pub(super) fetch: u64,
    pub(super) fetched: u64,
}

impl App {
    /// Returns the revision of the ref that was last looked at, good or refused.
    pub(super) fn last_seen(&self) -> Option<&str> {
        let refused = self.refused.as_ref().map(|refused| refused.revision.as_str());
        self.moved.as_deref().or(refused).or_else(|| self.head.as_ref().map(|head| head.revision.as_str()))
    }

    /// Returns the revision that people are told of: the last one that asks for the very same.
    pub(super) fn told<'a>(&'a self, revision: &'a str) -> &'a str {
        let is_head = self.refused.is_none() && self.head.as_ref().is_some_and(|head| head.revision == revision);
        self.moved.as_deref().filter(|_| is_head).unwrap_or(revision)
    }

    /// Tells whether a revision was refused before for these reasons.
    pub(super) fn is_refused_for(&self, revision: &str, findings: &[Finding]) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.revision == revision && refused.findings == findings)
    }

    /// Tells whether policies refused the revision: they are on the host, and may have been mended since.
    pub(super) fn is_denied(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.findings.iter().any(|finding| finding.rule.starts_with("policy/")))
    }

    /// Tells whether anything can be said of it yet.
    pub(super) fn is_known(&self) -> bool {
        self.plan.is_some() || self.refused.is_some() || self.trouble.is_some()
    }

    /// Returns what is kept now, or the earlier revision that has to be loaded first.
    pub(super) fn kept(&self) -> Result<Option<Arc<Desired>>, String> {
        let record = &self.reconciler.observed().record;
        let instead = match (self.reconciler.suspended_at(), &self.head) {
            // Until the first look has ended nothing is kept: the newest may not be the one that was healthy last, and
            // going back to that would undo what was begun.
            (_, None) if self.looks == 0 => None,
            // Hands off means off: a new revision waits until it is resumed.
            (Some(revision), head) => {
                Some(revision.to_owned()).filter(|revision| head.as_ref().is_none_or(|head| head.revision != *revision))
            }
            (None, None) => record.healthy.last().cloned(),
            (None, Some(head)) => match self.target(head) {
                Target::RolledBack { revision, .. } => Some(revision),
                Target::Head if head.settings.mode == Mode::Manual && record.approved.as_ref() != Some(&head.revision) => {
                    record.healthy.last().filter(|revision| **revision != head.revision).cloned()
                }
                Target::Head => None,
            },
        };
        match instead {
            None => Ok(self.head.clone()),
            Some(revision) => match &self.earlier {
                Some(earlier) if earlier.revision == revision => Ok(Some(earlier.clone())),
                // Nothing else can be kept; what runs is left as it is as far as may be.
                _ if self.lost.as_ref() == Some(&revision) => Ok(self.head.clone()),
                _ => Err(revision),
            },
        }
    }

    /// Returns whose services are published; `None` if they are served on as they were: what they shall be
    /// is not known now, or must not be acted on.
    pub(super) fn served(&self) -> Option<Arc<Desired>> {
        self.kept().ok().flatten().filter(|kept| kept.settings.mode != Mode::Observe && !self.outdated)
    }

    /// Tells which revision is to be kept; nobody goes back to one that cannot be loaded.
    fn target(&self, head: &Desired) -> Target {
        match self.reconciler.target(head) {
            Target::RolledBack { revision, .. } if self.lost.as_ref() == Some(&revision) => Target::Head,
            target => target,
        }
    }

    /// Returns why the head was rolled back, if it was.
    pub(super) fn rolled_back(&self) -> Option<String> {
        match self.target(self.head.as_deref()?) {
            Target::RolledBack { reason, .. } => Some(reason),
            Target::Head => None,
        }
    }

    /// Takes in a loaded revision; returns whether what Git asks for has changed.
    pub(super) fn take(&mut self, wanted: &Wanted, loaded: Loaded) -> bool {
        self.touched = true;
        if let Wanted::Earlier(revision) = wanted {
            self.take_earlier(revision, loaded);
            return false;
        }
        self.looks += 1;
        self.fetched = self.fetch;
        self.lost = None;
        match loaded {
            Loaded::Unchanged => {
                self.trouble = None;
                false
            }
            Loaded::Moved(revision) => {
                self.trouble = None;
                self.moved = Some(revision.id);
                false
            }
            Loaded::Failed(trouble) => {
                self.trouble = Some(trouble);
                false
            }
            Loaded::Read { revision, findings, desired: None, print, external } => {
                (self.trouble, self.reread) = (None, false);
                (self.print, self.moved, self.external) = (print, None, external);
                self.refused = Some(Refused { revision: revision.id, findings });
                false
            }
            Loaded::Read { desired: Some(desired), print, external, .. } => {
                (self.trouble, self.reread) = (None, false);
                (self.print, self.moved, self.external) = (print, None, external);
                self.refused = None;
                self.reconciler.asked(&desired);
                let healthy = self.reconciler.observed().record.healthy.last();
                // Should the new one fail or wait for an approval, the one before is needed at once.
                if let Some(before) = self.head.replace(desired).filter(|before| Some(&before.revision) == healthy) {
                    self.earlier = Some(before);
                }
                self.reconciler.retry();
                true
            }
        }
    }

    fn take_earlier(&mut self, revision: &str, loaded: Loaded) {
        match loaded {
            Loaded::Read { desired: Some(desired), .. } => {
                self.lost = None;
                self.earlier = Some(desired);
            }
            Loaded::Read { findings, .. } => {
                let refused = format!("revision {} was good once and is refused now: {}", short(revision), severities(&findings));
                self.trouble = Some(Trouble { class: Class::User, messages: vec![refused], hint: None });
                self.lost = Some(revision.to_owned());
            }
            Loaded::Failed(trouble) => {
                self.trouble = Some(trouble);
                self.lost = Some(revision.to_owned());
            }
            Loaded::Unchanged | Loaded::Moved(_) => {}
        }
    }

    /// Tries a failed rollout once more; who asks for that approves it. Returns whether one had failed.
    pub(super) fn retry(&mut self) -> bool {
        let failed = self.rolled_back().is_some();
        let stuck = self.plan.as_ref().is_some_and(|plan| plan.failed.is_some());
        self.reconciler.forgive();
        self.lost = None;
        if let Some(head) = self.head.as_ref().filter(|head| failed && head.settings.mode == Mode::Manual) {
            self.reconciler.record_mut().approved = Some(head.revision.clone());
        }
        failed || stuck
    }

    /// Returns the revisions that must not be lost.
    pub(super) fn revisions(&self) -> BTreeSet<String> {
        let record = &self.reconciler.observed().record;
        let stays = record.returned.as_ref().map(|returned| &returned.revision).into_iter();
        let stays = stays.chain(record.suspended.as_ref().map(|suspended| &suspended.revision));
        record.healthy.iter().chain(stays).chain(self.head.as_ref().map(|head| &head.revision)).cloned().collect()
    }
}

/// Loads a revision that was fetched: reads and checks it.
///
/// What it depends on outside of the repository is looked at, too: external files, and the ports that images
/// declare.
pub(super) async fn load(
    mut config: Application,
    source: Source,
    (installation, docker): (Installation, Docker),
    revision: Revision,
) -> Loaded {
    let compose = &mut config.settings.compose;
    compose.external = external::read(&compose.external);
    let external = external::digest(&compose.external);
    let (tree, print) = match source.folder(&revision.id, &config.path).await {
        Ok(folder) => folder,
        Err(error) => return Loaded::Failed(trouble(&error)),
    };
    let mut context = context(&config, revision.id.clone(), installation);
    let (tree, policy) = (Arc::new(tree), config.policy.clone());
    let built = loop {
        let (shared, asked, policy) = (tree.clone(), context.clone(), policy.clone());
        let built = tokio::task::spawn_blocking(move || policy::build(&shared, &asked, &policy)).await;
        let exposed = match &built {
            Ok(Ok(desired)) => exposed(desired, &docker).await,
            _ => BTreeMap::new(),
        };
        if exposed.is_empty() {
            break built;
        }
        context.settings.compose.exposed.extend(exposed);
    };
    let (desired, findings) = match built {
        Ok(Ok(desired)) => (Some(desired), Vec::new()),
        Ok(Err(findings)) => (None, findings),
        Err(_) => {
            let messages = vec![format!("failed to check revision {}: this is a bug of ours", revision.id)];
            return Loaded::Failed(Trouble { class: Class::Internal, messages, hint: None });
        }
    };
    if desired.is_some()
        && let Err(error) = source.keep(&config.name, &revision.id).await
    {
        tracing::warn!(application = %config.name, error = %chain(&error).join(": "), "the revision cannot be kept for later");
    }
    Loaded::Read { revision, findings, desired: desired.map(Arc::new), print, external }
}

/// Returns the ports that images declare of which that is still to be known, as far as the host has them.
async fn exposed(desired: &Desired, docker: &Docker) -> BTreeMap<String, BTreeSet<(u16, Protocol)>> {
    let mut exposed = BTreeMap::new();
    for image in desired.unknown_images() {
        match docker.exposed(image).await {
            Ok(Some(ports)) => drop(exposed.insert(image.to_owned(), ports)),
            Ok(None) => {}
            Err(error) => tracing::warn!(image, error = %chain(&error).join(": "), "what the image declares cannot be read"),
        }
    }
    exposed
}

/// Returns what a revision of an application is read for.
pub(super) fn context(config: &Application, revision: String, installation: Installation) -> Context {
    Context {
        application: config.name.clone(),
        revision,
        installation,
        settings: config.settings.clone(),
        namespace: config.namespace.clone(),
        format: config.format,
    }
}

pub(super) fn trouble(error: &crate::git::Error) -> Trouble {
    Trouble { class: error.class(), messages: chain(error), hint: error.hint() }
}

/// Returns an error and its causes, outermost first.
pub(super) fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        messages.push(cause.to_string());
        source = cause.source();
    }
    messages
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::agent::new_app;
    use crate::desired::{Layout, OnFailure};
    use crate::git::Location;
    use crate::hash::Key;
    use crate::manifest::{Format, Tree, build};
    use crate::name::{Kind, Name, ObjectId};
    use crate::observed::{Failed, Record, Traffic};
    use crate::plan::change::digest;
    use crate::time::Time;

    fn name(text: &str) -> Name {
        Name::try_from(text).expect("a name")
    }

    fn desired(revision: &str, mode: Mode) -> Arc<Desired> {
        let layout = Layout::new("10.64.0.0/16".parse().expect("a network")).expect("a /16");
        let installation = Installation { owner: name("o1"), domain: "cluster.local".to_owned(), layout, key: Key::new([7; 32]) };
        let mut settings = crate::desired::Settings { mode, ..Default::default() };
        settings.on_failure = OnFailure::Rollback;
        let context = Context {
            application: name("shop"),
            revision: revision.to_owned(),
            installation,
            settings,
            namespace: name("shop"),
            format: Format::Auto,
        };
        // What a revision asks for differs from one to the next.
        let manifest = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: {revision} }}\nspec: {{ selector: {{ app: web }}, ports: [{{ port: 80 }}] }}\n"
        );
        Arc::new(build(&Tree::of([("app.yaml", manifest.as_str())]), &context).expect("it has no errors"))
    }

    fn app(record: Record) -> App {
        let config = Application::new("shop", Location::Folder("/nowhere".into())).expect("a name");
        let source = Source::new(Path::new("/nowhere/state"), config.location.clone(), config.auth.clone());
        new_app(config, source, 0, Reconciler::new(record, Traffic::default(), Time(0)))
    }

    fn read(desired: &Arc<Desired>) -> Loaded {
        let revision = Revision { id: desired.revision.clone(), summary: String::new(), committed: None };
        Loaded::Read { revision, findings: Vec::new(), desired: Some(desired.clone()), print: None, external: String::new() }
    }

    fn trouble() -> Trouble {
        Trouble { class: Class::Host, messages: vec!["gone".to_owned()], hint: None }
    }

    const HEAD: Wanted = Wanted::Head;

    fn kept(app: &App) -> Result<Option<String>, String> {
        app.kept().map(|kept| kept.map(|kept| kept.revision.clone()))
    }

    /// `r1` was healthy, `r2` is the head and has failed.
    fn failed() -> App {
        let head = desired("r2", Mode::Auto);
        let object = ObjectId::new(name("shop"), Kind::Deployment, name("web"));
        let failed = Failed { revision: "r2".to_owned(), object, reason: "no".to_owned(), at: Time(0) };
        let failed = BTreeMap::from([(digest(&head), failed)]);
        let mut app = app(Record { healthy: vec!["r1".to_owned()], failed, ..Record::default() });
        app.take(&HEAD, read(&head));
        app
    }

    #[test]
    fn a_revision_that_cannot_be_loaded_is_tried_again_only_after_the_next_look() {
        let mut app = failed();
        let earlier = Wanted::Earlier("r1".to_owned());
        assert_eq!(kept(&app), Err("r1".to_owned()));
        assert!(app.served().is_none(), "what is published stays until it is loaded");
        app.take(&earlier, Loaded::Failed(trouble()));
        assert_eq!(kept(&app), Ok(Some("r2".to_owned())));
        assert_eq!(app.rolled_back(), None, "nobody went back");
        app.take(&HEAD, Loaded::Unchanged);
        assert_eq!(kept(&app), Err("r1".to_owned()));
        app.take(&earlier, read(&desired("r1", Mode::Auto)));
        assert_eq!(kept(&app), Ok(Some("r1".to_owned())));
        assert_eq!(app.rolled_back(), Some("web: no".to_owned()));
    }

    #[test]
    fn an_earlier_revision_that_is_refused_is_not_taken_for_the_head() {
        let mut app = failed();
        let revision = Revision { id: "r1".to_owned(), summary: String::new(), committed: None };
        app.take(
            &Wanted::Earlier("r1".to_owned()),
            Loaded::Read { revision, findings: Vec::new(), desired: None, print: None, external: String::new() },
        );
        assert!(app.refused.is_none());
        assert_eq!((app.last_seen(), kept(&app)), (Some("r2"), Ok(Some("r2".to_owned()))));
    }

    #[test]
    fn what_stays_is_said_together_with_why_git_is_not_heard() {
        let mut app = app(Record::default());
        let revision = Revision { id: "r1".to_owned(), summary: String::new(), committed: None };
        let findings = vec![Finding::error("rule", crate::finding::Place::file("app.yaml"), "no")];
        app.take(&HEAD, Loaded::Read { revision, findings, desired: None, print: None, external: String::new() });
        app.take(&HEAD, Loaded::Failed(trouble()));
        assert_eq!(app.status(&BTreeMap::new()).message, "refused: 1 error in the manifests; gone");
        app.take(&HEAD, Loaded::Unchanged);
        assert_eq!(app.status(&BTreeMap::new()).message, "refused: 1 error in the manifests");
    }

    #[test]
    fn with_the_repository_and_the_mirror_gone_nothing_is_kept_and_nothing_is_tried() {
        let mut app = app(Record { healthy: vec!["r1".to_owned()], ..Record::default() });
        app.take(&HEAD, Loaded::Failed(trouble()));
        assert_eq!(kept(&app), Err("r1".to_owned()));
        app.take(&Wanted::Earlier("r1".to_owned()), Loaded::Failed(trouble()));
        assert_eq!(kept(&app), Ok(None));
        assert!(app.served().is_none());
    }

    #[test]
    fn a_commit_to_another_folder_moves_the_revision_and_nothing_else() {
        let mut app = app(Record::default());
        app.take(&HEAD, read(&desired("r1", Mode::Auto)));
        let revision = |id: &str| Revision { id: id.to_owned(), summary: String::new(), committed: None };
        assert!(!app.take(&HEAD, Loaded::Moved(revision("r2"))), "nothing has changed");
        assert_eq!((app.last_seen(), app.told("r1"), app.told("r0")), (Some("r2"), "r2", "r0"));
        assert_eq!(kept(&app), Ok(Some("r1".to_owned())));
        app.take(&HEAD, read(&desired("r3", Mode::Auto)));
        assert_eq!((app.last_seen(), app.told("r3")), (Some("r3"), "r3"));
    }

    #[test]
    fn in_mode_manual_an_unapproved_revision_is_never_served_for_a_moment() {
        let mut app = app(Record { healthy: vec!["r1".to_owned()], ..Record::default() });
        app.take(&HEAD, read(&desired("r1", Mode::Manual)));
        app.take(&HEAD, read(&desired("r2", Mode::Manual)));
        assert_eq!(app.served().map(|served| served.revision.clone()), Some("r1".to_owned()));
    }
}
