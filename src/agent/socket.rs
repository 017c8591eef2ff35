//! The socket: one request as a line of JSON, then answers as lines until the last.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedSender;

use crate::host::Class;

use super::answer::Reply;
use super::protocol::{Answer, Request};
use super::{Error, Event};

/// A request is short; whatever is longer is not one.
const LONGEST_REQUEST: u64 = 64 * 1024;

/// Listens until it is dropped, then removes the socket.
pub(super) struct Socket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Socket {
    /// Begins to listen; only this user may connect. Whoever calls holds the lock of the state folder,
    /// so a socket that is there already was left behind.
    pub(super) fn open(path: &Path, events: UnboundedSender<Event>) -> Result<Self, Error> {
        let failed = |source| Error::Socket { path: path.to_owned(), source };
        if path.exists() {
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let task = tokio::spawn(accept(listener, events));
        Ok(Socket { path: path.to_owned(), task })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
        // It may be gone already; then there is nothing to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, events: UnboundedSender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, events.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection of the command line failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: UnixStream, events: UnboundedSender<Event>) {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(LONGEST_REQUEST));
    let read = reading.read_line(&mut line).await;
    let (reply, mut answers): (Reply, _) = tokio::sync::mpsc::unbounded_channel();
    match (read, serde_json::from_str::<Request>(&line)) {
        (Ok(_), Ok(request)) => drop(events.send(Event::Ask(request, reply))),
        (Ok(_), Err(error)) => {
            let messages = vec!["failed to understand the request".to_owned(), error.to_string()];
            let hint = Some("the command line and the agent may be of different versions".to_owned());
            drop(reply.send(Answer::Error { class: Class::User, messages, hint }));
            drop(reply);
        }
        (Err(_), _) => return,
    }
    // Nobody says anything more: what comes is the end. Without this, who waits for ever is waited for.
    let mut reading = reading.into_inner().into_inner();
    let mut rest = [0; 64];
    loop {
        let answer = tokio::select! {
            answer = answers.recv() => answer,
            read = reading.read(&mut rest) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            },
        };
        let Some(answer) = answer else { return };
        let Ok(mut bytes) = serde_json::to_vec(&answer) else { return };
        bytes.push(b'\n');
        if writing.write_all(&bytes).await.is_err() {
            return; // The other side left; what it asked for goes on.
        }
    }
}
