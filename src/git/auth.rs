//! Which files hold what a repository asks for, and whether they fit where it is.
//!
//! Only paths stand here. The files are read anew at each fetch, so a rotated credential is used at
//! once; what is in them is never kept longer, and never printed.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::desired::Secret;

use super::location::Location;
use super::remote::Transport;

/// Read by others than its owner and group.
const OTHERS_READ: u32 = 0o004;

/// Files with what a repository asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Auth {
    /// Who asks (https).
    pub username_file: Option<PathBuf>,
    /// The user's password (https), or the passphrase of the key (ssh).
    pub password_file: Option<PathBuf>,
    /// A token of a forge (https).
    pub token_file: Option<PathBuf>,
    /// A private key (ssh).
    pub ssh_key_file: Option<PathBuf>,
    /// The host keys that are trusted (ssh), as `sshd(8)` describes; by default the user's own.
    pub known_hosts_file: Option<PathBuf>,
}

/// Files that do not go together, or not with the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthError {
    /// The field as an Application has it, as in `tokenFile`.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub hint: &'static str,
}

/// A credential that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not there, or may not be read.
    #[error("failed to read {field} `{}`", path.display())]
    Read {
        /// The field, as in `tokenFile`.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is in it.
    #[error("{field} `{}` is empty", path.display())]
    Empty {
        /// The field, as in `tokenFile`.
        field: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// It holds what can be neither a name nor a password.
    #[error("{field} `{}` is not one line of text", path.display())]
    Text {
        /// The field, as in `tokenFile`.
        field: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl Auth {
    /// Returns the fields that are set, by their names in an Application.
    fn fields(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [
            ("usernameFile", &self.username_file),
            ("passwordFile", &self.password_file),
            ("tokenFile", &self.token_file),
            ("sshKeyFile", &self.ssh_key_file),
            ("knownHostsFile", &self.known_hosts_file),
        ]
        .into_iter()
        .filter_map(|(field, path)| Some((field, path.as_deref()?)))
    }

    /// Checks that the files go together, and with where the repository is.
    ///
    /// # Errors
    ///
    /// The first field that does not fit. A credential over plain http is refused unless the
    /// repository is on this host: anybody on the way could read it.
    pub fn check(&self, location: &Location) -> Result<(), AuthError> {
        let wrong = |field, reason: &str, hint| Err(AuthError { field, reason: reason.to_owned(), hint });
        let first = self.fields().next().map(|(field, _)| field);
        let remote = match (location.remote(), first) {
            (Some(remote), _) => remote,
            (None, None) => return Ok(()),
            (None, Some(field)) => {
                return wrong(field, "is for https and ssh only", "leave it out: the agent reads local paths as its own user");
            }
        };
        match remote.transport {
            Transport::Ssh if self.ssh_key_file.is_none() => {
                wrong("sshKeyFile", "is missing: ssh needs a private key", "neither an ssh agent nor the user's own keys are tried")
            }
            Transport::Ssh if self.token_file.is_some() => wrong("tokenFile", "is for https only", "ssh asks for a key, as `sshKeyFile`"),
            Transport::Ssh if self.username_file.is_some() => {
                wrong("usernameFile", "is for https only", "write the user into the URL, as in `ssh://git@host/path`")
            }
            Transport::Ssh => Ok(()),
            _ if self.ssh_key_file.is_some() => wrong("sshKeyFile", "is for ssh only", "https asks for a token, as `tokenFile`"),
            _ if self.known_hosts_file.is_some() => wrong(
                "knownHostsFile",
                "is for ssh only",
                "certificates of https are checked against the host's own, or those in SSL_CERT_FILE",
            ),
            _ if self.token_file.is_some() && self.password_file.is_some() => {
                wrong("passwordFile", "cannot be given together with `tokenFile`", "give one of them")
            }
            _ if self.password_file.is_some() && self.username_file.is_none() => {
                wrong("passwordFile", "needs `usernameFile`", "a token alone goes into `tokenFile`")
            }
            _ if self.username_file.is_some() && self.password_file.is_none() && self.token_file.is_none() => {
                wrong("usernameFile", "needs `passwordFile` or `tokenFile`", "give one of them")
            }
            Transport::Http if !remote.is_this_host() => match first {
                Some(field) => wrong(field, "would be sent over plain http, where everybody on the way can read it", "use an https URL"),
                None => Ok(()),
            },
            Transport::Git => match first {
                Some(field) => wrong(field, "is for https and ssh only", "the git protocol knows no credentials"),
                None => Ok(()),
            },
            Transport::Http | Transport::Https => Ok(()),
        }
    }

    /// Returns the secret files that every user of this host may read.
    pub fn exposed(&self) -> Vec<PathBuf> {
        let secret = self.fields().filter(|(field, _)| !matches!(*field, "usernameFile" | "knownHostsFile"));
        let exposed = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS_READ != 0);
        secret.filter(|(_, path)| exposed(path)).map(|(_, path)| path.to_owned()).collect()
    }
}

/// Reads a file's one line; spaces and line feeds around it are not part of it.
pub(super) fn read(field: &'static str, path: &Path) -> Result<Secret, FileError> {
    let bytes = fs::read(path).map_err(|source| FileError::Read { field, path: path.to_owned(), source })?;
    let secret = bytes.trim_ascii();
    if secret.is_empty() {
        return Err(FileError::Empty { field, path: path.to_owned() });
    }
    match std::str::from_utf8(secret) {
        Ok(text) if !text.contains(char::is_control) => Ok(Secret::new(secret)),
        _ => Err(FileError::Text { field, path: path.to_owned() }),
    }
}

/// Checks that a file that others read is there and holds something.
pub(super) fn present(field: &'static str, path: &Path) -> Result<(), FileError> {
    let bytes = fs::read(path).map_err(|source| FileError::Read { field, path: path.to_owned(), source })?;
    match bytes.trim_ascii().is_empty() {
        true => Err(FileError::Empty { field, path: path.to_owned() }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(location: &str, fields: &[&str]) -> String {
        let mut auth = Auth::default();
        for field in fields {
            let path = Some(PathBuf::from("/f"));
            match *field {
                "username" => auth.username_file = path,
                "password" => auth.password_file = path,
                "token" => auth.token_file = path,
                "key" => auth.ssh_key_file = path,
                _ => auth.known_hosts_file = path,
            }
        }
        match auth.check(&Location::parse(location).unwrap()) {
            Ok(()) => "fits".to_owned(),
            Err(error) => format!("{} {}", error.field, error.reason),
        }
    }

    #[test]
    fn files_go_together_with_where_the_repository_is() {
        let https = "https://git.example/shop.git";
        for (location, fields, expected) in [
            (https, &[] as &[&str], "fits"),
            (https, &["token"], "fits"),
            (https, &["token", "username"], "fits"),
            (https, &["username", "password"], "fits"),
            (https, &["password"], "passwordFile needs `usernameFile`"),
            (https, &["username"], "usernameFile needs `passwordFile` or `tokenFile`"),
            (https, &["token", "password"], "passwordFile cannot be given together with `tokenFile`"),
            (https, &["key"], "sshKeyFile is for ssh only"),
            (https, &["known"], "knownHostsFile is for ssh only"),
            ("http://git.example/shop.git", &[], "fits"),
            ("http://git.example/shop.git", &["token"], "tokenFile would be sent over plain http, where everybody on the way can read it"),
            ("http://localhost:8080/shop.git", &["token"], "fits"),
            ("http://127.0.0.1:8080/shop.git", &["token"], "fits"),
            ("http://[::1]:8080/shop.git", &["token"], "fits"),
            (
                "http://127.0.0.1.evil.example/shop.git",
                &["token"],
                "tokenFile would be sent over plain http, where everybody on the way can read it",
            ),
            ("ssh://git@git.example/shop.git", &["key"], "fits"),
            ("git@git.example:shop.git", &["key", "known", "password"], "fits"),
            ("git@git.example:shop.git", &[], "sshKeyFile is missing: ssh needs a private key"),
            ("git@git.example:shop.git", &["key", "token"], "tokenFile is for https only"),
            ("git@git.example:shop.git", &["key", "username"], "usernameFile is for https only"),
            ("/srv/shop.git", &[], "fits"),
            ("/srv/shop.git", &["token"], "tokenFile is for https and ssh only"),
            ("git://git.example/shop.git", &["token"], "tokenFile is for https and ssh only"),
        ] {
            assert_eq!(check(location, fields), expected, "{location} {fields:?}");
        }
    }

    #[test]
    fn what_is_read_has_no_line_feed_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(read("tokenFile", &path), Err(FileError::Read { .. })));
        for (text, field) in [("\n", "is empty"), ("a\nb", "is not one line of text")] {
            fs::write(&path, text).unwrap();
            assert!(read("tokenFile", &path).unwrap_err().to_string().ends_with(field));
        }
        fs::write(&path, "canary-1\r\n").unwrap();
        let token = read("tokenFile", &path).unwrap();
        assert_eq!((token.expose(), format!("{token:?}").as_str()), (&b"canary-1"[..], "<secret>"));
    }

    #[test]
    fn files_that_everybody_may_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "t").unwrap();
        let auth = Auth { token_file: Some(path.clone()), username_file: Some(path.clone()), ..Auth::default() };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(auth.exposed().is_empty());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(auth.exposed(), [path]);
    }
}
