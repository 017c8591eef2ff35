//! Which applications a command is about: files of `Application` documents, a repository named by
//! flags, or a plain folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::desired::{Mode, OnFailure, Settings};
use crate::finding::{Finding, refuses};
use crate::git::{Auth, Location};
use crate::manifest::Format;
use crate::name::{Name, dns_label};
use crate::policy::{Enforce, Policy};
use crate::time::parse_duration;

use super::application::{Application, check_relative};
use super::compose;
use super::document::parse;
use super::error::Error;

/// Flags that name what an agent deploys.
#[derive(Debug, Clone, Args)]
pub struct ApplicationFlags {
    /// File of Application documents, or a folder of such files
    #[arg(long, value_name = "PATH", conflicts_with_all = ["repo", "reference", "path", "name", "AuthFlags", "SettingFlags"])]
    pub config: Option<PathBuf>,

    /// Repository: an https or ssh URL, or a path (repository or plain folder)
    #[arg(long, value_name = "URL")]
    pub repo: Option<String>,

    /// Branch, tag or commit [default: HEAD]
    #[arg(long = "ref", value_name = "REF", requires = "repo")]
    pub reference: Option<String>,

    /// Folder in the repository
    #[arg(long, value_name = "DIR", default_value = ".", value_parser = relative, requires = "repo")]
    pub path: String,

    /// Name of the application [default: the last part of the repository's path]
    #[arg(long, value_name = "APP", requires = "repo")]
    pub name: Option<String>,

    /// How often the repository is polled; 0 means never
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, requires = "repo")]
    pub interval: Duration,

    /// What the repository asks for.
    #[command(flatten)]
    pub auth: AuthFlags,

    /// How it is kept.
    #[command(flatten)]
    pub settings: SettingFlags,
}

/// Flags for files that hold what a repository asks for.
#[derive(Debug, Clone, Args)]
pub struct AuthFlags {
    /// File with the user (https)
    #[arg(long, value_name = "FILE", requires = "repo")]
    pub username_file: Option<PathBuf>,

    /// File with the user's password (https), or the key's passphrase (ssh)
    #[arg(long, value_name = "FILE", requires = "repo")]
    pub password_file: Option<PathBuf>,

    /// File with a token (https)
    #[arg(long, value_name = "FILE", requires = "repo")]
    pub token_file: Option<PathBuf>,

    /// File with the private key (ssh)
    #[arg(long, value_name = "FILE", requires = "repo")]
    pub ssh_key_file: Option<PathBuf>,

    /// File with the host keys that are trusted (ssh) [default: ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE", requires = "repo")]
    pub known_hosts_file: Option<PathBuf>,
}

/// Flags that say how an application is kept; they have the names and defaults of an Application's
/// fields.
#[derive(Debug, Clone, Args)]
pub struct SettingFlags {
    /// Namespace of objects that name none [default: the application's name]
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<Name>,

    /// Who decides when something changes
    #[arg(long, value_enum, value_name = "MODE", default_value_t = ModeFlag::Auto)]
    pub mode: ModeFlag,

    /// Remove what Git no longer has
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub prune: bool,

    /// Repair drift
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub self_heal: bool,

    /// When a container that somebody stopped or paused is healed
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub heal_stopped: Duration,

    /// How much the shipped policies weigh
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = EnforceFlag::Default)]
    pub enforce: EnforceFlag,

    /// What follows a rollout that fails
    #[arg(long, value_enum, value_name = "ACTION", default_value_t = OnFailureFlag::Rollback)]
    pub on_failure: OnFailureFlag,

    /// Longest wait for established connections
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub drain: Duration,

    /// Progress deadline where a manifest names none
    #[arg(long, value_name = "DURATION", default_value = "600s", value_parser = positive)]
    pub deadline: Duration,

    /// How long a connection waits while no replica is ready
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub hold: Duration,

    /// How long a replica without probe must have run
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub settle: Duration,

    /// Compose: a front for each service that declares a port
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub fronts: bool,

    /// Compose: folder of relative bind mounts that are not in the repository [default: STATE/data/APP]
    #[arg(long, value_name = "DIR", value_parser = compose::absolute)]
    pub data_root: Option<String>,

    /// Compose: folder with external configs and secrets, one file each
    #[arg(long, value_name = "DIR", value_parser = compose::absolute)]
    pub secrets_folder: Option<String>,

    /// Compose: what interpolation may see besides the repository's .env; once for each
    #[arg(long, value_name = "KEY=VALUE", value_parser = compose::variable)]
    pub variables: Vec<(String, String)>,

    /// Compose: profiles that are enabled, with commas in between
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub profiles: Vec<String>,
}

