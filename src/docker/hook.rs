//! Runs commands in containers, and the hooks after a start and before a stop.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::LogsOptions;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use crate::desired::{Action, Hook};
use crate::host::Class;

use super::Docker;
use super::error::{During, Error};

impl Docker {
    /// Runs a command in a container and returns its exit code.
    ///
    /// # Errors
    ///
    /// After `limit` the wait is over; the engine has no way to end the command itself.
    pub async fn exec(&self, container: &str, command: &[String], limit: Duration) -> Result<i64, Error> {
        let run = async {
            let options = CreateExecOptions {
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                cmd: Some(command.to_vec()),
                ..CreateExecOptions::default()
            };
            let exec =
                self.timed("create_exec", self.inner.client.create_exec(container, options)).await.during("run a command in", container)?;
            let started =
                self.timed("start_exec", self.inner.client.start_exec(&exec.id, None)).await.during("run a command in", container)?;
            if let StartExecResults::Attached { mut output, .. } = started {
                // The end of the output is the end of the command.
                while let Some(chunk) = output.next().await {
                    chunk.during("run a command in", container)?;
                }
            }
            let ended = self.timed("inspect_exec", self.inner.client.inspect_exec(&exec.id)).await.during("run a command in", container)?;
            Ok(ended.exit_code.unwrap_or(-1))
        };
        match timeout(limit, run).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut { operation: "run a command in", object: container.to_owned(), limit }),
        }
    }

    /// Returns the last lines that a container wrote to its output, without time stamps.
    ///
    /// # Errors
    ///
    /// If the container has gone, or its log driver cannot be read.
    pub async fn logs_tail(&self, container: &str, lines: usize) -> Result<String, Error> {
        let options = LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
        let chunks: Vec<_> =
            self.inner.client.logs(container, Some(options)).try_collect().await.during("read the output of", container)?;
        Ok(chunks.iter().map(|chunk| String::from_utf8_lossy(chunk.as_ref()).into_owned()).collect())
    }

    /// Runs a hook; `address` is the container's own.
    pub(super) async fn run_hook(&self, container: &str, hook: &Hook, address: Option<Ipv4Addr>, limit: Duration) -> Result<(), Error> {
        let refused = |reason: String| Error::refused(Class::User, "run the hook of", container, reason);
        match &hook.0 {
            Action::Exec(command) => match self.exec(container, command, limit).await? {
                0 => Ok(()),
                code => Err(refused(format!("the command ended with exit code {code}"))),
            },
            Action::Sleep(seconds) => {
                tokio::time::sleep(Duration::from_secs(*seconds).min(limit)).await;
                Ok(())
            }
            Action::Tcp { host, port } => {
                let target = target(host.as_deref(), address).ok_or_else(|| refused("it has no address".to_owned()))?;
                match timeout(limit, tokio::net::TcpStream::connect((target.as_str(), *port))).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(refused(format!("{target}:{port}: {error}"))),
                    Err(_) => Err(refused(format!("{target}:{port} does not answer"))),
                }
            }
            Action::Http { scheme, host, port, path, headers } => {
                let target = target(host.as_deref(), address).ok_or_else(|| refused("it has no address".to_owned()))?;
                let url = format!("{scheme}://{target}:{port}{path}");
                get(&url, headers, limit).await.map_err(|reason| refused(format!("{url}: {reason}")))
            }
        }
    }
}

fn target(host: Option<&str>, address: Option<Ipv4Addr>) -> Option<String> {
    host.map(str::to_owned).or_else(|| address.map(|address| IpAddr::V4(address).to_string()))
}

async fn get(url: &str, headers: &[(String, String)], limit: Duration) -> Result<(), String> {
    // Whoever installed a provider first has decided; otherwise it is this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .no_proxy()
        .timeout(limit)
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|error| error.without_url().to_string())?;
    match response.status().as_u16() {
        200..400 => Ok(()),
        status => Err(format!("status {status}")),
    }
}
