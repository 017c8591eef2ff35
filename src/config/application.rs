//! One application: which folder of which repository is deployed, and how it is kept.
//!
//! Documents and flags both end here; nothing has been opened or fetched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::desired::Settings;
use crate::git::{Auth, Location};
use crate::manifest::Format;
use crate::name::{Name, NameError, dns_label};
use crate::policy::Policy;

/// How often a source is polled unless somebody says otherwise.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// One folder of one repository at one ref, and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub name: Name,
    /// Where its repository is.
    pub location: Location,
    /// The files that hold what it asks for.
    pub auth: Auth,
    /// Branch, tag or commit; empty for `HEAD`.
    pub reference: String,
    /// The folder in the repository; `.` for all of it.
    pub path: String,
    /// How its files are read.
    pub format: Format,
    /// The namespace of objects that name none.
    pub namespace: Name,
    /// How often the source is polled; zero means never.
    pub interval: Duration,
    /// How it is kept.
    pub settings: Settings,
    /// What its manifests are judged by, besides the folder that all are.
    pub policy: Policy,
    /// The forge whose pull requests are answered, if any are.
    pub forge: Option<Forge>,
}

/// The repository at a forge whose pull requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forge {
    /// Which forge it is.
    pub kind: ForgeKind,
    /// Its web address, as in `https://git.example`.
    pub url: String,
    /// The repository, as in `acme/shop`.
    pub repository: String,
    /// The file that holds the token.
    pub token_file: PathBuf,
}

/// Which forge it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeKind {
    /// github.com, or GitHub Enterprise Server.
    GitHub,
    /// Gitea or Forgejo.
    Gitea,
}

impl Application {
    /// Returns an application with the default settings.
    ///
    /// # Errors
    ///
    /// The name is also the namespace, so it must be one.
    pub fn new(name: &str, location: Location) -> Result<Self, NameError> {
        dns_label(name)?;
        let name = Name::try_from(name)?;
        Ok(Application {
            namespace: name.clone(),
            name,
            location,
            auth: Auth::default(),
            reference: String::new(),
            path: ".".to_owned(),
            format: Format::Auto,
            interval: INTERVAL,
            settings: Settings::default(),
            policy: Policy::default(),
            forge: None,
        })
    }
}

impl Application {
    /// Returns the application with the folders that it has below a state folder unless it names others.
    pub fn below(mut self, state: &Path) -> Self {
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        let root = || state.join("data").join(self.name.as_str()).display().to_string();
        self.settings.compose.data_root.get_or_insert_with(root);
        self
    }
}

/// Checks that a path stays in its repository.
pub(super) fn check_relative(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("must be a path in the repository, without `/` at its beginning");
    }
    let mut depth = 0;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return Err("leaves the repository"),
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}
