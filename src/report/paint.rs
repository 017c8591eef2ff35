//! Colors for terminals: an addition only, every text is complete without them.
//!
//! Whether colors are wanted is decided by who prints; nothing here looks at an environment.

/// Whether texts carry colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// With ANSI escape sequences.
    Ansi,
}

/// What a piece of text is, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    /// Text like any other.
    #[default]
    Plain,
    /// A verdict or a heading.
    Bold,
    /// Something new, or something that is well.
    Good,
    /// Something that goes, or something that is wrong.
    Bad,
    /// Something that changes, or something that is doubtful.
    Warn,
    /// A hint or a path.
    Accent,
    /// Something that is there for completeness.
    Dim,
}

impl Paint {
    /// Returns the text with the look of its ink.
    pub fn ink(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Plain => return text.to_owned(),
            Ink::Bold => "1",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Warn => "33",
            Ink::Accent => "36",
            Ink::Dim => "2",
        };
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}
