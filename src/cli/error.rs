//! What ends a command, and how it is told.
//!
//! The other rooms' errors pass through unchanged: their texts, causes and hints are their own.

use std::io;
use std::path::PathBuf;

use crate::agent;
use crate::config;
use crate::host::Class;

use super::exit::Exit;

/// What ends a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not go together.
    #[error("{message}")]
    Usage {
        /// What does not fit, as a sentence.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// Flags or Application files are wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] config::state::Error),
    /// The agent cannot work.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// A folder or repository cannot be read.
    #[error(transparent)]
    Git(#[from] crate::git::Error),
    /// The engine cannot be used.
    #[error(transparent)]
    Docker(#[from] crate::docker::Error),
    /// HTTP cannot be answered.
    #[error(transparent)]
    Http(#[from] crate::http::Error),
    /// The data path cannot be run, started or stopped.
    #[error(transparent)]
    Serve(#[from] crate::serve::Error),
    /// A path does not exist or cannot be read.
    #[error("failed to read `{}`", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifests of a folder have errors, which are shown above.
    #[error("failed to {command} `{}`: its manifests have errors", path.display())]
    Manifests {
        /// The command.
        command: &'static str,
        /// The folder.
        path: PathBuf,
    },
    /// No agent answers, and nothing else says what is meant.
    #[error("failed to ask the agent: none answers on socket `{}`", path.display())]
    NoAgent {
        /// The socket.
        path: PathBuf,
        /// What to do.
        hint: String,
    },
    /// The agent's socket cannot be used.
    #[error("failed to talk to the agent over socket `{}`", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The agent went away in the middle.
    #[error("failed to hear the agent out: it ended before its last word")]
    CutOff,
    /// The agent says what this program does not know.
    #[error("failed to understand the agent's answer")]
    Answer {
        /// Why.
        source: serde_json::Error,
    },
    /// The request was refused, or cannot be answered.
    #[error("{}", messages.first().map_or("the agent gave no reason", String::as_str))]
    Refused {
        /// Who has to do something.
        class: Class,
        /// The error and its causes.
        messages: Vec<String>,
        /// What to do next.
        hint: Option<String>,
    },
    /// Nobody knows the installation.
    #[error("failed to tell which installation this is: state folder `{}` knows none", path.display())]
    NoOwner {
        /// The state folder.
        path: PathBuf,
    },
    /// Rules cannot be read; why is shown above.
    #[error("failed to read the policies of {}", shown(folders))]
    Policies {
        /// The folders.
        folders: Vec<PathBuf>,
    },
    /// There are rules, and nothing tests them.
    #[error("failed to find a test in {}", shown(folders))]
    NoTests {
        /// The folders.
        folders: Vec<PathBuf>,
    },
    /// Standard output cannot be written.
    #[error("failed to write to standard output")]
    Output(#[source] io::Error),
    /// Signals cannot be received.
    #[error("failed to listen for signals")]
    Signal(#[source] io::Error),
}

fn shown(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("`{}`", folder.display())).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// Returns how the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Usage { .. } => Exit::Usage,
            // What is wrong is on the command line, not in a file.
            Error::Config(
                config::Error::Nothing | config::Error::Location { .. } | config::Error::Auth { .. } | config::Error::Name { .. },
            ) => Exit::Usage,
            // Whoever reads our output may stop when they have seen enough.
            Error::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Error::Config(error) => error.class().into(),
            Error::State(error) => error.class().into(),
            Error::Agent(error) => error.class().into(),
            Error::Git(error) => error.class().into(),
            Error::Http(error) => error.class().into(),
            Error::Docker(error) => error.class().into(),
            Error::Refused { class, .. } => (*class).into(),
            _ => Exit::Act,
        }
    }

    /// Returns what to do next, if that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } | Error::Refused { hint, .. } => hint.clone(),
            Error::NoAgent { hint, .. } => Some(hint.clone()),
            Error::Config(error) => error.hint().map(str::to_owned),
            Error::State(error) => error.hint().map(str::to_owned),
            Error::Agent(error) => error.hint(),
            Error::Git(error) => error.hint(),
            Error::Http(error) => error.hint(),
            Error::Docker(error) => error.hint().map(str::to_owned),
            Error::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as the user who runs the agent, usually root".to_owned())
            }
            Error::CutOff => Some("what it had begun goes on once it runs again; look with `driftless status`".to_owned()),
            Error::Answer { .. } => Some("the agent may be of another version: restart it".to_owned()),
            Error::NoTests { .. } => Some("write rules `test_…` into files that end with `_test.rego`".to_owned()),
            Error::NoOwner { .. } => Some("start `driftless agent` first, or name the installation with --owner".to_owned()),
            _ => None,
        }
    }

    /// Returns the error and its causes, outermost first.
    pub fn chain(&self) -> Vec<String> {
        if let Error::Refused { messages, .. } = self
            && !messages.is_empty()
        {
            return messages.clone();
        }
        let mut chain = vec![self.to_string()];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            chain.push(error.to_string());
            cause = error.source();
        }
        chain
    }
}
