//! What a folder of this host is a clone of: for a first Application document.

use std::path::{Path, PathBuf};

use git2::Repository;

use super::remote::has_credentials;

/// A folder of this host that lies in a repository with files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The top folder of the repository.
    pub top: PathBuf,
    /// Where it was cloned from, without a user and a password.
    pub remote: Option<String>,
    /// The branch that is checked out.
    pub branch: Option<String>,
}

/// Returns the repository that a folder lies in, if it does.
pub fn origin_of(folder: &Path) -> Option<Origin> {
    let repository = Repository::discover(folder).ok()?;
    let top = std::fs::canonicalize(repository.workdir()?).ok()?;
    let names = repository.remotes().ok()?;
    let first = names.iter().flatten().flatten().next().unwrap_or("origin").to_owned();
    let remote = repository.find_remote("origin").or_else(|_| repository.find_remote(&first)).ok();
    let remote = remote.and_then(|remote| remote.url().ok().map(bare)).filter(|url| !url.is_empty());
    let branch = repository.head().ok().filter(git2::Reference::is_branch);
    let branch = branch.and_then(|branch| branch.shorthand().ok().map(str::to_owned));
    Some(Origin { top, remote, branch })
}

/// Returns a URL without a user and a password; the user of ssh is part of where it is.
fn bare(url: &str) -> String {
    if !has_credentials(url) {
        return url.to_owned();
    }
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (server, path) = rest.split_at(end);
            let (user, host) = server.rsplit_once('@').unwrap_or(("", server));
            match (scheme, user.split(':').next()) {
                ("ssh", Some(user)) if !user.is_empty() => format!("{scheme}://{user}@{host}{path}"),
                _ => format!("{scheme}://{host}{path}"),
            }
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_down_without_what_is_secret() {
        for (url, expected) in [
            ("https://git.example/shop.git", "https://git.example/shop.git"),
            ("https://me:secret@git.example/shop.git", "https://git.example/shop.git"),
            ("ssh://git:secret@git.example:22/shop.git", "ssh://git@git.example:22/shop.git"),
            ("git@git.example:shop.git", "git@git.example:shop.git"),
        ] {
            assert_eq!(bare(url), expected);
        }
    }
}
