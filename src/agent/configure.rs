//! Another configuration while the agent works: applications that come, go and change.
//!
//! A configuration is taken whole or not at all, as a revision is. What goes on goes on without a break: the
//! reconciler of an application stays with its name, also while nobody has configured it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{Application, Configured};
use crate::desired::Settings;
use crate::git::Source;
use crate::host::Class;
use crate::name::Name;
use crate::observed::Traffic;
use crate::reconcile::Reconciler;

use super::application::{App, chain};
use super::protocol::Answer;
use super::repository::{self, Repository};
use super::share::Orphan;
use super::{Agent, Event, new_app, now};

impl Agent {
    /// Takes in a configuration, if it is a good one and another.
    pub(super) async fn configure(&mut self, configured: Configured) {
        let applications = match configured {
            Ok(applications) => applications,
            Err(wrong) if wrong == self.misconfigured => return,
            Err(wrong) => {
                tracing::error!(error = wrong.join("; "), "the configuration was refused; the last good one stays in force");
                self.failed(Class::User);
                self.misconfigured = wrong;
                return;
            }
        };
        if !std::mem::take(&mut self.misconfigured).is_empty() {
            tracing::info!("the configuration is right again");
        }
        let below = |application: Application| application.below(&self.options.state);
        let applications: Vec<Application> = applications.into_iter().map(below).collect();
        if self.configured != applications {
            self.reconfigure(applications).await;
        }
    }

    async fn reconfigure(&mut self, applications: Vec<Application>) {
        // What goes is kept on disk first: it may come back after a restart.
        for app in &mut self.apps {
            app.unsaved |= applications.iter().all(|application| application.name != app.config.name);
        }
        self.write(Instant::now()).await;
        let places = self.group(&applications);
        let before: BTreeMap<usize, Name> = self.apps.iter().enumerate().map(|(index, app)| (index, app.config.name.clone())).collect();
        let mut known: BTreeMap<Name, App> = std::mem::take(&mut self.apps).into_iter().map(|app| (app.config.name.clone(), app)).collect();
        for (config, place) in applications.iter().zip(places) {
            let source = self.repositories[place].source.clone();
            let app = match known.remove(&config.name) {
                Some(mut app) => {
                    (app.source, app.repository) = (source, place);
                    if app.config != *config {
                        tracing::info!(application = %config.name, "the application is configured anew");
                        change(&mut app, config.clone());
                    }
                    app
                }
                None => self.add(config.clone(), source, place).await,
            };
            self.apps.push(app);
        }
        known.into_values().for_each(|app| self.remove(app));
        self.tell_waiters(&before);
        // Who has what is settled anew before anything is planned or published.
        self.claims.clear();
        self.waits.clear();
        self.planned_with = None;
        self.configured = applications;
        self.watch_sources();
        self.stale = true;
    }

    /// Sorts the applications by repository, and returns the place of each one's. A fetch that runs goes on; all
    /// are looked at.
    fn group(&mut self, applications: &[Application]) -> Vec<usize> {
        let before = std::mem::take(&mut self.repositories);
        let known = |at: &repository::Place| before.iter().find(|repository| repository.at == *at);
        let (mut repositories, places) = repository::group(applications, |location, auth| {
            let at = (location.clone(), auth.clone());
            known(&at).map_or_else(|| Source::new(&self.options.state, at.0.clone(), at.1.clone()), |repository| repository.source.clone())
        });
        for repository in &mut repositories {
            repository.fetching = known(&repository.at).is_some_and(|repository| repository.fetching);
        }
        self.repositories = repositories;
        places
    }

    /// Watches all sources, as a running agent does.
    pub(super) fn watch_sources(&mut self) {
        let watched = |repository: &Repository| {
            let (sender, first) = (self.sender.clone(), self.apps.get(repository.applications[0])?.config.name.clone());
            Some(repository.source.watch(repository.interval, move || drop(sender.send(Event::Look(first.clone())))))
        };
        self.watches = self.repositories.iter().filter(|_| self.options.socket.is_some()).filter_map(watched).collect();
    }

    async fn add(&mut self, config: Application, source: Source, place: usize) -> App {
        tracing::info!(application = %config.name, "the application is configured");
        if let Some(index) = self.orphans.iter().position(|orphan| orphan.name == config.name) {
            let orphan = self.orphans.remove(index);
            return App { restored: true, ..new_app(config, source, place, orphan.reconciler) };
        }
        let record = self.store.load(&config.name).await.unwrap_or_else(|error| {
            tracing::error!(application = %config.name, error = %chain(&error).join(": "), "its record cannot be read; it begins with none");
            Default::default()
        });
        new_app(config, source, place, Reconciler::new(record, Traffic::default(), now()))
    }

    /// Lets go of an application: what runs of it is left running and served on. Calls to the engine that are under
    /// way are carried out by it, as when the agent ends.
    fn remove(&mut self, app: App) {
        let name = app.config.name;
        self.running.retain(|(other, _), task| {
            let stays = *other != name;
            if !stays {
                task.abort();
            }
            stays
        });
        let observed = app.reconciler.observed();
        let reconciler = Reconciler::new(observed.record.clone(), observed.traffic.clone(), now());
        tracing::warn!(application = %name, "the application is no longer configured; what runs of it is left running and served on");
        self.orphans.push(Orphan { name, reconciler });
    }

    /// Whoever waits for an application goes on waiting at its new place; if it is gone, there is nothing to wait for.
    fn tell_waiters(&mut self, before: &BTreeMap<usize, Name>) {
        let after: BTreeMap<&Name, usize> = self.apps.iter().enumerate().map(|(index, app)| (&app.config.name, index)).collect();
        self.waiters.retain_mut(|waiter| {
            let moved = waiter.applications.iter().map(|(index, looks)| {
                let name = &before[index];
                after.get(name).map(|index| (*index, *looks)).ok_or(name)
            });
            match moved.collect::<Result<Vec<_>, _>>() {
                Ok(moved) => {
                    waiter.applications = moved;
                    true
                }
                Err(name) => {
                    let messages = vec![format!("application `{name}` is no longer configured")];
                    let hint = Some("what runs of it is left running".to_owned());
                    let _ = waiter.reply.send(Answer::Error { class: Class::User, messages, hint });
                    false
                }
            }
        });
    }
}

/// Gives an application another configuration. How it is kept holds at once, also while its repository is away;
/// what it asks for follows with the next look.
fn change(app: &mut App, config: Application) {
    let new = &config.settings;
    for desired in [&mut app.head, &mut app.earlier].into_iter().flatten() {
        let desired = Arc::make_mut(desired);
        let compose = desired.settings.compose.clone();
        desired.settings = Settings { compose, ..new.clone() };
    }
    app.config = config;
    (app.reread, app.touched) = (true, true);
}
