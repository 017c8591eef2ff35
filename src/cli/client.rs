//! The other end of the agent's socket: one request, then its answers.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::agent::protocol::{Answer, Request};

use super::error::Error;

/// The answers to one request, from a running agent or from this very process.
pub enum Answers {
    /// A running agent's.
    Remote(Lines<BufReader<UnixStream>>),
    /// This process's own.
    Own(UnboundedReceiver<Answer>),
}

/// Sends a request to the agent that listens on a socket; `None` if none does.
///
/// # Errors
///
/// If the socket may not be used, or the agent ends in the middle.
pub async fn ask(path: &Path, request: &Request) -> Result<Option<Answers>, Error> {
    let failed = |source| Error::Socket { path: path.to_owned(), source };
    let mut stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        // Nobody made it, or who made it is gone.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut line = serde_json::to_vec(request).expect("requests have text keys only");
    line.push(b'\n');
    stream.write_all(&line).await.map_err(failed)?;
    Ok(Some(Answers::Remote(BufReader::new(stream).lines())))
}

impl Answers {
    /// Returns the next answer; the last one is `Done`, or an `Error` behind which nothing comes.
    ///
    /// # Errors
    ///
    /// If what comes is no answer.
    pub async fn next(&mut self) -> Result<Option<Answer>, Error> {
        match self {
            Answers::Own(answers) => Ok(answers.recv().await),
            Answers::Remote(lines) => match lines.next_line().await {
                Ok(Some(line)) => serde_json::from_str(&line).map(Some).map_err(|source| Error::Answer { source }),
                // An agent that was killed resets the connection.
                Ok(None) | Err(_) => Ok(None),
            },
        }
    }
}
