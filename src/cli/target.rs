//! What a command is about: an application by name, a folder, or everything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::{Application, SettingFlags};
use crate::git::Location;
use crate::time::parse_duration;

use super::error::Error;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs: one document per line
    Json,
    /// For reviews and issues
    Markdown,
}

/// How the report is written.
#[derive(Debug, Clone, Args)]
pub struct OutputFlags {
    /// How the report is written
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub output: Format,
}

/// The empty line between the reports of two applications; JSON has none.
#[derive(Debug, Default)]
pub struct Gap {
    begun: bool,
}

impl Gap {
    /// Returns what stands before the next report.
    pub fn before(&mut self, format: Format) -> &'static str {
        match std::mem::replace(&mut self.begun, true) && format != Format::Json {
            true => "\n",
            false => "",
        }
    }
}

/// Where applications are found when no agent answers.
#[derive(Debug, Clone, Args)]
pub struct AloneFlags {
    /// File of Application documents, or a folder of such files, to work without an agent
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

/// How a folder is deployed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How a PATH is deployed")]
pub struct FolderFlags {
    /// Name of the application [default: the folder's name]
    #[arg(long, value_name = "APP")]
    pub name: Option<String>,

    /// How it is kept.
    #[command(flatten)]
    pub settings: SettingFlags,
}

/// How long a command waits for others.
#[derive(Debug, Clone, Args)]
pub struct WaitFlags {
    /// How long to wait for what others must do: an image that is still built, a host in the way
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub wait: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write it with a unit, as in `90s` or `5m`".to_owned())
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All applications.
    All,
    /// One, by name.
    Application(String),
    /// The folder at a path, whether an agent knows it or not.
    Folder(PathBuf),
}

impl Target {
    /// Reads an argument: a path has a slash or is `.` or `..`, as shells tell programs from paths.
    pub fn parse(argument: Option<&str>) -> Target {
        match argument {
            None => Target::All,
            Some(text) if text.contains('/') || text == "." || text == ".." => Target::Folder(PathBuf::from(text)),
            Some(name) => Target::Application(name.to_owned()),
        }
    }

    /// Reads an argument that can only be a name.
    pub fn named(argument: Option<&str>) -> Target {
        argument.map_or(Target::All, |name| Target::Application(name.to_owned()))
    }

    /// Returns the application's name, if one is meant.
    pub fn name(&self) -> Option<String> {
        match self {
            Target::Application(name) => Some(name.clone()),
            Target::All | Target::Folder(_) => None,
        }
    }
}

impl FolderFlags {
    /// Returns the ids of the arguments that only a folder gives a meaning.
    pub fn ids() -> BTreeSet<String> {
        let command = FolderFlags::augment_args(clap::Command::new("folder"));
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
    }

    /// Returns the application that a folder is.
    ///
    /// # Errors
    ///
    /// If the folder is not there or its name cannot be an application's.
    pub fn application(&self, path: &Path) -> Result<Application, Error> {
        let absolute = std::fs::canonicalize(path).map_err(|source| Error::Path { path: path.to_owned(), source })?;
        Ok(self.settings.application(self.name.as_deref(), Location::folder(&absolute))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_makes_a_path() {
        assert_eq!(Target::parse(None), Target::All);
        assert_eq!(Target::parse(Some("shop")), Target::Application("shop".to_owned()));
        for path in [".", "..", "./shop", "shop/", "/srv/shop", "a/b"] {
            assert_eq!(Target::parse(Some(path)), Target::Folder(PathBuf::from(path)));
        }
    }
}