/// The words of `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeFlag {
    /// Applies and heals by itself
    Auto,
    /// Waits for `apply`; restarts what exits and keeps traffic in step
    Manual,
    /// Makes no changing call
    Observe,
}

/// The words of `--on-failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailureFlag {
    /// The application goes back to its last healthy revision
    Rollback,
    /// The rollout stops where it is
    Pause,
    /// The rollout goes on trying
    Continue,
}

/// The words of `--enforce`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnforceFlag {
    /// They warn
    Default,
    /// Those that protect the host deny, the others warn
    Baseline,
    /// They deny
    Restricted,
    /// They are not asked
    Privileged,
}

impl From<EnforceFlag> for Enforce {
    fn from(flag: EnforceFlag) -> Self {
        match flag {
            EnforceFlag::Default => Enforce::Default,
            EnforceFlag::Baseline => Enforce::Baseline,
            EnforceFlag::Restricted => Enforce::Restricted,
            EnforceFlag::Privileged => Enforce::Privileged,
        }
    }
}

impl ApplicationFlags {
    /// Returns the applications that the flags name.
    pub fn applications(&self) -> Result<Vec<Application>, Error> {
        match (&self.config, &self.repo) {
            (Some(path), _) => read(path),
            (None, Some(repo)) => {
                let location = Location::parse(repo).map_err(|reason| Error::Location { text: masked(repo), reason })?;
                let auth = self.auth.auth();
                auth.check(&location).map_err(|reason| Error::Auth { flag: flag(reason.field), reason })?;
                let mut application = self.settings.application(self.name.as_deref(), location)?;
                application.reference = self.reference.clone().unwrap_or_default();
                application.path.clone_from(&self.path);
                application.interval = self.interval;
                application.auth = auth;
                Ok(vec![application])
            }
            (None, None) => Err(Error::Nothing),
        }
    }
}

impl AuthFlags {
    fn auth(&self) -> Auth {
        // The files are read again at each fetch, wherever the process is by then.
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        Auth {
            username_file: absolute(&self.username_file),
            password_file: absolute(&self.password_file),
            token_file: absolute(&self.token_file),
            ssh_key_file: absolute(&self.ssh_key_file),
            known_hosts_file: absolute(&self.known_hosts_file),
        }
    }
}

/// Returns the flag of an Application's field: `--token-file` of `tokenFile`.
fn flag(field: &str) -> String {
    let mut flag = "--".to_owned();
    for letter in field.chars() {
        if letter.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(letter.to_ascii_lowercase());
    }
    flag
}

/// Returns a text in which the users and passwords of URLs are covered, letter by letter, so that places
/// in it stay what they are.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end =
            after.find(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '"' | '\'' | '?' | '#')).unwrap_or(after.len());
        let covered = after[..end].rfind('@').unwrap_or(0);
        masked.push_str(before);
        masked.extend(after[..covered].chars().map(|_| '*'));
        rest = &after[covered..];
    }
    masked + rest
}

impl SettingFlags {
    /// Returns the application of a location; by default it is called as the location's last part.
    pub fn application(&self, name: Option<&str>, location: Location) -> Result<Application, Error> {
        let text = name.unwrap_or(location.name()).to_owned();
        let name_error = |reason| Error::Name { text: text.clone(), reason };
        let name = Name::try_from(text.as_str()).map_err(name_error)?;
        let namespace = match &self.namespace {
            Some(namespace) => namespace.clone(),
            None => {
                dns_label(&text).map_err(name_error)?;
                name.clone()
            }
        };
        let interval = super::INTERVAL;
        let (reference, path, format) = (String::new(), ".".to_owned(), Format::Auto);
        let (auth, settings) = (Auth::default(), self.settings());
        let policy = Policy { enforce: self.enforce.into(), ..Policy::default() };
        Ok(Application { name, location, auth, reference, path, format, namespace, interval, settings, policy, forge: None })
    }

