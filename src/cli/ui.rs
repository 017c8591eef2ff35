//! The one place that writes to the terminal: data to standard output, everything else to standard
//! error.

use std::env;
use std::io::{self, IsTerminal, Write};

use crate::config;
use crate::report::{Ink, Paint, findings_text, word};

use super::error::Error;

/// Writes to the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// How data looks.
    pub out: Paint,
    /// How everything else looks.
    pub err: Paint,
    /// Somebody watches standard error, so lines may be drawn anew.
    pub live: bool,
}

impl Ui {
    /// Looks at the streams and at what the environment says about colors.
    pub fn from_environment() -> Self {
        let err_terminal = io::stderr().is_terminal();
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Ui { out: paint(io::stdout().is_terminal()), err: paint(err_terminal), live: err_terminal && !dumb }
    }

    /// Writes data.
    ///
    /// # Errors
    ///
    /// If it cannot be written; a reader that has gone is an error too, which ends the command well.
    pub fn data(&self, text: &str) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// Writes a line beside the data. If that fails there is nobody to tell.
    pub fn say(&self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Writes a warning.
    pub fn warn(&self, message: &str) {
        self.say(&format!("{} {message}", self.err.ink(Ink::Warn, "warning:")));
    }

    /// Writes an error, its causes, and what to do next.
    pub fn error(&self, error: &Error) {
        if matches!(error, Error::Output(source) if source.kind() == io::ErrorKind::BrokenPipe) {
            return;
        }
        if let Error::Config(config::Error::Refused { findings, texts, .. }) = error {
            let text = |file: &str| texts.iter().find(|(name, _)| name == file).map(|(_, text)| text.as_str());
            self.say(&findings_text(findings, &text, self.err));
        }
        for (index, message) in error.chain().iter().enumerate() {
            let (head, ink) = if index == 0 { ("error:", Ink::Bad) } else { ("cause:", Ink::Warn) };
            let mut lines = message.lines();
            self.say(&format!("{} {}", self.err.ink(ink, head), word::clean(lines.next().unwrap_or_default())));
            lines.for_each(|line| self.say(&format!("       {}", word::clean(line))));
        }
        if let Some(hint) = error.hint() {
            self.say(&format!("\n{} {}", self.err.ink(Ink::Accent, "hint:"), word::clean(&hint)));
        }
    }
}

/// <https://no-color.org> and <https://bixense.com/clicolors>: `NO_COLOR` wins over `CLICOLOR_FORCE`.
fn paint(terminal: bool) -> Paint {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return Paint::Plain;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return Paint::Ansi;
    }
    let refused = set("CLICOLOR").is_some_and(|value| value == "0") || set("TERM").is_some_and(|term| term == "dumb");
    if terminal && !refused { Paint::Ansi } else { Paint::Plain }
}
