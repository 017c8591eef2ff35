//! Exit codes, as the contract pins them.

use std::process::ExitCode;

use crate::host::Class;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or in sync.
    Done,
    /// The user must act: errors, a refusal, a failed rollout, a host or repository out of reach.
    Act,
    /// The command line makes no sense.
    Usage,
    /// Changes are pending, and `--exit-code` asked for it.
    Pending,
    /// A bug of ours.
    Bug,
}

impl Exit {
    /// Returns the number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Act => 1,
            Exit::Usage => 2,
            Exit::Pending => 3,
            Exit::Bug => 70,
        }
    }

    /// Returns the worse of two: who must act comes before what is pending.
    pub fn worse(self, other: Exit) -> Exit {
        let rank = |exit| match exit {
            Exit::Done => 0,
            Exit::Pending => 1,
            Exit::Act => 2,
            Exit::Usage => 3,
            Exit::Bug => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Self {
        match class {
            Class::User | Class::Waiting | Class::Host => Exit::Act,
            Class::Internal => Exit::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_act_comes_before_what_is_pending() {
        assert_eq!(Exit::Pending.worse(Exit::Act), Exit::Act);
        assert_eq!(Exit::Act.worse(Exit::Pending), Exit::Act);
        assert_eq!(Exit::Done.worse(Exit::Pending), Exit::Pending);
        assert_eq!([Exit::Done, Exit::Act, Exit::Usage, Exit::Pending, Exit::Bug].map(Exit::code), [0, 1, 2, 3, 70]);
    }
}
