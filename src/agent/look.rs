//! Looking at sources: fetching, checking, and what follows from a new revision.

use std::collections::BTreeSet;

use crate::config::Application;
use crate::git::Revision;
use crate::host::{Class, Failure, Step};
use crate::name::Name;
use crate::report::word::{finding_line, short};

use super::application::{self, Loaded, Wanted};
use super::repository::{self, Asked, News, Place};
use super::{Agent, Event};

impl Agent {
    /// Returns the place of an application; `None` if it is not configured any more.
    pub(super) fn index_of(&self, name: &Name) -> Option<usize> {
        self.apps.iter().position(|app| app.config.name == *name)
    }

    /// Takes note that the source of an application is to be looked at.
    pub(super) fn look(&mut self, index: usize) {
        if let Some(app) = self.apps.get(index) {
            self.repositories[app.repository].due = true;
        }
    }

    /// Begins to look at the repositories that are due, each by one fetch for all its applications.
    pub(super) fn look_at_due(&mut self) {
        for repository in self.repositories.iter_mut().filter(|repository| repository.due && !repository.fetching) {
            (repository.due, repository.fetching) = (false, true);
            self.fetches += 1;
            let number = self.fetches;
            let asked = repository.applications.iter().filter_map(|index| self.apps.get(*index)).map(|app| Asked {
                application: app.config.name.clone(),
                reference: app.config.reference.clone(),
                path: app.config.path.clone(),
                known: app.last_seen().map(str::to_owned),
                external: app.config.settings.compose.external.clone(),
            });
            let (asked, at): (Vec<Asked>, Place) = (asked.collect(), repository.at.clone());
            let (source, sender, metrics) = (repository.source.clone(), self.sender.clone(), self.metrics.clone());
            tokio::spawn(async move {
                let news = repository::ask(&source, asked, &metrics).await;
                let _ = sender.send(Event::Fetched(at, number, news));
            });
        }
    }

    /// Takes in what a repository has now. Only applications whose folder or external files have changed are
    /// read again.
    pub(super) fn fetched(&mut self, at: Place, number: u64, news: Vec<(Asked, News)>) {
        // Nobody may want it any more.
        let Some(place) = self.repositories.iter().position(|repository| repository.at == at) else { return };
        self.repositories[place].fetching = false;
        for (asked, news) in news {
            let Some(index) = self.index_of(&asked.application) else { continue };
            let app = &mut self.apps[index];
            if (app.repository, &app.config.reference, &app.config.path) != (place, &asked.reference, &asked.path) {
                // It was configured anew meanwhile.
                self.look(index);
                continue;
            }
            let idle = app.loading.is_none();
            let found = news.as_ref().ok().map(|(revision, _, files)| (revision.id.clone(), files.clone()));
            // Two that are read at each fetch would otherwise make each other be looked at without end.
            let is_being_read = !idle && !app.reread && found.is_some() && app.reading == found;
            if idle || is_being_read || news.is_err() {
                app.fetch = number;
            }
            match news {
                Err(trouble) => self.loaded(index, &Wanted::Head, Loaded::Failed(trouble)),
                Ok(_) if is_being_read => {}
                // What is being read may be from before.
                Ok(_) if app.loading.is_some() => app.look_again = true,
                Ok((revision, ..)) if app.reread => self.load(index, Wanted::Head, revision),
                Ok((revision, _, files)) if files != app.external => self.load(index, Wanted::Head, revision),
                Ok((revision, ..)) if app.is_denied() => self.load(index, Wanted::Head, revision),
                Ok((revision, ..)) if app.last_seen() == Some(&revision.id) => self.loaded(index, &Wanted::Head, Loaded::Unchanged),
                Ok((revision, print, _)) if print.is_some() && print == app.print => {
                    self.loaded(index, &Wanted::Head, Loaded::Moved(revision));
                }
                Ok((revision, ..)) => self.load(index, Wanted::Head, revision),
            }
            if let Some(app) = self.apps.get_mut(index).filter(|app| idle && app.loading == Some(Wanted::Head)) {
                app.reading = found;
            }
        }
    }

