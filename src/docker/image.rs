//! Pulls images, with the credentials that Docker's own client would use.
//!
//! Credentials come from `config.json` only; credential helpers are programs of other people and are
//! not run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::Docker;
use super::error::{During, Error};

impl Docker {
    pub(super) async fn pull(&self, image: &str) -> Result<(), Error> {
        let (repository, tag) = split(image);
        if image.contains('@') && self.inner.client.inspect_image(image).await.is_ok() {
            return Ok(());
        }
        let mut client = self.inner.client.clone();
        if let Some(header) = credentials(repository) {
            // The client's own encoding of this header is not the URL-safe one, which the engine
            // takes for no credentials at all.
            client = client.with_request_modifier(move |mut request| {
                request.headers_mut().insert("X-Registry-Auth", header.clone());
                request
            });
        }
        let options =
            CreateImageOptions { from_image: Some(repository.to_owned()), tag: Some(tag.to_owned()), ..CreateImageOptions::default() };
        let mut progress = client.create_image(Some(options), None, None);
        while let Some(line) = progress.next().await {
            let line = line.during("pull", image)?;
            tracing::debug!(image, layer = line.id, status = line.status, "pulling");
        }
        let pulled = self.inner.client.inspect_image(image).await.during("pull", image)?;
        self.inner.watch().pulled(image, pulled.id.unwrap_or_default());
        Ok(())
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
    identitytoken: Option<String>,
}

fn credentials(repository: &str) -> Option<HeaderValue> {
    let text = std::fs::read_to_string(config_folder()?.join("config.json")).ok()?;
    header(&serde_json::from_str::<Config>(&text).ok()?, registry(repository))
}

fn header(config: &Config, registry: &str) -> Option<HeaderValue> {
    let login = config.auths.get(registry).or_else(|| config.auths.get(&format!("https://{registry}")))?;
    let decoded = String::from_utf8(STANDARD.decode(login.auth.as_deref()?).ok()?).ok()?;
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
