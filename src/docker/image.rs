//! Pulls images, with the credentials that Docker's own client would use.
//!
//! Credentials come from `config.json` only; credential helpers are programs of other people and are
//! not run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::desired::{Desired, Protocol, Secret};
use crate::host::Class;
use crate::time::format_duration;

use super::error::{During, Error, status, text};
use super::{Docker, Inner, answer, platform};

/// So long may a registry send nothing. Lines come for every piece of a layer, and while it is extracted.
const STALLED: Duration = Duration::from_secs(5 * 60);

impl Docker {
    /// Looks for credentials of registries in this folder instead of where Docker's client keeps them.
    #[must_use]
    pub fn with_config(self, folder: PathBuf) -> Self {
        Docker { config: Some(folder), ..self }
    }

    pub(super) async fn pull(&self, image: &str, desired: &Desired) -> Result<(), Error> {
        let (repository, tag) = split(image);
        if image.contains('@') && self.timed("inspect_image", self.inner.client.inspect_image(image)).await.is_ok() {
            return Ok(());
        }
        let mut client = self.inner.client.clone();
        // As in Kubernetes, those of the application come first.
        let own = desired.logins.get(image).into_iter().flatten().find_map(|login| own_credentials(login, repository));
        let source = if own.is_some() { "`imagePullSecrets`" } else { "Docker's `config.json`" };
        let header = own.or_else(|| credentials(self.config.as_deref()?, repository));
        let known = header.is_some().then_some(source);
        if let Some(header) = header {
            // The client's own encoding of this header is not the URL-safe one, which the engine
            // takes for no credentials at all.
            client = client.with_request_modifier(move |mut request| {
                request.headers_mut().insert("X-Registry-Auth", header.clone());
                request
            });
        }
        let uses = desired.workloads.values().filter(|workload| workload.template.containers.iter().any(|it| it.image == image));
        let platform = uses.filter_map(|workload| workload.template.options.platform.clone()).next().unwrap_or_default();
        let (from_image, tag) = (Some(repository.to_owned()), Some(tag.to_owned()));
        let options = CreateImageOptions { from_image, tag, platform, ..CreateImageOptions::default() };
        let running = Running::begin(&self.inner, image);
        let mut progress = client.create_image(Some(options), None, None);
        while let Some(line) = moved(progress.next(), STALLED, image).await? {
            let line = line.map_err(|error| refused(image, known, error))?;
            tracing::debug!(image, layer = line.id, status = line.status, "pulling");
            running.take(line);
        }
        let pulled = self.timed("inspect_image", self.inner.client.inspect_image(image)).await.during("pull", image)?;
        self.inner.watch().pulled(image, pulled.id.unwrap_or_default());
        Ok(())
    }

    /// Returns the ports that an image declares; `None` if the host does not have it.
    ///
    /// # Errors
    ///
    /// If the engine does not answer.
    pub async fn exposed(&self, image: &str) -> Result<Option<BTreeSet<(u16, Protocol)>>, Error> {
        let found = match self.timed("inspect_image", self.inner.client.inspect_image(image)).await {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(error).during("inspect", image),
        };
        let ports = found.config.and_then(|config| config.exposed_ports).unwrap_or_default();
        Ok(Some(ports.iter().filter_map(|port| answer::port(port)).collect()))
    }

    /// Returns how far each running pull is, by image, in words.
    pub fn pulling(&self) -> BTreeMap<String, String> {
        self.inner.pulls().iter().map(|(image, layers)| (image.clone(), layers.to_string())).collect()
    }
}

/// The layers of an image that is pulled: bytes that are here, and bytes in all.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers(BTreeMap<String, (u64, u64)>);

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum = |part: fn(&(u64, u64)) -> u64| self.0.values().map(part).sum::<u64>();
        let megabytes = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
        match sum(|layer| layer.1) {
            0 => f.write_str("is being pulled"),
            total => write!(f, "is being pulled: {} of {} MB", megabytes(sum(|layer| layer.0)), megabytes(total)),
        }
    }
}

/// A pull while it runs; also one that is cancelled is no longer told of.
struct Running<'a> {
    inner: &'a Inner,
    image: &'a str,
}

impl<'a> Running<'a> {
    fn begin(inner: &'a Inner, image: &'a str) -> Self {
        inner.pulls().insert(image.to_owned(), Layers::default());
        Running { inner, image }
    }

