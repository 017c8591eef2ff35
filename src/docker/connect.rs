//! Finds the engine as Docker's own client does, and checks that it can be used.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bollard::{API_DEFAULT_VERSION, ClientVersion};
use serde::Deserialize;

use crate::desired::Installation;
use crate::hash::sha256;

use super::address::Addresses;
use super::error::{During, Error};
use super::platform::Platform;
use super::watch::Watch;
use super::{Docker, Inner, image};

/// The oldest API that is spoken: Docker 20.10.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
/// How long an answer may take to begin, in seconds. Steps that wait on purpose allow themselves more.
const PATIENCE: u64 = 120;
const DEFAULT: &str = "unix:///var/run/docker.sock";

impl Docker {
    /// Connects to the engine that `url` names, or else `DOCKER_HOST`, or the context that Docker's
    /// client uses, or the usual socket.
    ///
    /// # Errors
    ///
    /// If nothing answers there, the socket may not be opened, or the engine is older than API 1.41.
    pub async fn connect(url: Option<&str>, installation: &Installation) -> Result<Docker, Error> {
        let url = url.map(str::to_owned).or_else(environment).or_else(context).unwrap_or_else(|| DEFAULT.to_owned());
        let client = open(&url)?;
        let client = client.negotiate_version().await.map_err(|error| refuse(&url, error))?;
        let version = client.client_version();
        if version < OLDEST {
            return Err(Error::TooOld { url, version: version.to_string() });
        }
        let info = client.info().await.during("ask", "the engine's name")?;
        let inner = Inner {
            client,
            url,
            platform: Platform::of_engine(info.os_type, info.architecture),
            host_name: info.name.unwrap_or_default(),
            installation: installation.clone(),
            addresses: Mutex::new(Addresses::new(installation.layout.replicas())),
            known_addresses: Mutex::default(),
            watch: Mutex::new(Watch::default()),
            making: tokio::sync::RwLock::default(),
            networks: tokio::sync::Mutex::new(()),
            pulls: Mutex::default(),
        };
        Ok(Docker { inner: Arc::new(inner), config: image::config_folder(), metrics: Arc::default() })
    }
}

fn open(url: &str) -> Result<bollard::Docker, Error> {
    if let Some(path) = url.strip_prefix("unix://") {
        // The client says no more than "error trying to connect"; the reason is worth a try of our own.
        match UnixStream::connect(path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(Error::Permission { url: url.to_owned() }),
            Err(error) => return Err(refuse(url, error)),
        }
        return bollard::Docker::connect_with_unix(url, PATIENCE, API_DEFAULT_VERSION).map_err(|error| refuse(url, error));
    }
    if url.starts_with("tcp://") || url.starts_with("http://") {
        return bollard::Docker::connect_with_http(url, PATIENCE, API_DEFAULT_VERSION).map_err(|error| refuse(url, error));
    }
    Err(Error::Scheme { url: url.to_owned() })
}

fn refuse(url: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Connect { url: url.to_owned(), source: Box::new(source) }
}

fn environment() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|url| !url.is_empty())
}

/// Returns the address of the context that Docker's client uses.
fn context() -> Option<String> {
    let folder = image::config_folder()?;
    let chosen = std::env::var("DOCKER_CONTEXT").ok().filter(|name| !name.is_empty());
    let name = chosen.or_else(|| read::<Config>(&folder.join("config.json"))?.current_context)?;
    if name == "default" {
        return None;
    }
    let meta = folder.join("contexts/meta").join(sha256(name.as_bytes())).join("meta.json");
    Some(read::<Meta>(&meta)?.endpoints.docker.host)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_form_is_refused() {
        assert!(matches!(open("ssh://host"), Err(Error::Scheme { .. })));
        let nowhere = open("unix:///nowhere/docker.sock");
        assert!(matches!(nowhere, Err(error @ Error::Connect { .. }) if error.hint().is_some()));
    }
}
