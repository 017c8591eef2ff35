//! A proxy on the engine's socket: it counts the calls of an agent, and does harm at one of them.
//!
//! It understands as much of HTTP/1.1 as it takes to tell where a call begins and ends, so that it is
//! the call that is killed, failed or delayed and not some bytes of it. Streams and upgraded connections
//! pass through.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;

/// What is done at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The agent is killed before the call reaches the engine.
    KillBefore,
    /// The agent is killed when the engine has carried the call out.
    KillAfter,
    /// The engine says that it has failed, without having tried.
    Fail,
    /// The engine says this, with this status, without having tried.
    Say(u16, &'static str),
    /// The connection breaks before the call reaches the engine.
    Break,
    /// The engine carries the call out, and the connection breaks before it says so.
    LoseAnswer,
    /// The call reaches the engine late, or when the harm is over.
    Delay(Duration),
}

/// Which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Those that change something on the host.
    Changing,
    /// Those whose method and path hold this.
    Holding(&'static str),
}

/// Harm at one call or at some.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub harm: Harm,
    pub counted: Counted,
    /// At which of them it begins, from 1.
    pub at: usize,
    /// At how many of them it is done.
    pub times: usize,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    counted: usize,
    agent: Option<Pid>,
    /// The changing calls since the fault was set.
    calls: Vec<String>,
    /// Where harm was done.
    harmed: Vec<String>,
}

/// A proxy that listens until it is dropped.
pub struct Proxy {
    pub socket: PathBuf,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

impl Proxy {
    /// Listens at a new socket in `folder`, in front of `engine`.
    pub fn new(folder: &Path, engine: &Path) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let socket = folder.join("proxy.sock");
        let state = Arc::new(Mutex::new(State::default()));
        let listener = runtime.block_on(async { UnixListener::bind(&socket) }).expect("a socket");
        let (shared, engine) = (state.clone(), engine.to_owned());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, engine) = (shared.clone(), engine.clone());
                tokio::spawn(async move { relay(client, &engine, &state).await });
            }
        });
        Proxy { socket, state, _runtime: runtime }
    }

    /// Begins to count anew, with harm to come or none.
    pub fn set(&self, fault: Option<Fault>) {
        let mut state = lock(&self.state);
        *state = State { fault, agent: state.agent, ..State::default() };
    }

    /// Says which process is killed.
    pub fn watch(&self, agent: u32) {
        lock(&self.state).agent = i32::try_from(agent).ok().and_then(Pid::from_raw);
    }

    /// Returns the changing calls since `set`.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.state).calls.clone()
    }

    /// Returns the calls at which harm was done since `set`.
    pub fn harmed(&self) -> Vec<String> {
        lock(&self.state).harmed.clone()
    }
}

impl State {
    /// Counts a call; returns what is to be done at it.
    fn count(&mut self, call: &str) -> Option<Harm> {
        let changing = ["POST ", "PUT ", "DELETE "].iter().any(|method| call.starts_with(method)) && !call.contains("/exec");
        if changing {
            self.calls.push(call.to_owned());
        }
        let fault = self.fault?;
        let counted = match fault.counted {
            Counted::Changing => changing,
            Counted::Holding(text) => call.contains(text),
        };
        if !counted {
            return None;
        }
        self.counted += 1;
        if self.counted.checked_sub(fault.at).is_none_or(|since| since >= fault.times) {
            return None;
        }
        self.harmed.push(call.to_owned());
        if fault.harm == Harm::KillBefore {
            self.kill();
        }
        Some(fault.harm)
    }

    fn kill(&self) {
        // It may have ended by itself, which a test finds out elsewhere.
        let _ = kill_process(self.agent.expect("harm is set when there is an agent"), Signal::KILL);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the body of a message ends.
#[derive(Debug, Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
    ToTheEnd,
}

/// Passes the calls of one connection on, one after the other.
async fn relay(client: UnixStream, engine: &Path, state: &Mutex<State>) -> io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let (from_engine, mut to_engine) = UnixStream::connect(engine).await?.into_split();
    let (mut from_client, mut from_engine) = (BufReader::new(from_client), BufReader::new(from_engine));
    while let Some(head) = read_head(&mut from_client).await? {
        let first = head.lines().next().unwrap_or_default();
        let call = first.strip_suffix(" HTTP/1.1").unwrap_or(first).to_owned();
        let body = body_of(&head, Body::Length(0));
        let harm = lock(state).count(&call);
        match harm {
            Some(Harm::KillBefore | Harm::Break) => return Ok(()),
            Some(harm @ (Harm::Fail | Harm::Say(..))) => {
                pass_body(&mut from_client, &mut tokio::io::sink(), body).await?;
                let (status, message) =
                    if let Harm::Say(status, message) = harm { (status, message) } else { (500, "a fault of the test") };
                let text = serde_json::json!({ "message": message }).to_string();
                let head = format!("HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: ");
                to_client.write_all(format!("{head}{}\r\n\r\n{text}", text.len()).as_bytes()).await?;
                continue;
            }
            Some(Harm::Delay(duration)) => {
                let began = Instant::now();
                while began.elapsed() < duration && lock(state).fault.is_some() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Some(Harm::KillAfter | Harm::LoseAnswer) | None => {}
        }
        to_engine.write_all(head.as_bytes()).await?;
        pass_body(&mut from_client, &mut to_engine, body).await?;
        let Some(head) = read_head(&mut from_engine).await? else { return Ok(()) };
        match harm {
            Some(Harm::KillAfter) => {
                lock(state).kill();
                return Ok(());
            }
            Some(Harm::LoseAnswer) => return Ok(()),
            _ => {}
        }
        to_client.write_all(head.as_bytes()).await?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        let body = match status {
            "101" => {
                let there = tokio::io::copy_buf(&mut from_client, &mut to_engine);
                let back = tokio::io::copy_buf(&mut from_engine, &mut to_client);
                return tokio::try_join!(there, back).map(|_| ());
            }
            "204" | "304" => Body::Length(0),
            _ if call.starts_with("HEAD ") => Body::Length(0),
            _ => body_of(&head, Body::ToTheEnd),
        };
        let answer = pass_body(&mut from_engine, &mut to_client, body);
        tokio::select! {
            passed = answer => passed?,
            // Who no longer listens to a stream has ended it.
            () = left(&mut from_client) => return Ok(()),
        }
    }
    Ok(())
}

/// Waits until the other side has closed its connection.
async fn left(from: &mut (impl AsyncBufRead + Unpin)) {
    if from.fill_buf().await.is_ok_and(|bytes| !bytes.is_empty()) {
        std::future::pending::<()>().await;
    }
}

async fn read_head(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn body_of(head: &str, otherwise: Body) -> Body {
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Body::Chunked;
    }
    field("content-length").and_then(|length| length.parse().ok()).map_or(otherwise, Body::Length)
}

async fn pass_body<R: AsyncBufRead + Unpin>(from: &mut R, to: &mut (impl AsyncWrite + Unpin), body: Body) -> io::Result<()> {
    match body {
        Body::Length(length) => tokio::io::copy_buf(&mut from.take(length), to).await.map(|_| ()),
        Body::ToTheEnd => {
            tokio::io::copy_buf(from, to).await?;
            to.shutdown().await
        }
        Body::Chunked => loop {
            let mut line = String::new();
            if from.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let length = u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
            to.write_all(line.as_bytes()).await?;
            // Each chunk ends with an empty line, and so do trailers that nobody sends.
            tokio::io::copy_buf(&mut from.take(length + 2), to).await?;
            if length == 0 {
                return Ok(());
            }
        },
    }
}
