//! How calls to Docker fail, and who has to do something about it.
//!
//! The engine tells most failures apart only by its text, so the words it uses are gathered here and
//! nowhere else.

use std::time::Duration;

use bollard::errors::Error as EngineError;

use crate::host::{Class, Failure};
use crate::time::format_duration;

/// Why something could not be done with Docker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers there.
    #[error("failed to reach Docker at `{url}`")]
    Connect {
        /// Where it should be.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The socket is there, but this user may not open it.
    #[error("failed to open `{url}`: permission denied")]
    Permission {
        /// Where it is.
        url: String,
    },
    /// The address has a form that is not understood.
    #[error("failed to use `{url}` as Docker's address: only unix://, tcp:// and http:// are understood")]
    Scheme {
        /// What was given.
        url: String,
    },
    /// The engine is too old.
    #[error("failed to use Docker at `{url}`: it speaks API {version}, at least 1.41 (Docker 20.10) is needed")]
    TooOld {
        /// Where it is.
        url: String,
        /// The newest version that it speaks.
        version: String,
    },
    /// The engine answered with an error, or not at all.
    #[error("failed to {operation} `{object}`")]
    Call {
        /// What was being done.
        operation: &'static str,
        /// To what.
        object: String,
        /// The engine's answer.
        #[source]
        source: EngineError,
    },
    /// Something took too long.
    #[error("failed to {operation} `{object}`: no end after {}", format_duration(*.limit))]
    TimedOut {
        /// What was being done.
        operation: &'static str,
        /// To what.
        object: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// We do not do it, or cannot.
    #[error("failed to {operation} `{object}`: {reason}")]
    Refused {
        /// What was to be done.
        operation: &'static str,
        /// To what.
        object: String,
        /// Why not.
        reason: String,
        /// Who has to do something.
        class: Class,
    },
}

impl Error {
    pub(super) fn refused(class: Class, operation: &'static str, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Refused { operation, object: object.into(), reason: reason.into(), class }
    }

    /// Returns who has to do something.
    pub fn class(&self) -> Class {
        match self {
            Error::Connect { .. } | Error::TimedOut { .. } => Class::Host,
            Error::Permission { .. } | Error::Scheme { .. } | Error::TooOld { .. } => Class::User,
            Error::Refused { class, .. } => *class,
            Error::Call { operation, source, .. } => classify(operation, source),
        }
    }

    /// Tells whether the engine answered, and what it says is about the object and not about the engine: others
    /// may well be had.
    pub(super) fn is_of_one(&self) -> bool {
        match self {
            Error::Call { source, .. } => status(source).is_some(),
            Error::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// Returns what a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Connect { .. } => Some("is Docker installed and running? `--docker URL` or DOCKER_HOST names another one"),
            Error::Permission { .. } => Some("run as root, or as a member of the group that owns the socket (usually `docker`)"),
            Error::Scheme { .. } => Some("for an engine behind ssh or TLS, forward its socket and name that"),
            Error::TooOld { .. } => Some("upgrade Docker to 20.10 or later"),
            _ => None,
        }
    }

    /// Returns it as the end of a step: one line with the cause behind it.
    pub fn failure(&self) -> Failure {
        let message = match self {
            Error::Call { source, .. } => format!("{self}: {}", text(source)),
            Error::Connect { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        };
        Failure { class: self.class(), message: message.lines().map(str::trim).collect::<Vec<_>>().join(" ") }
    }
}

fn classify(operation: &str, source: &EngineError) -> Class {
    let text = text(source).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["no space left", "disk quota exceeded", "out of memory", "cannot allocate memory"]) {
        return Class::Host;
    }
    if operation == "pull" {
        return Class::Waiting;
    }
    // The runtime's answers to a command, folder or group that the image does not have, which the
    // engine passes on with any status.
    if says(&["executable file not found", "exec format error", "no such file or directory", "not a directory", "unable to find user"])
        && status(source).is_some()
    {
        return Class::User;
    }
    match status(source) {
        Some(400) => Class::User,
        Some(404) if says(&["no such image"]) => Class::Waiting,
        _ => Class::Host,
    }
}

/// Returns the engine's own words.
pub(super) fn text(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.clone(),
        EngineError::DockerStreamError { error } => error.clone(),
        EngineError::RequestTimeoutError => "the engine does not answer".to_owned(),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// Returns the status of the engine's answer, if it answered.
pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Tells whether a container cannot be removed because somebody else is at it.
pub(super) fn is_being_removed(error: &EngineError) -> bool {
    status(error) == Some(409) && text(error).contains("is already in progress")
}

/// Tells whether the network namespace of a container went while the engine was about to tell it a new name.
pub(super) fn is_ending(error: &EngineError) -> bool {
    let text = text(error);
    status(error).is_some() && text.contains("sandbox") && text.contains("not found")
}

/// Says what was being done when a call failed.
pub(super) trait During<T> {
    /// Names the operation and its object.
    fn during(self, operation: &'static str, object: impl Into<String>) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, EngineError> {
    fn during(self, operation: &'static str, object: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::Call { operation, object: object.into(), source })
    }
}

/// Takes answers with a status that mean "already so" for success.
pub(super) trait Accept {
    /// Accepts these statuses.
    fn accept(self, statuses: &[u16]) -> Self;
}

impl Accept for Result<(), EngineError> {
    fn accept(self, statuses: &[u16]) -> Self {
        match self {
            Err(error) if status(&error).is_some_and(|status| statuses.contains(&status)) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16, message: &str) -> EngineError {
        EngineError::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    fn class(operation: &'static str, source: EngineError) -> Class {
        Error::Call { operation, object: "x".into(), source }.class()
    }

    #[test]
    fn a_missing_image_is_waited_for_and_a_full_disk_is_the_hosts() {
        assert_eq!(class("pull", answer(404, "manifest unknown")), Class::Waiting);
        assert_eq!(class("pull", answer(500, "dial tcp: lookup registry: no such host")), Class::Waiting);
        assert_eq!(class("pull", answer(500, "write /var/lib/docker/tmp: no space left on device")), Class::Host);
        assert_eq!(class("create", answer(404, "No such image: web:2")), Class::Waiting);
    }

    #[test]
    fn a_missing_command_is_the_authors() {
        let text = "OCI runtime create failed: container_linux.go:380: exec: \"/none\": stat /none: no such file or directory: unknown";
        assert_eq!(class("start", answer(400, text)), Class::User);
        assert_eq!(class("start", answer(500, text)), Class::User);
        assert_eq!(class("start", answer(403, "Address already in use")), Class::Host);
        assert_eq!(class("start", EngineError::RequestTimeoutError), Class::Host);
    }

    #[test]
    fn a_failure_is_one_line_with_its_cause() {
        let error = Error::Call { operation: "start", object: "shop_web_a".into(), source: answer(500, "no\nway") };
        assert_eq!(error.failure().message, "failed to start `shop_web_a`: no way");
    }
}