    pub(super) fn load(&mut self, index: usize, wanted: Wanted, revision: Revision) {
        let Some(app) = self.apps.get_mut(index) else { return };
        if app.loading.is_some() {
            return;
        }
        app.loading = Some(wanted.clone());
        let (configured, source, installation) = (Box::new(app.config.clone()), app.source.clone(), self.options.installation.clone());
        let mut config = Application::clone(&configured);
        // What was taken before runs: policies that came later must not keep it from being looked after.
        config.policy.taken = matches!(wanted, Wanted::Earlier(_));
        let (sender, loads, docker) = (self.sender.clone(), self.loads.clone(), self.docker.clone());
        tokio::spawn(async move {
            let _turn = loads.acquire_owned().await;
            let loaded = application::load(config, source, (installation, docker), revision).await;
            let _ = sender.send(Event::Loaded(configured, wanted, loaded));
        });
    }

    /// Takes in a revision that was loaded, unless its application was configured anew meanwhile.
    pub(super) fn loaded_for(&mut self, configured: &Application, wanted: &Wanted, loaded: Loaded) {
        let Some(index) = self.index_of(&configured.name) else { return };
        let app = &mut self.apps[index];
        if app.config == *configured {
            return self.loaded(index, wanted, loaded);
        }
        (app.loading, app.reading) = (None, None);
        self.look(index);
    }

    pub(super) fn loaded(&mut self, index: usize, wanted: &Wanted, loaded: Loaded) {
        let Some(app) = self.apps.get_mut(index) else { return };
        if app.loading.as_ref() == Some(wanted) {
            (app.loading, app.reading) = (None, None);
        }
        let name = app.config.name.clone();
        let failed = if let Loaded::Failed(trouble) = &loaded { Some(trouble.class) } else { None };
        let event = match &loaded {
            Loaded::Read { revision, findings, desired: None, .. } if matches!(wanted, Wanted::Earlier(_)) => {
                tracing::error!(application = %name, revision = short(&revision.id), findings = findings.len(), "an earlier revision was good once and is refused now; what runs is left as it is");
                None
            }
            Loaded::Read { revision, findings, desired: None, .. } if app.is_refused_for(&revision.id, findings) => None,
            Loaded::Read { revision, findings, desired: None, .. } => {
                tracing::error!(application = %name, revision = short(&revision.id), findings = findings.len(), "the revision was refused; the last good one runs on");
                let lines: Vec<String> = findings.iter().map(finding_line).collect();
                Some((revision.id.clone(), "refused", lines.join("\n")))
            }
            Loaded::Read { revision, .. } if *wanted == Wanted::Head && app.last_seen() == Some(revision.id.as_str()) => {
                tracing::info!(application = %name, "read again: a file of `secretsFolder` has changed, or an image was looked at");
                None
            }
            Loaded::Read { revision, .. } if *wanted == Wanted::Head => {
                tracing::info!(application = %name, revision = short(&revision.id), summary = revision.summary, "a new revision");
                Some((revision.id.clone(), "revision", revision.summary.clone()))
            }
            Loaded::Failed(trouble) if app.trouble.as_ref() != Some(trouble) => {
                tracing::error!(application = %name, error = trouble.messages.join(": "), "the repository cannot be read; the last good revision runs on");
                None
            }
            _ => None,
        };
        let changed = app.take(wanted, loaded);
        if app.loading.is_none() && std::mem::take(&mut app.look_again) {
            self.look(index);
        }
        if let Some(class) = failed {
            self.failed(class);
        }
        if changed {
            self.cancel_pulls(index);
        }
        if let Some((revision, kind, message)) = event {
            self.append(index, revision, kind, message);
        }
    }

    /// Ends pulls of images that nobody wants any more: a newer revision pre-empts.
    fn cancel_pulls(&mut self, index: usize) {
        let Some(app) = self.apps.get(index) else { return };
        let wanted: BTreeSet<&str> = [&app.head, &app.earlier]
            .into_iter()
            .flatten()
            .flat_map(|desired| desired.workloads.values())
            .flat_map(|workload| workload.template.containers.iter().map(|container| container.image.as_str()))
            .collect();
        let unwanted: Vec<String> = self
            .running
            .keys()
            .filter(|(other, key)| *other == app.config.name && key.strip_prefix("Image/").is_some_and(|image| !wanted.contains(image)))
            .map(|(_, key)| key.clone())
            .collect();
        let name = app.config.name.clone();
        for key in unwanted {
            if let Some(handle) = self.running.remove(&(name.clone(), key.clone())) {
                handle.abort();
            }
            let step = Step::Pull { image: key.trim_start_matches("Image/").to_owned() };
            self.finish(
                &name,
                &step,
                Err(Failure { class: Class::Waiting, message: "the pull was cancelled: a newer revision does not want it".to_owned() }),
            );
        }
    }
}
