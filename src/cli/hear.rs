//! Listening to the answers of one request until the last.

use crate::agent::protocol::Answer;
use crate::report::VERSION;

use super::Context;
use super::client::Answers;
use super::error::Error;
use super::exit::Exit;
use super::target::Format;

/// How a request ended.
#[derive(Debug)]
pub(super) struct End {
    /// The exit code, as far as the request decides it.
    pub(super) exit: Exit,
    /// One sentence, or none.
    pub(super) message: String,
}

impl End {
    /// Returns how it ended, as data.
    pub(super) fn text(&self, format: Format) -> String {
        match format {
            Format::Text => format!("{}\n", self.message),
            Format::Json => {
                let document = serde_json::json!({ "version": VERSION, "exitCode": self.exit.code(), "message": self.message });
                format!("{document}\n")
            }
            Format::Markdown => self.message.lines().map(|line| format!("- {line}\n")).collect(),
        }
    }
}

/// Gives every answer to `take`. Errors are shown as they come, because other applications may be
/// answered all the same.
///
/// # Errors
///
/// If the answers break off, or `take` fails.
pub(super) async fn hear(context: &Context, mut answers: Answers, mut take: impl FnMut(Answer) -> Result<(), Error>) -> Result<End, Error> {
    let mut errors = None;
    while let Some(answer) = answers.next().await? {
        match answer {
            Answer::Done { exit_code, message } => return Ok(end(exit_code, message, errors)),
            Answer::Error { class, messages, hint } => errors = Some(refused(context, errors, Error::Refused { class, messages, hint })),
            answer => take(answer)?,
        }
    }
    match errors {
        Some(exit) => Ok(End { exit, message: String::new() }),
        None => Err(Error::CutOff),
    }
}

/// Shows an error; returns how bad all of them are.
pub(super) fn refused(context: &Context, before: Option<Exit>, error: Error) -> Exit {
    context.ui.error(&error);
    error.exit().worse(before.unwrap_or(Exit::Done))
}

/// Returns how a request ended whose last answer was `Done`.
pub(super) fn end(exit_code: u8, message: String, errors: Option<Exit>) -> End {
    let exit = if exit_code == 0 { Exit::Done } else { Exit::Act };
    End { exit: exit.worse(errors.unwrap_or(Exit::Done)), message }
}
