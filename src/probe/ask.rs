//! One question to a running container: a command, an HTTP request, a TCP connection.
//!
//! The rules are Kubernetes' (core/v1 `Probe`): each HTTP request has a connection of its own, status
//! 200 to 399 is good, redirects are followed on the same host only, certificates are not verified.
//! Nothing of the agent's own environment (a proxy, say) takes part. No header and no body is printed.

use std::collections::{BTreeSet, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::desired::Action;

use super::Wanted;

/// So many redirects on the same host are followed, as the kubelet does.
const REDIRECTS: usize = 10;
/// A command costs about 60 ms of processor time; many at once would be late for that alone.
const COMMANDS_AT_ONCE: usize = 8;
/// The engine cannot end a command, so one that is late is left to itself; nobody waits longer than
/// this for its end.
const COMMAND_LIMIT: Duration = Duration::from_secs(3600);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is good.
    Good,
    /// It is not, and why.
    Bad(String),
    /// There was no answer, because the question could not be asked; it counts neither way.
    None(String),
}

/// A future of somebody else's making.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs a command in a container (by id) within a time, and returns its exit code, or why it could
/// not be run.
pub type Exec = Arc<dyn Fn(String, Vec<String>, Duration) -> Later<'static, Result<i64, String>> + Send + Sync>;

/// Asks questions; the tests have one of their own.
pub trait Ask: Send + Sync {
    /// Asks a container one question.
    fn ask<'a>(&'a self, wanted: &'a Wanted, action: &'a Action, limit: Duration) -> Later<'a, Answer>;
}

/// Asks real containers.
pub struct Asker {
    exec: Exec,
    client: reqwest::Client,
    permits: Semaphore,
    /// Commands that run, by container; a late one is not started a second time beside itself.
    running: Arc<Mutex<BTreeSet<Command>>>,
}

impl Asker {
    /// Returns an asker that runs commands with `exec`.
    pub fn new(exec: Exec) -> Self {
        // Only the first installation counts; `main` may have made it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(Policy::custom(|attempt| {
                let same_host = attempt.previous().first().is_some_and(|first| first.host_str() == attempt.url().host_str());
                if same_host && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
            }))
            .build()
            .expect("a TLS provider is installed and nothing else is asked for");
        Asker { exec, client, permits: Semaphore::new(COMMANDS_AT_ONCE), running: Arc::default() }
    }

    async fn command(&self, container: &str, command: &[String], limit: Duration) -> Answer {
        let key = (container.to_owned(), command.to_vec());
        if !lock(&self.running).insert(key.clone()) {
            return Answer::Bad("the command of an earlier question still runs".to_owned());
        }
        let running = Running(self.running.clone(), key);
        // Waiting for its turn is not the container's fault and not part of the time limit.
        let _permit = self.permits.acquire().await;
        let exec = (self.exec)(container.to_owned(), command.to_vec(), COMMAND_LIMIT);
        let task = tokio::spawn(async move {
            let result = exec.await;
            drop(running);
            result
        });
        match timeout(limit, task).await {
            Ok(Ok(Ok(0))) => Answer::Good,
            Ok(Ok(Ok(code))) => Answer::Bad(format!("the command ended with exit code {code}")),
            Ok(Ok(Err(reason))) => Answer::None(reason),
            Ok(Err(_)) => Answer::None("the agent ends".to_owned()),
            Err(_) => Answer::Bad(late(limit)),
        }
    }

    async fn get(&self, url: String, headers: &[(String, String)], limit: Duration) -> Answer {
        let request = match header_map(headers) {
            Ok(headers) => self.client.get(url).headers(headers),
            Err(name) => return Answer::Bad(format!("header `{name}` cannot be sent")),
        };
        match timeout(limit, request.send()).await {
            Ok(Ok(response)) => match response.status().as_u16() {
                200..400 => Answer::Good,
                status => Answer::Bad(format!("HTTP status {status}")),
            },
            Ok(Err(error)) => Answer::Bad(cause(&error.without_url())),
            Err(_) => Answer::Bad(late(limit)),
        }
    }
}

