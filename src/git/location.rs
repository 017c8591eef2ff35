//! Where a repository is: a URL, or a path of this host that holds a repository or a plain folder.
//!
//! What a path holds is looked up again each time, because it may not be there yet, or change.

use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::remote::{Remote, has_credentials};

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A path of this host: a repository, or a plain folder if there is none.
    Path(PathBuf),
    /// A folder of this host as its files are now, also if it is in a repository.
    Folder(PathBuf),
    /// An https, http, ssh or git URL, or `user@host:path`.
    Url(String),
}

/// Why a text is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing is written.
    #[error("is empty")]
    Empty,
    /// The scheme is unknown.
    #[error("has the unknown scheme `{0}`; https, ssh, git and file URLs and local paths are understood")]
    Scheme(String),
    /// A file URL names another host.
    #[error("names the host `{0}`; a file URL has three slashes, as in `file:///srv/shop.git`")]
    Host(String),
    /// A URL names no host, or a port that is none.
    #[error("names no host, or a port that is none")]
    NoHost,
    /// A URL holds a user, a token or a password. They are not repeated here.
    #[error("holds a user or a password; write it without them, and the files that hold them as `auth`")]
    Credentials,
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A repository, by the folder that holds its `HEAD`.
    Repository(PathBuf),
    /// A plain folder.
    Folder(PathBuf),
    /// Nothing, or no folder.
    Nothing,
}

impl Location {
    /// Reads a location as people write it. A relative path counts from the current folder.
    pub fn parse(text: &str) -> Result<Location, LocationError> {
        Location::parse_in(Path::new(""), text)
    }

    /// Reads a location as people write it. A relative path counts from `folder`.
    pub fn parse_in(folder: &Path, text: &str) -> Result<Location, LocationError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                "file" => match rest.split_once('/') {
                    Some(("" | "localhost", path)) => Ok(Location::path(Path::new(&percent_decode(&format!("/{path}"))))),
                    _ => Err(LocationError::Host(rest.split('/').next().unwrap_or_default().to_owned())),
                },
                "https" | "http" | "ssh" | "git" if has_credentials(text) => Err(LocationError::Credentials),
                "https" | "http" | "ssh" | "git" if Remote::parse(text).is_none() => Err(LocationError::NoHost),
                "https" | "http" | "ssh" | "git" => Ok(Location::Url(text.to_owned())),
                _ => Err(LocationError::Scheme(scheme.to_owned())),
            };
        }
        // `user@host:path`, as ssh and git read it: a colon before the first slash.
        match text.split_once(':') {
            Some((host, _)) if !host.contains('/') && host.contains('@') => Ok(Location::Url(text.to_owned())),
            _ => Ok(Location::path(&folder.join(text))),
        }
    }

    /// Returns the location of a folder as its files are now.
    pub fn folder(path: &Path) -> Location {
        Location::Folder(absolute(path))
    }

    fn path(path: &Path) -> Location {
        Location::Path(absolute(path))
    }

    /// Returns its path as forges write it, in lower case and without host and `.git`, as in `acme/shop`: the
    /// same for every way to write it.
    pub fn path_name(&self) -> String {
        match self {
            Location::Path(path) | Location::Folder(path) => path_name(&path.display().to_string()),
            Location::Url(url) => path_name(url),
        }
    }

    /// Returns the last part of its path without `.git`: what an application is called by default.
    pub fn name(&self) -> &str {
        let text = match self {
            Location::Path(path) | Location::Folder(path) => path.to_str().unwrap_or_default(),
            Location::Url(url) => url,
        };
        let text = text.trim_end_matches('/').trim_end_matches("/.git");
        let last = text.rsplit(['/', ':']).next().unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }

    /// Returns the server of a URL; `None` for a path.
    pub(super) fn remote(&self) -> Option<Remote> {
        match self {
            Location::Url(url) => Remote::parse(url),
            Location::Path(_) | Location::Folder(_) => None,
        }
    }

    /// Returns what the path holds; of a URL nothing.
    pub(super) fn content(&self) -> Content {
        let path = match self {
            Location::Path(path) if path.is_dir() => path,
            Location::Folder(path) if path.is_dir() => return Content::Folder(path.clone()),
            _ => return Content::Nothing,
        };
        let dot_git = path.join(".git");
        if is_repository(&dot_git) {
            return Content::Repository(dot_git);
        }
        // A work tree or a submodule has a file that names the folder.
        if let Some(git_dir) = fs::read_to_string(&dot_git).ok().as_deref().and_then(|text| text.strip_prefix("gitdir:")) {
            return Content::Repository(path.join(git_dir.trim()));
        }
        match is_repository(path) {
            true => Content::Repository(path.clone()),
            false => Content::Folder(path.clone()),
        }
    }
}

impl fmt::Display for Location {
    /// Writes the location without the user and password that a URL may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Path(path) | Location::Folder(path) => write!(f, "{}", path.display()),
            Location::Url(url) => match url.split_once("://") {
                Some((scheme, rest)) => {
                    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    let host = authority.rsplit('@').next().unwrap_or(authority);
                    write!(f, "{scheme}://{host}{path}")
                }
                None => f.write_str(url),
            },
        }
    }
}

/// Returns the path of `https://host/path`, `user@host:path` or a path of this host, in lower case and
/// without `.git`.
pub fn path_name(text: &str) -> String {
    let path = match (text.split_once("://"), text.split_once(':')) {
        (Some((_, rest)), _) => rest.split_once('/').map_or("", |(_, path)| path),
        (None, Some((host, path))) if !host.contains('/') => path,
        _ => text,
    };
    let path = path.trim_matches('/');
    path.strip_suffix(".git").unwrap_or(path).trim_matches('/').to_ascii_lowercase()
}

/// Makes a path absolute without asking what is there: it may not exist yet. `..` goes by name.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let byte = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        match byte {
            Some(byte) => {
                bytes.extend(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_as_people_write_them() {
        let url = |text: &str| Ok(Location::Url(text.to_owned()));
        let path = |text: &str| Ok(Location::Path(PathBuf::from(text)));
        for text in ["https://git.example/shop.git", "ssh://git@git.example:22/shop.git", "git@git.example:shop.git"] {
            assert_eq!(Location::parse(text), url(text));
        }
        assert_eq!(Location::parse("/srv/shop.git"), path("/srv/shop.git"));
        assert_eq!(Location::parse("file:///srv/my%20shop"), path("/srv/my shop"));
        assert_eq!(Location::parse("file://localhost/srv/shop"), path("/srv/shop"));
        assert_eq!(Location::parse("file://srv/shop"), Err(LocationError::Host("srv".into())));
        assert_eq!(Location::parse("svn://srv/shop"), Err(LocationError::Scheme("svn".into())));
        assert_eq!(Location::parse(" "), Err(LocationError::Empty));
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        for text in ["https://me:hunter2@git.example/a.git", "https://hunter2@git.example/a.git", "ssh://git:hunter2@git.example/a.git"] {
            let error = Location::parse(text).unwrap_err();
            assert_eq!(error, LocationError::Credentials);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_location_prints_without_its_user() {
        let location = Location::parse("ssh://git@git.example/a/shop.git").unwrap();
        assert_eq!(location.to_string(), "ssh://git.example/a/shop.git");
        assert_eq!(location.name(), "shop");
        assert_eq!(Location::parse("git@git.example:shop.git").unwrap().name(), "shop");
        assert_eq!(Location::parse("/srv/shop/.git/").unwrap().name(), "shop");
    }
}
