//! Hooks: a forge says that something was pushed, and the agent looks sooner.
//!
//! A call must be signed. What it says decides only whose source is looked at; what is there is then read
//! from Git as ever, so a call that is forged, repeated or late can change nothing.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use crate::agent::Standing;
use crate::git::path_name;
use crate::metric::Metric;
use crate::name::Name;
use crate::report::VERSION;

use super::Shared;
use super::api::{json, refusal, snapshot};
use super::secret::Secret;

/// The longest body, in bytes. Forges send a few kilobytes for a push.
pub(super) const LONGEST: usize = 2 * 1024 * 1024;
/// So many bodies are read at once.
pub(super) const AT_ONCE: usize = 8;
/// A body must be there within this time.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Who calls, and so how a call is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forge {
    Generic,
    GitHub,
    GitLab,
    Gitea,
}

impl Forge {
    fn parse(text: &str) -> Option<Forge> {
        match text {
            "generic" => Some(Forge::Generic),
            "github" => Some(Forge::GitHub),
            "gitlab" => Some(Forge::GitLab),
            "gitea" => Some(Forge::Gitea),
            _ => None,
        }
    }

    /// Tells whether a call is from somebody who knows the secret.
    fn is_signed(self, secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let signed = |signature: Option<&str>| signature.is_some_and(|signature| secret.signs(body, signature));
        match self {
            Forge::GitHub | Forge::Generic => signed(header("x-hub-signature-256").and_then(|value| value.strip_prefix("sha256="))),
            // Forgejo sends both names.
            Forge::Gitea => signed(header("x-gitea-signature").or_else(|| header("x-forgejo-signature"))),
            // GitLab shows the secret itself.
            Forge::GitLab => headers.get("x-gitlab-token").is_some_and(|token| secret.is(token.as_bytes())),
        }
    }
}

/// Takes a call.
pub(super) async fn hook(State(shared): State<Shared>, Path(forge): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let Some(known) = Forge::parse(&forge) else {
        return refusal(StatusCode::NOT_FOUND, "there are hooks for github, gitlab, gitea and generic");
    };
    let (result, answer) = match take(&shared, known, &headers, body).await {
        Ok(looked_at) => ("accepted", accepted(&looked_at)),
        Err((status, result, message)) => {
            tracing::warn!(forge, result, reason = message, "a hook was refused");
            (result, refusal(status, message))
        }
    };
    shared.view.metrics.count(Metric::Hooks, &[("forge", &forge), ("result", result)]);
    answer
}

type Refusal = (StatusCode, &'static str, &'static str);

async fn take(shared: &Shared, forge: Forge, headers: &HeaderMap, body: Body) -> Result<Vec<Name>, Refusal> {
    let Some(secret) = &shared.hook_secret else {
        return Err((StatusCode::NOT_FOUND, "off", "hooks are off: the agent was started without --hook-secret-file"));
    };
    let Ok(_turn) = shared.hooks.try_acquire() else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "busy", "too many calls at once"));
    };
    let body = match tokio::time::timeout(PATIENCE, to_bytes(body, LONGEST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err((StatusCode::PAYLOAD_TOO_LARGE, "too large", "the body is too long or broke off")),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "too slow", "the body did not come in time")),
    };
    if !forge.is_signed(secret, headers, &body) {
        return Err((StatusCode::UNAUTHORIZED, "unsigned", "the signature is missing or wrong"));
    }
    let snapshot = snapshot(shared);
    let all = snapshot.applications.iter();
    if forge == Forge::Generic {
        let wanted: Vec<Name> = all.map(|(name, _)| name.clone()).collect();
        wanted.iter().for_each(|name| (shared.view.look)(name));
        return Ok(wanted);
    }
    let malformed = (StatusCode::BAD_REQUEST, "malformed", "the body is not JSON; set the hook's content type to application/json");
    let said: Value = serde_json::from_slice(&body).map_err(|_| malformed)?;
    let paths = paths(&said);
    let is_meant = |standing: &Standing| {
        let named = standing.forge.as_ref().is_some_and(|forge| paths.contains(&path_name(forge)));
        named || is_at(&standing.repository, &paths)
    };
    let wanted: Vec<Name> = all.filter(|(_, standing)| is_meant(standing)).map(|(name, _)| name.clone()).collect();
    if let (Some(number), Some(call)) = (pull(&said), &shared.call) {
        wanted.iter().for_each(|name| call(name, number));
    }
    // A request that was merged is a push, too, and looking costs nothing.
    wanted.iter().for_each(|name| (shared.view.look)(name));
    Ok(wanted)
}

