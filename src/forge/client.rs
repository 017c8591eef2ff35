//! The few calls to a forge: pull requests, one comment, commit statuses.
//!
//! GitHub and Gitea (with Forgejo) have the same calls; where they differ stands in [`Kind`]'s methods. The
//! token is read anew for each call, so that it can be replaced, and goes nowhere but into its header.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config;
pub use crate::config::ForgeKind as Kind;
use crate::desired::Secret;

use super::Error;

/// A forge that has not answered by then is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes: a page of the longest comments.
const LONGEST: usize = 16 << 20;
/// So many pages of comments or pull requests are looked through.
const MOST_PAGES: u32 = 20;

/// One repository at a forge.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    kind: Kind,
    web: String,
    repository: String,
    token_file: PathBuf,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// It can still be merged.
    pub open: bool,
    /// Its last commit.
    pub head: String,
    /// The branch that it goes to.
    pub branch: String,
    /// That branch is the repository's default.
    pub is_default: bool,
    /// It comes from another repository.
    pub fork: bool,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// Its id.
    pub id: u64,
    /// What it says.
    #[serde(default)]
    pub body: String,
}

/// What a commit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is on its way.
    Pending,
    /// It is good.
    Success,
    /// It is not.
    Failure,
}

impl State {
    /// Returns the forges' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Success => "success",
            State::Failure => "failure",
        }
    }
}

#[derive(Deserialize)]
struct PullAnswer {
    number: u64,
    state: String,
    head: Side,
    base: Side,
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref", default)]
    branch: String,
    sha: String,
    /// Gone with a fork that was removed.
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    default_branch: String,
}

impl Client {
    /// Returns the repository that an application's settings name.
    ///
    /// # Errors
    ///
    /// If this host cannot speak HTTPS at all.
    pub fn new(settings: &config::Forge) -> Result<Client, Error> {
        // A library that speaks TLS and chooses nothing asks for a choice; a second one changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            // A redirect would turn a change into a question, and take the token along.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("driftless/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| Error::Client { source })?;
        Ok(Client {
            http,
            kind: settings.kind,
            web: settings.url.trim_end_matches('/').to_owned(),
            repository: settings.repository.clone(),
            token_file: settings.token_file.clone(),
        })
    }

    /// Returns the repository, as in `acme/shop`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns what links to the files of a commit begin with.
    pub fn link(&self, commit: &str) -> String {
        let folder = match self.kind {
            Kind::GitHub => "blob",
            Kind::Gitea => "src/commit",
        };
        format!("{}/{}/{folder}/{commit}", self.web, self.repository)
    }

    /// Returns a pull request.
    pub async fn pull(&self, number: u64) -> Result<Pull, Error> {
        let what = format!("read pull request {number}");
        let answer: PullAnswer = self.call(&what, Method::GET, &format!("pulls/{number}"), None).await?;
        Ok(pull(answer))
    }

    /// Returns all open pull requests.
    pub async fn open_pulls(&self) -> Result<Vec<Pull>, Error> {
        let answers: Vec<PullAnswer> = self.pages("list open pull requests", "pulls?state=open").await?;
        Ok(answers.into_iter().map(pull).collect())
    }

    /// Returns the oldest comment on a pull request that begins with a marker.
    pub async fn comment_with(&self, number: u64, marker: &str) -> Result<Option<Comment>, Error> {
        let comments: Vec<Comment> =
            self.pages(&format!("list the comments of pull request {number}"), &format!("issues/{number}/comments?")).await?;
        Ok(comments.into_iter().filter(|comment| comment.body.starts_with(marker)).min_by_key(|comment| comment.id))
    }

    /// Posts a comment on a pull request.
    pub async fn comment(&self, number: u64, body: &str) -> Result<Comment, Error> {
        let what = format!("comment on pull request {number}");
        self.call(&what, Method::POST, &format!("issues/{number}/comments"), Some(json!({ "body": body }))).await
    }