impl Ask for Asker {
    fn ask<'a>(&'a self, wanted: &'a Wanted, action: &'a Action, limit: Duration) -> Later<'a, Answer> {
        Box::pin(async move {
            let host = |host: &Option<String>| host.clone().or_else(|| wanted.address.map(|address| address.to_string()));
            let no_address = || Answer::None("the container has no address".to_owned());
            match action {
                Action::Exec(command) => self.command(&wanted.container, command, limit).await,
                Action::Http { scheme, host: name, port, path, headers } => match host(name) {
                    Some(host) => self.get(format!("{scheme}://{}:{port}{path}", bracketed(&host)), headers, limit).await,
                    None => no_address(),
                },
                Action::Tcp { host: name, port } => match host(name) {
                    Some(host) => connect(&host, *port, limit).await,
                    None => no_address(),
                },
                Action::Sleep(_) => Answer::None("waiting asks nothing".to_owned()),
            }
        })
    }
}

/// Marks a command as running until it is dropped.
struct Running(Arc<Mutex<BTreeSet<Command>>>, Command);

/// A container's id and the command in it.
type Command = (String, Vec<String>);

impl Drop for Running {
    fn drop(&mut self) {
        lock(&self.0).remove(&self.1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(host: &str, port: u16, limit: Duration) -> Answer {
    match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Answer::Good,
        Ok(Err(error)) => Answer::Bad(format!("port {port}: {error}")),
        Err(_) => Answer::Bad(format!("port {port}: {}", late(limit))),
    }
}

/// Returns the headers of a request: the author's, over the kubelet's. An empty value takes one away.
fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    map.insert(USER_AGENT, HeaderValue::from_static("kube-probe/driftless"));
    map.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let mut own: HashSet<HeaderName> = HashSet::new();
    for (name, value) in headers {
        let key = HeaderName::try_from(name).map_err(|_| name.clone())?;
        // The first of a name replaces the default; further ones stand beside it.
        if own.insert(key.clone()) {
            map.remove(&key);
        }
        if !value.is_empty() {
            map.append(key, HeaderValue::try_from(value).map_err(|_| name.clone())?);
        }
    }
    Ok(map)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

fn late(limit: Duration) -> String {
    format!("no answer within {}", crate::time::format_duration(limit))
}

/// Returns the innermost cause: `connection refused` says more than `error sending request`.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::desired::Care;
    use crate::time::Time;

    fn wanted() -> Wanted {
        Wanted { container: "c".into(), started: Time(0), address: Some(Ipv4Addr::LOCALHOST), care: Care::default() }
    }

    fn asker(exec: impl Fn() -> Later<'static, Result<i64, String>> + Send + Sync + 'static) -> Asker {
        Asker::new(Arc::new(move |_, _, _| exec()))
    }

    fn no_exec() -> Asker {
        asker(|| Box::pin(async { Err("no engine".to_owned()) }))
    }

    /// Answers each connection with the text that belongs to the path; returns port and requests seen.
    async fn server(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let requests = seen.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut buffer = [0; 1024];
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(count) => request.extend_from_slice(&buffer[..count]),
                    }
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                lock(&requests).push(request);
                let _ = stream.write_all(answer(&path).as_bytes()).await;
            }
        });
        (port, seen)
    }

    fn http(port: u16, path: &str, headers: &[(&str, &str)]) -> Action {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Action::Http { scheme: "http".into(), host: None, port, path: path.into(), headers }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_status_from_200_to_399_is_good() {
        let (port, _) = server(|path| format!("HTTP/1.1 {} x\r\ncontent-length: 0\r\n\r\n", &path[1..])).await;
        let asker = no_exec();
        for (status, good) in [(200, true), (204, true), (304, true), (399, true), (400, false), (404, false), (503, false)] {
            let answer = asker.ask(&wanted(), &http(port, &format!("/{status}"), &[]), SECOND).await;
            let expected = if good { Answer::Good } else { Answer::Bad(format!("HTTP status {status}")) };
            assert_eq!(answer, expected, "{status}");
        }
    }

    #[tokio::test]
    async fn redirects_are_followed_on_the_same_host_only() {
        let (port, seen) = server(|path| match path {
            "/near" => "HTTP/1.1 302 x\r\nlocation: /end\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/far" => "HTTP/1.1 302 x\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "/loop" => "HTTP/1.1 302 x\r\nlocation: /loop\r\ncontent-length: 0\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n".to_owned(),
        })
        .await;
        let asker = no_exec();
        assert_eq!(asker.ask(&wanted(), &http(port, "/near", &[]), SECOND).await, Answer::Bad("HTTP status 500".into()));
        assert_eq!(asker.ask(&wanted(), &http(port, "/far", &[]), SECOND).await, Answer::Good);
        lock(&seen).clear();
        assert_eq!(asker.ask(&wanted(), &http(port, "/loop", &[]), SECOND).await, Answer::Good);
        assert_eq!(lock(&seen).len(), REDIRECTS + 1);
    }

    #[tokio::test]
    async fn headers_are_the_kubelets_unless_the_author_says_otherwise() {
        let (port, seen) = server(|_| "HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
        let asker = no_exec();
        asker.ask(&wanted(), &http(port, "/a", &[]), SECOND).await;
        asker
            .ask(
                &wanted(),
                &http(port, "/b", &[("User-Agent", ""), ("Accept", "text/plain"), ("Host", "shop.example"), ("X", "1"), ("X", "2")]),
                SECOND,
            )
            .await;
        let seen = lock(&seen).clone();
        assert!(seen[0].contains("user-agent: kube-probe/driftless\r\n") && seen[0].contains("accept: */*\r\n"), "{}", seen[0]);
        assert!(!seen[1].contains("user-agent") && seen[1].contains("host: shop.example\r\n"), "{}", seen[1]);
        assert!(seen[1].contains("accept: text/plain\r\n") && seen[1].contains("x: 1\r\nx: 2\r\n"), "{}", seen[1]);
    }

    #[tokio::test]
    async fn a_silent_or_closed_port_is_bad() {
        let asker = no_exec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = Action::Tcp { host: None, port };
        assert_eq!(asker.ask(&wanted(), &tcp, SECOND).await, Answer::Good);
        let answer = asker.ask(&wanted(), &http(port, "/", &[]), Duration::from_millis(100)).await;
        assert_eq!(answer, Answer::Bad("no answer within 100ms".into()));
        drop(listener);
        let Answer::Bad(message) = asker.ask(&wanted(), &tcp, SECOND).await else { panic!("closed") };
        assert!(message.to_lowercase().contains("connection refused"), "{message}");
        let Answer::Bad(message) = asker.ask(&wanted(), &http(port, "/", &[]), SECOND).await else { panic!("closed") };
        assert!(message.to_lowercase().contains("connection refused"), "{message}");
        let nowhere = Wanted { address: None, ..wanted() };
        assert!(matches!(asker.ask(&nowhere, &tcp, SECOND).await, Answer::None(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_answers_by_its_exit_code() {
        let command = Action::Exec(vec!["true".into()]);
        for (result, expected) in [
            (Ok(0), Answer::Good),
            (Ok(7), Answer::Bad("the command ended with exit code 7".into())),
            (Err("no engine".to_owned()), Answer::None("no engine".into())),
        ] {
            let asker = asker(move || Box::pin(std::future::ready(result.clone())));
            assert_eq!(asker.ask(&wanted(), &command, SECOND).await, expected);
        }
        let slow = asker(|| {
            Box::pin(async {
                tokio::time::sleep(3 * SECOND).await;
                Ok(0)
            })
        });
        assert_eq!(slow.ask(&wanted(), &command, SECOND).await, Answer::Bad("no answer within 1s".into()));
        let second = slow.ask(&wanted(), &command, SECOND).await;
        assert_eq!(second, Answer::Bad("the command of an earlier question still runs".into()));
        tokio::time::sleep(3 * SECOND).await;
        assert_eq!(slow.ask(&wanted(), &command, 5 * SECOND).await, Answer::Good);
    }
}
