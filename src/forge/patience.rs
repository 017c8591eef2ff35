//! How long to wait for a forge that does not listen, and saying so once.

use std::time::Duration;

use crate::git;
use crate::host::Class;
use crate::name::Name;

use super::Error;

/// What was not heard is said again after so long, doubled each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause; what a person must mend is tried no sooner.
const LONGEST: Duration = Duration::from_secs(300);

/// Why something was not said.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The forge did not take it.
    #[error(transparent)]
    Forge(#[from] Error),
    /// The repository could not be read.
    #[error(transparent)]
    Git(#[from] git::Error),
}

/// How long to wait, and what was last complained about.
#[derive(Debug)]
pub(super) struct Patience {
    application: Name,
    what: &'static str,
    pause: Duration,
    complaint: Option<String>,
}

impl Patience {
    /// Returns patience for something that is done for an application, as in `answering pull requests`.
    pub(super) fn new(application: Name, what: &'static str) -> Self {
        Patience { application, what, pause: FIRST, complaint: None }
    }

    /// Takes note of how it went; returns how long to wait before it is tried again, if it failed.
    pub(super) fn after(&mut self, result: Result<(), Trouble>) -> Option<Duration> {
        let Err(trouble) = result else {
            if self.complaint.take().is_some() {
                tracing::info!(application = %self.application, "{} goes on", self.what);
            }
            self.pause = FIRST;
            return None;
        };
        self.complain(&trouble);
        let pause = if trouble.class() == Class::User { LONGEST } else { self.pause };
        self.pause = (self.pause * 2).min(LONGEST);
        Some(git::jitter(pause))
    }

    /// Says what is wrong, unless that was said last.
    pub(super) fn complain(&mut self, trouble: &Trouble) {
        let mut text = trouble.to_string();
        let mut cause = std::error::Error::source(trouble);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        if self.complaint.as_ref() != Some(&text) {
            let hint = trouble.hint().unwrap_or_default();
            tracing::error!(application = %self.application, error = text, hint, "{} has to wait; deploying does not", self.what);
            self.complaint = Some(text);
        }
    }
}

impl Trouble {
    /// Returns who has to do something about it.
    pub(super) fn class(&self) -> Class {
        match self {
            Trouble::Forge(error) => error.class(),
            Trouble::Git(error) => error.class(),
        }
    }

    /// Tells whether others would fail in the same way, so that it is better to wait with all of them. A request or
    /// commit that is not there is a matter of its own.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Trouble::Forge(Error::Refused { status: 404 | 410 | 422, .. }) => false,
            Trouble::Forge(_) => true,
            Trouble::Git(error) => error.class() == Class::Waiting,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Trouble::Forge(error) => error.hint().map(str::to_owned),
            Trouble::Git(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_goes_on() {
        let mut patience = Patience::new(Name::try_from("shop").expect("a name"), "answering");
        let mut after = |status: u16| {
            let refused =
                Error::Refused { what: "ask".to_owned(), forge: "https://git.example".to_owned(), status, message: String::new() };
            let result = if status == 200 { Ok(()) } else { Err(refused.into()) };
            // Up to a tenth longer or shorter.
            patience.after(result).map(|pause| pause.as_secs_f64().round() as u64)
        };
        assert_eq!([after(500), after(502), after(200), after(503)], [Some(1), Some(2), None, Some(1)]);
        assert!(after(401).is_some_and(|pause| pause >= 270), "a person has to mend that");
    }
}