    /// Returns the settings.
    pub fn settings(&self) -> Settings {
        Settings {
            mode: match self.mode {
                ModeFlag::Auto => Mode::Auto,
                ModeFlag::Manual => Mode::Manual,
                ModeFlag::Observe => Mode::Observe,
            },
            prune: self.prune,
            self_heal: self.self_heal,
            heal_stopped: self.heal_stopped,
            on_failure: match self.on_failure {
                OnFailureFlag::Rollback => OnFailure::Rollback,
                OnFailureFlag::Pause => OnFailure::Pause,
                OnFailureFlag::Continue => OnFailure::Continue,
            },
            drain: self.drain,
            deadline: self.deadline,
            hold: self.hold,
            settle: self.settle,
            compose: compose::settings(self),
        }
    }
}

/// Reads the applications of a file, or of the files of a folder.
pub fn read(path: &Path) -> Result<Vec<Application>, Error> {
    let mut files = Vec::new();
    for file in list(path)? {
        let bytes = fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
        files.push((file, bytes));
    }
    let applications = parse_files(path, &files)?;
    match applications.is_empty() {
        true => Err(Error::None { path: path.to_owned() }),
        false => Ok(applications),
    }
}

/// Reads the applications of files that are at hand, of the file or folder `path`.
pub fn parse_files(path: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<Vec<Application>, Error> {
    let (applications, findings) = parse(files);
    if refuses(&findings) {
        let text = |(file, bytes): &(PathBuf, Vec<u8>)| (file.display().to_string(), masked(&String::from_utf8_lossy(bytes)));
        return Err(Error::Refused { path: path.to_owned(), findings, texts: files.iter().map(text).collect() });
    }
    Ok(applications)
}

/// What is wrong with Application documents, and the texts of the files that it is about.
#[derive(Debug, Default)]
pub struct Checked {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The files by name, with what may be secret left out.
    pub texts: Vec<(String, String)>,
}

/// Checks a file of Application documents, or a folder of such files; `None` if it holds something else.
///
/// # Errors
///
/// If it cannot be read.
pub fn check(path: &Path) -> Result<Option<Checked>, Error> {
    let mut files = Vec::new();
    for file in list(path)? {
        let bytes = fs::read(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
        files.push((file, bytes));
    }
    let is_ours = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("apiVersion:"));
        lines.any(|version| version.trim().trim_matches(['"', '\'']).starts_with("driftless.dev/"))
    };
    if !files.iter().any(|(_, bytes)| is_ours(bytes)) {
        return Ok(None);
    }
    let (_, findings) = parse(&files);
    let text = |(file, bytes): &(PathBuf, Vec<u8>)| (file.display().to_string(), masked(&String::from_utf8_lossy(bytes)));
    Ok(Some(Checked { findings, texts: files.iter().map(text).collect() }))
}

/// Returns the file itself, or the visible YAML files of a folder by name.
fn list(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "is no duration; write it as in `90s`, `1m30s` or `500ms`".to_owned())
}

fn positive(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|duration| if duration.is_zero() { Err("must be longer than 0".to_owned()) } else { Ok(duration) })
}

fn relative(text: &str) -> Result<String, String> {
    check_relative(text).map(|()| text.to_owned()).map_err(str::to_owned)
}