    /// Takes in one line of the engine's progress. Sizes are told while a layer is downloaded; its
    /// extraction counts once more from zero and is left out.
    fn take(&self, line: CreateImageInfo) {
        let (Some(layer), Some(detail), Some("Downloading")) = (line.id, line.progress_detail, line.status.as_deref()) else { return };
        let bytes = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
        if let Some(layers) = self.inner.pulls().get_mut(self.image) {
            layers.0.insert(layer, (bytes(detail.current), bytes(detail.total)));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inner.pulls().remove(self.image);
    }
}

/// Waits for the next line of a pull, but not for ever: a registry that hangs is given up and tried again later.
async fn moved<T>(line: impl Future<Output = T>, limit: Duration, image: &str) -> Result<T, Error> {
    let late = |_| {
        let reason = format!("registry `{}` has sent nothing for {}", host(image), format_duration(limit));
        Error::refused(Class::Waiting, "pull", image, reason)
    };
    tokio::time::timeout(limit, line).await.map_err(late)
}

/// Says what is wrong with credentials; the engine has a dozen ways to put it, and none names the file.
fn refused(image: &str, known: Option<&str>, error: bollard::errors::Error) -> Error {
    if let Some(reason) = platform::not_for(image, &text(&error)) {
        return Error::refused(Class::Waiting, "pull", image, reason);
    }
    let said = text(&error).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // A registry that keeps to itself what it has says that an image is not there, or denies it.
    if says(&["does not exist"]) || !says(&["unauthorized", "authentication required", "no basic auth", "denied", "incorrect username"]) {
        return Error::Call { operation: "pull", object: image.to_owned(), source: error };
    }
    let host = host(image);
    let reason = match known {
        Some(source) => {
            format!("registry `{host}` refuses the credentials that {source} has for it: renew them, or see what they may read")
        }
        None => format!(
            "registry `{host}` asks for credentials, and neither `imagePullSecrets` nor Docker's `config.json` has any for it: give them with \
             `docker login {host}`"
        ),
    };
    Error::refused(Class::Waiting, "pull", image, reason)
}

/// Returns the registry that an image comes from, as people name it.
fn host(image: &str) -> &str {
    match registry(image) {
        "https://index.docker.io/v1/" => "docker.io",
        host => host,
    }
}

/// Splits a name into repository and tag or digest. Without either it is `latest`: the engine would
/// pull every tag there is.
fn split(image: &str) -> (&str, &str) {
    if image.contains('@') {
        return (image, "");
    }
    match image.rsplit_once(':') {
        // A `/` behind it makes it a port.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (image, "latest"),
    }
}

/// Returns the registry that an image comes from, as `config.json` names it.
fn registry(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "docker.io" | "index.docker.io" => "https://index.docker.io/v1/",
            other => other,
        },
        _ => "https://index.docker.io/v1/",
    }
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// Returns the credentials that the application itself brings along.
fn own_credentials(login: &Secret, repository: &str) -> Option<HeaderValue> {
    header(&serde_json::from_slice::<Config>(login.expose()).ok()?, registry(repository))
}

fn credentials(folder: &Path, repository: &str) -> Option<HeaderValue> {
    let text = std::fs::read_to_string(folder.join("config.json")).ok()?;
    header(&serde_json::from_str::<Config>(&text).ok()?, registry(repository))
}

fn header(config: &Config, registry: &str) -> Option<HeaderValue> {
    let login = config.auths.get(registry).or_else(|| config.auths.get(&format!("https://{registry}")))?;
    let decoded = match (&login.auth, &login.username, &login.password) {
        (Some(auth), ..) => String::from_utf8(STANDARD.decode(auth).ok()?).ok()?,
        (None, Some(username), Some(password)) => format!("{username}:{password}"),
        _ => return None,
    };
    let (username, password) = decoded.split_once(':')?;
    let value = match &login.identitytoken {
        Some(token) => serde_json::json!({ "identitytoken": token, "serveraddress": registry }),
        None => serde_json::json!({ "username": username, "password": password.trim_end_matches('\0'), "serveraddress": registry }),
    };
    let mut header = HeaderValue::from_str(&URL_SAFE.encode(value.to_string())).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Returns where Docker's client keeps its settings.
pub(super) fn config_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_pull_is_counts_all_layers() {
        let mut layers = Layers::default();
        assert_eq!(layers.to_string(), "is being pulled");
        layers.0.insert("a".to_owned(), (1_500_000, 3_000_000));
        layers.0.insert("b".to_owned(), (0, 40_200_000));
        assert_eq!(layers.to_string(), "is being pulled: 1.5 of 43.2 MB");
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_hangs_is_given_up() {
        let error = moved(std::future::pending::<()>(), STALLED, "ghcr.io/a/b:1").await.expect_err("nothing comes");
        assert_eq!(error.to_string(), "failed to pull `ghcr.io/a/b:1`: registry `ghcr.io` has sent nothing for 5m");
        assert_eq!(error.class(), Class::Waiting);
        assert_eq!(moved(async { 1 }, STALLED, "a").await.ok(), Some(1));
    }

    #[test]
    fn credentials_that_are_missing_or_wrong_are_named() {
        let said = |message: &str, known: bool| {
            let known = known.then_some("Docker's `config.json`");
            let error = bollard::errors::Error::DockerResponseServerError { status_code: 500, message: message.to_owned() };
            refused("web:1", known, error).to_string()
        };
        assert!(said("Head x: no basic auth credentials", false).contains("registry `docker.io` asks for credentials"));
        assert!(said("Head x: unauthorized: authentication required", true).contains("refuses the credentials"));
        // Whether it is there is then the question, not who asks.
        assert_eq!(
            said("pull access denied for web, repository does not exist or may require 'docker login'", false),
            "failed to pull `web:1`"
        );
        assert_eq!(said("manifest unknown", false), "failed to pull `web:1`");
    }

    #[test]
    fn a_name_without_tag_is_latest() {
        assert_eq!(split("nginx"), ("nginx", "latest"));
        assert_eq!(split("nginx:1.25"), ("nginx", "1.25"));
        assert_eq!(split("localhost:5000/web"), ("localhost:5000/web", "latest"));
        assert_eq!(split("localhost:5000/web:2"), ("localhost:5000/web", "2"));
        assert_eq!(split("web:2@sha256:ab"), ("web:2@sha256:ab", ""));
    }

    #[test]
    fn credentials_are_found_by_registry() {
        assert_eq!(registry("nginx"), "https://index.docker.io/v1/");
        assert_eq!(registry("library/nginx"), "https://index.docker.io/v1/");
        assert_eq!(registry("ghcr.io/a/b"), "ghcr.io");
        let config: Config = serde_json::from_str(r#"{"auths": {"ghcr.io": {"auth": "YTpiOmM="}}}"#).expect("valid JSON");
        let header = header(&config, "ghcr.io").expect("credentials");
        let value = URL_SAFE.decode(header.as_bytes()).expect("base64");
        assert_eq!(String::from_utf8_lossy(&value), r#"{"password":"b:c","serveraddress":"ghcr.io","username":"a"}"#);
    }
}