fn accepted(looked_at: &[Name]) -> Response {
    let mut response = json(format!("{}\n", serde_json::json!({ "version": VERSION, "applications": looked_at })));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// Returns the number of the pull request that a call of GitHub, Gitea or Forgejo is about.
fn pull(call: &Value) -> Option<u64> {
    call.get("pull_request").filter(|pull| pull.is_object())?;
    call.get("number")?.as_u64()
}

/// Returns the paths that a call gives its repository, as in `acme/shop`.
///
/// Hosts are left out: a forge often has another name outside than inside, and to look once too often
/// costs nothing.
fn paths(call: &Value) -> BTreeSet<String> {
    let said = |object: &str, field: &str| call.get(object).and_then(|object| object.get(field)).and_then(Value::as_str);
    let names = [said("repository", "full_name"), said("project", "path_with_namespace")];
    let urls = [said("repository", "clone_url"), said("project", "git_http_url")];
    let names = names.into_iter().flatten().map(path_name);
    names.chain(urls.into_iter().flatten().map(path_name)).filter(|path| path.contains('/')).collect()
}

/// Tells whether a repository is one of these: its location ends with one of the paths.
fn is_at(repository: &str, paths: &BTreeSet<String>) -> bool {
    let own = path_name(repository);
    paths.iter().any(|path| own == *path || own.strip_suffix(path.as_str()).is_some_and(|before| before.ends_with('/')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_call_says_is_read(
            field in "repository|project|pull_request|number",
            inner in "full_name|clone_url|path_with_namespace|git_http_url",
            text in ".{0,40}",
            number in any::<i64>(),
        ) {
            for value in [json!({ inner.clone(): text }), json!({ inner.clone(): number }), json!(text), json!(number), json!([text]), json!(null)] {
                let call = json!({ field.clone(): value });
                let named = paths(&call);
                prop_assert!(named.iter().all(|path| path.contains('/')));
                prop_assert!(pull(&call).is_none());
                let _ = is_at(&text, &named);
            }
        }
    }

    #[test]
    fn a_repository_is_known_by_its_path_whatever_its_host_is_called() {
        let github = paths(&json!({"repository": {"full_name": "Acme/Shop", "clone_url": "https://github.example/Acme/Shop.git"}}));
        assert_eq!(github, BTreeSet::from(["acme/shop".to_owned()]));
        for (repository, is) in [
            ("https://github.example/acme/shop.git", true),
            ("https://github.example/acme/shop", true),
            ("git@github.example:acme/shop.git", true),
            ("ssh://git@inside:2222/acme/shop.git/", true),
            ("/srv/git/acme/shop.git", true),
            ("https://github.example/acme/shopping.git", false),
            ("https://github.example/notacme/shop.git", false),
            ("https://github.example/shop.git", false),
            ("", false),
        ] {
            assert_eq!(is_at(repository, &github), is, "{repository}");
        }
        let gitlab = paths(&json!({"project": {"path_with_namespace": "a/b/c", "git_http_url": "https://host/forge/a/b/c.git"}}));
        assert_eq!(gitlab, BTreeSet::from(["a/b/c".to_owned(), "forge/a/b/c".to_owned()]));
        assert_eq!(paths(&json!({"repository": {"full_name": ""}, "project": 7})), BTreeSet::new());
    }
}
