//! `check`: whether manifests are right, without engine or network.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, Application, EnforceFlag};
use crate::finding::refuses;
use crate::git::Location;
use crate::policy::Policy;
use crate::report::{check_json, check_markdown};

use super::Context;
use super::error::Error;
use super::exit::Exit;
use super::folder::{Findings, read};
use super::target::{Format, OutputFlags};

const EXAMPLES: &str = "Examples:
  driftless check deploy/              one application
  driftless check apps/*               several, each folder by itself
  driftless check . -o json            for programs

It exits with 1 if anything is an error. Warnings and notes never change the exit code.";

/// Check manifests, without Docker or network
///
/// Everything that is wrong is shown in one run, with its place, its line and what to write instead. Each PATH is read as one
/// application: a folder, or a single file. Application documents, as `driftless agent --config` takes them, are checked as such.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Folders or files of manifests
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// How much the shipped policies weigh
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = EnforceFlag::Default)]
    enforce: EnforceFlag,

    #[command(flatten)]
    output: OutputFlags,
}

pub(super) async fn run(context: &Context, arguments: &Check) -> Result<Exit, Error> {
    let mut findings = Findings::default();
    for path in &arguments.paths {
        if path.exists()
            && let Some(checked) = config::check(path)?
        {
            findings.add_checked(checked);
            continue;
        }
        let policy = Policy { enforce: arguments.enforce.into(), ..Policy::default() };
        let application = Application { policy, ..application(path)? };
        findings.add(path, &read(&context.flags, path, &application).await?);
    }
    context.ui.data(&match arguments.output.output {
        Format::Text if findings.all.is_empty() => "No errors, no warnings.\n".to_owned(),
        Format::Text => findings.text(context.ui.out),
        Format::Json => check_json(&findings.all),
        Format::Markdown => check_markdown(&findings.all),
    })?;
    Ok(if refuses(&findings.all) { Exit::Act } else { Exit::Done })
}

/// Returns the application that a path is. What it is called does not matter here.
fn application(path: &Path) -> Result<Application, Error> {
    let absolute = std::fs::canonicalize(path).map_err(|source| Error::Path { path: path.to_owned(), source })?;
    let location = Location::folder(&absolute);
    let named = Application::new(location.name(), location.clone());
    Ok(named.unwrap_or_else(|_| Application::new("application", location).expect("the name is a label")))
}
