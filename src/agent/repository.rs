//! One repository, however many applications are in it: it is looked at by one fetch for all of them.
//!
//! Whoever wants a look makes it due; looks that become due together are one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::config::Application;
use crate::desired::External;
use crate::git::{Auth, Fetched, Location, Revision, Source};
use crate::metric::{Metric, Metrics};
use crate::name::Name;

use super::application::{Trouble, trouble};
use super::external;

/// Where a repository is, and with what it is asked.
pub(super) type Place = (Location, Auth);

/// One repository.
pub(super) struct Repository {
    pub(super) at: Place,
    pub(super) source: Source,
    /// Its applications, by their places among the agent's.
    pub(super) applications: Vec<usize>,
    /// How often it is polled: as often as the application that wants it most often; zero means never.
    pub(super) interval: Duration,
    /// Somebody wants it to be looked at.
    pub(super) due: bool,
    /// It is being fetched.
    pub(super) fetching: bool,
}

/// What is asked of a repository for one application.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) application: Name,
    pub(super) reference: String,
    pub(super) path: String,
    /// The revision that was looked at last.
    pub(super) known: Option<String>,
    /// Where its external files are.
    pub(super) external: External,
}

/// What a repository has now for one application: the revision, the print of its folder if that has to be
/// compared, and the digest of its external files.
pub(super) type News = Result<(Revision, Option<String>, String), Trouble>;

/// Returns the repositories of some applications, and the place of each application's.
pub(super) fn group(applications: &[Application], open: impl Fn(&Location, &Auth) -> Source) -> (Vec<Repository>, Vec<usize>) {
    let mut places: BTreeMap<(&Location, &Auth), usize> = BTreeMap::new();
    let mut repositories: Vec<Repository> = Vec::new();
    let mut place_of = Vec::new();
    for (index, config) in applications.iter().enumerate() {
        let place = *places.entry((&config.location, &config.auth)).or_insert_with(|| {
            let source = open(&config.location, &config.auth);
            let at = (config.location.clone(), config.auth.clone());
            repositories.push(Repository { at, source, applications: Vec::new(), interval: Duration::ZERO, due: true, fetching: false });
            repositories.len() - 1
        });
        let repository = &mut repositories[place];
        repository.applications.push(index);
        if !config.interval.is_zero() && (repository.interval.is_zero() || config.interval < repository.interval) {
            repository.interval = config.interval;
        }
        place_of.push(place);
    }
    (repositories, place_of)
}

/// Looks at a repository for all who ask.
pub(super) async fn ask(source: &Source, asked: Vec<Asked>, metrics: &Metrics) -> Vec<(Asked, News)> {
    let began = Instant::now();
    let fetched = source.fetch_all(asked.iter().map(|asked| asked.reference.clone()).collect()).await;
    asked.iter().for_each(|asked| metrics.time(Metric::Fetch, &[("application", asked.application.as_str())], began.elapsed()));
    let fetched = match fetched {
        Ok(fetched) => fetched,
        Err(error) => {
            let trouble = trouble(&error);
            return asked.into_iter().map(|asked| (asked, Err(trouble.clone()))).collect();
        }
    };
    let prints = prints(source, &asked, &fetched).await;
    let news = |asked: Asked| {
        let news = match fetched.get(&asked.reference) {
            Some(Ok(revision)) => {
                let print = prints.get(&revision.id).and_then(|prints| prints.get(&asked.path)).cloned();
                Ok((revision.clone(), print, external::digest(&external::read(&asked.external))))
            }
            Some(Err(error)) => Err(trouble(error)),
            None => Err(Trouble::bug(format!("failed to look for `{}`", asked.reference))),
        };
        (asked, news)
    };
    asked.into_iter().map(news).collect()
}

/// Returns the prints of the folders that may have changed, by revision and path.
async fn prints(source: &Source, asked: &[Asked], fetched: &Fetched) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut wanted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for asked in asked {
        let Some(Ok(revision)) = fetched.get(&asked.reference) else { continue };
        if asked.known.as_ref().is_some_and(|known| *known != revision.id) {
            wanted.entry(&revision.id).or_default().insert(asked.path.clone());
        }
    }
    let mut prints = BTreeMap::new();
    for (revision, paths) in wanted {
        prints.insert(revision.to_owned(), source.prints(revision, paths).await);
    }
    prints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_of_one_repository_are_looked_at_together() {
        let application = |name: &str, repository: &str, seconds: u64| {
            let mut application = Application::new(name, Location::parse(repository).expect("a location")).expect("a name");
            application.interval = Duration::from_secs(seconds);
            application
        };
        let mut other = application("d", "https://git.example/shop.git", 10);
        other.auth.token_file = Some("/etc/token".into());
        let applications = [
            application("a", "https://git.example/shop.git", 0),
            application("b", "https://git.example/other.git", 0),
            application("c", "https://git.example/shop.git", 60),
            other,
            application("e", "https://git.example/shop.git", 30),
        ];
        let state = tempfile::tempdir().expect("a folder");
        let (repositories, places) = group(&applications, |location, auth| Source::new(state.path(), location.clone(), auth.clone()));
        assert_eq!(places, [0, 1, 0, 2, 0]);
        let seen: Vec<(Vec<usize>, u64)> = repositories.iter().map(|it| (it.applications.clone(), it.interval.as_secs())).collect();
        assert_eq!(seen, [(vec![0, 2, 4], 30), (vec![1], 0), (vec![3], 10)]);
    }
}