    /// Replaces what a comment says; returns whether it is still there.
    pub async fn edit(&self, comment: u64, body: &str) -> Result<bool, Error> {
        let what = format!("edit comment {comment}");
        match self.call::<Value>(&what, Method::PATCH, &format!("issues/comments/{comment}"), Some(json!({ "body": body }))).await {
            Ok(_) => Ok(true),
            Err(Error::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the status of a commit.
    pub async fn status(&self, commit: &str, context: &str, state: State, description: &str) -> Result<(), Error> {
        let what = format!("set the status of commit {commit}");
        let body = json!({ "state": state.as_str(), "context": context, "description": description });
        self.call::<Value>(&what, Method::POST, &format!("statuses/{commit}"), Some(body)).await.map(drop)
    }

    /// Returns all pages of a list. `path` ends where another parameter can follow.
    async fn pages<T: DeserializeOwned>(&self, what: &str, path: &str) -> Result<Vec<T>, Error> {
        let size = match self.kind {
            Kind::GitHub => "per_page=100",
            Kind::Gitea => "limit=50",
        };
        let joint = if path.ends_with('?') { "" } else { "&" };
        let mut all = Vec::new();
        let mut first: Option<String> = None;
        for page in 1..=MOST_PAGES {
            let values: Vec<Value> = self.call(what, Method::GET, &format!("{path}{joint}{size}&page={page}"), None).await?;
            // Some versions know no pages of comments and answer all of them each time.
            let begins = values.first().map(Value::to_string);
            if values.is_empty() || (page > 1 && begins == first) {
                break;
            }
            first = first.or(begins);
            for value in values {
                all.push(serde_json::from_value(value).map_err(|error| self.unreadable(what, error.to_string()))?);
            }
        }
        Ok(all)
    }

    async fn call<T: DeserializeOwned>(&self, what: &str, method: Method, path: &str, body: Option<Value>) -> Result<T, Error> {
        let away = |source: reqwest::Error| Error::Away { what: what.to_owned(), forge: self.web.clone(), source: source.without_url() };
        let token = self.token()?;
        let api = match self.kind {
            Kind::GitHub if self.web == "https://github.com" => "https://api.github.com".to_owned(),
            Kind::GitHub => format!("{}/api/v3", self.web),
            Kind::Gitea => format!("{}/api/v1", self.web),
        };
        let scheme = match self.kind {
            Kind::GitHub => "Bearer",
            Kind::Gitea => "token",
        };
        let text = String::from_utf8_lossy(token.expose()).into_owned();
        let mut value = reqwest::header::HeaderValue::from_str(&format!("{scheme} {text}"))
            .map_err(|_| Error::NoToken { path: self.token_file.clone(), reason: "it has characters that no token has" })?;
        value.set_sensitive(true);
        let mut request = self.http.request(method, format!("{api}/repos/{}/{path}", self.repository)).header("authorization", value);
        request = request.header("accept", "application/json");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(away)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST {
                return Err(self.unreadable(what, format!("has more than {} MiB", LONGEST >> 20)));
            }
        }
        if !status.is_success() {
            return Err(self.refused(what, status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(what, format!("is not what was expected: {error}")))
    }

    fn token(&self) -> Result<Secret, Error> {
        let bytes = std::fs::read(&self.token_file).map_err(|source| Error::Token { path: self.token_file.clone(), source })?;
        match bytes.trim_ascii() {
            [] => Err(Error::NoToken { path: self.token_file.clone(), reason: "it is empty" }),
            token => Ok(Secret::new(token)),
        }
    }

    fn refused(&self, what: &str, status: StatusCode, body: &[u8]) -> Error {
        let said = serde_json::from_slice::<Value>(body).ok();
        let said = said.as_ref().and_then(|value| value.get("message")?.as_str()).unwrap_or_default();
        let message = match said {
            "" => status.canonical_reason().unwrap_or_default().to_owned(),
            said => said.chars().filter(|character| !character.is_control()).take(300).collect(),
        };
        Error::Refused { what: what.to_owned(), forge: self.web.clone(), status: status.as_u16(), message }
    }

    fn unreadable(&self, what: &str, reason: String) -> Error {
        Error::Answer { what: what.to_owned(), forge: self.web.clone(), reason }
    }
}

fn pull(answer: PullAnswer) -> Pull {
    let PullAnswer { number, state, head, base } = answer;
    let base_name = base.repo.as_ref().map(|repository| repository.full_name.as_str());
    // A head without a repository is that of a fork that is gone.
    let fork = head.repo.as_ref().is_none_or(|repository| Some(repository.full_name.as_str()) != base_name);
    let is_default = base.repo.as_ref().is_some_and(|repository| repository.default_branch == base.branch);
    Pull { number, open: state == "open", head: head.sha, branch: base.branch, is_default, fork }
}