fn namespace(text: &str) -> Result<Name, String> {
    dns_label(text).and_then(|()| Name::try_from(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        flags: ApplicationFlags,
    }

    fn select(arguments: &[&str]) -> Result<Vec<Application>, String> {
        let all = std::iter::once("agent").chain(arguments.iter().copied());
        let command = Command::try_parse_from(all).map_err(|error| error.to_string())?;
        command.flags.applications().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_have_the_defaults_of_the_document() {
        let applications = select(&["--repo", "https://git.example/shop.git"]).unwrap();
        let expected = Application::new("shop", Location::parse("https://git.example/shop.git").unwrap()).unwrap();
        assert_eq!(applications, [expected]);
    }

    #[test]
    fn passwords_in_urls_are_covered_and_nothing_else() {
        for (text, expected) in [
            ("repo: https://me:p@ss@git.example/a # x@y", "repo: https://*******@git.example/a # x@y"),
            ("a: \"https://tök@h/a\"\nb: ssh://git@h/b", "a: \"https://***@h/a\"\nb: ssh://***@h/b"),
            ("mail: a@b.example\nhttps://h/a@b", "mail: a@b.example\nhttps://h/a@b"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn flags_say_what_documents_say() {
        let arguments =
            ["--repo", "/srv/My_Shop", "--ref", "v1", "--path", "deploy", "--name", "shop", "--mode", "observe", "--prune", "false"];
        let application = &select(&arguments).unwrap()[0];
        assert_eq!((application.reference.as_str(), application.path.as_str(), application.name.as_str()), ("v1", "deploy", "shop"));
        assert_eq!((application.settings.mode, application.settings.prune, application.settings.self_heal), (Mode::Observe, false, true));
    }

    #[test]
    fn flags_for_compose_say_what_documents_say() {
        let flags = "--repo /srv/shop --fronts false --data-root /srv/data --secrets-folder /etc/shop --variables A=1 --variables B=x=y \
                     --profiles debug,tools";
        let flags = select(&flags.split_whitespace().collect::<Vec<_>>()).unwrap();
        let document = "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: { name: shop }\nspec:\n  repo: /srv/shop\n  fronts: false\n  \
                        dataRoot: /srv/data\n  secretsFolder: /etc/shop\n  variables: { A: \"1\", B: x=y }\n  profiles: [debug, tools]\n";
        let document = parse_files(Path::new("a.yaml"), &[("a.yaml".into(), document.into())]).unwrap();
        assert_eq!(flags, document);
    }

    #[test]
    fn wrong_flags_are_refused_with_their_reason() {
        for (arguments, reason) in [
            (&[] as &[&str], "neither --config nor --repo was given"),
            (&["--repo", "/srv/My_Shop"], "failed to use `My_Shop` as the application's name: it has `M` at position 1"),
            (&["--repo", "svn://x"], "failed to read --repo `svn://x`: it has the unknown scheme `svn`"),
            (
                &["--repo", "https://me:canary@git.example/x"],
                "failed to read --repo `https://*********@git.example/x`: it holds a user or a password",
            ),
            (&["--repo", "http://git.example/x", "--token-file", "t"], "--token-file would be sent over plain http"),
            (&["--repo", "git@git.example:x"], "--ssh-key-file is missing: ssh needs a private key"),
            (&["--config", "/x", "--token-file", "t"], "cannot be used with"),
            (&["--repo", "/x", "--path", "/abs"], "must be a path in the repository"),
            (&["--repo", "/x", "--deadline", "0"], "must be longer than 0"),
            (&["--repo", "/x", "--drain", "10"], "is no duration"),
            (&["--repo", "/x", "--variables", "A"], "is not written as KEY=VALUE"),
            (&["--config", "/x", "--profiles", "a"], "cannot be used with"),
            (&["--config", "/x", "--repo", "/y"], "cannot be used with"),
            (&["--config", "/x", "--mode", "manual"], "cannot be used with"),
            (&["--config", "/nonexistent"], "failed to read `/nonexistent`"),
        ] {
            let error = select(arguments).unwrap_err();
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn a_folder_of_files_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, name: &str| {
            let text = format!("apiVersion: driftless.dev/v1\nkind: Application\nmetadata: {{ name: {name} }}\nspec: {{ repo: {name} }}\n");
            fs::write(folder.path().join(file), text).unwrap();
        };
        assert!(matches!(read(folder.path()), Err(Error::None { .. })));
        write("b.yaml", "one");
        write("a.yml", "two");
        write(".hidden.yaml", "three");
        write("notes.txt", "four");
        let applications = read(folder.path()).unwrap();
        let names: Vec<&str> = applications.iter().map(|application| application.name.as_str()).collect();
        assert_eq!(names, ["two", "one"]);
        assert_eq!(applications[0].location, Location::Path(folder.path().join("two")));
        write("c.yaml", "one");
        let Err(Error::Refused { findings, texts, .. }) = read(folder.path()) else { panic!("a duplicate") };
        assert_eq!((findings.len(), texts.len()), (1, 3));
        assert_eq!(findings[0].place.file, folder.path().join("c.yaml").display().to_string());
    }
}
