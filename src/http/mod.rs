//! Hooks, badges, the API, metrics and the status page. It reads values of the agent's last turn and decides
//! nothing: no request makes the agent touch the host, and a hook only makes it look at Git sooner.
//!
//! `/healthz`, badges and `/metrics` are for everybody who reaches the address; page and API are for this
//! host, or for those who know the token; hooks for those who know the secret.

mod access;
mod api;
mod connection;
mod error;
mod hook;
mod page;
mod public;
mod secret;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::agent::View;
use crate::name::Name;

use connection::{Bounded, Peer};
use secret::Secret;

pub use error::Error;

/// Where it listens, and which files hold its secrets.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address; port 0 is any that is free.
    pub address: SocketAddr,
    /// The secret of hooks; without it there are none.
    pub hook_secret_file: Option<PathBuf>,
    /// The token for page and API; without it only this host may read them.
    pub api_token_file: Option<PathBuf>,
}

/// A server that has its address and is not answering yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    hook_secret: Option<Secret>,
    api_token: Option<Secret>,
}

/// A server that answers until this is dropped.
#[derive(Debug)]
#[must_use = "the server ends when this is dropped"]
pub struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is told that something happened to a pull request of an application.
pub type Call = Arc<dyn Fn(&Name, u64) + Send + Sync>;

/// What every request is answered from.
#[derive(Clone)]
struct Shared {
    view: View,
    call: Option<Call>,
    hook_secret: Option<Arc<Secret>>,
    api_token: Option<Arc<Secret>>,
    /// Bodies of hooks are read a few at a time, so that strangers cannot fill the memory.
    hooks: Arc<Semaphore>,
}

impl Server {
    /// Takes the address and reads the secrets.
    ///
    /// # Errors
    ///
    /// If the address is taken, or a file cannot be read or holds nothing.
    pub async fn bind(options: &Options) -> Result<Server, Error> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(Secret::read).transpose();
        let (hook_secret, api_token) = (read(&options.hook_secret_file)?, read(&options.api_token_file)?);
        let failed = |source| Error::Bind { address: options.address, source };
        let listener = TcpListener::bind(options.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Server { listener, address, hook_secret, api_token })
    }

    /// Returns the address that it has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to answer from what a running agent shows. `call` is told of pull requests that a hook names.
    pub fn start(self, view: View, call: Option<Call>) -> Running {
        tracing::info!(address = %self.address, hooks = self.hook_secret.is_some(), "HTTP is answered");
        let shared = Shared {
            view,
            call,
            hook_secret: self.hook_secret.map(Arc::new),
            api_token: self.api_token.map(Arc::new),
            hooks: Arc::new(Semaphore::new(hook::AT_ONCE)),
        };
        let service = router(shared).into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(Bounded::new(self.listener), service);
        Running(tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "HTTP is no longer answered");
            }
        }))
    }
}

fn router(shared: Shared) -> Router {
    let guarded = Router::new()
        .route("/", get(page::page))
        .route("/api/v1/applications", get(api::applications))
        .route("/api/v1/applications/{application}", get(api::application))
        .route("/api/v1/applications/{application}/plan", get(api::plan))
        .route("/api/v1/applications/{application}/drift", get(api::drift))
        .route("/api/v1/applications/{application}/history", get(api::history))
        .route("/api/v1/events", get(api::events))
        .route_layer(middleware::from_fn_with_state(shared.clone(), access::check));
    Router::new()
        .merge(guarded)
        .route("/healthz", get(public::healthz))
        .route("/metrics", get(public::metrics))
        .route("/badge/{file}", get(public::badge))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/hooks/{forge}", post(hook::hook))
        .layer(DefaultBodyLimit::max(hook::LONGEST))
        .layer(middleware::from_fn(careful))
        .with_state(shared)
}

/// Adds what keeps browsers from making more of an answer than it is.
async fn careful(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
