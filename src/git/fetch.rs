//! Finding what a ref means, in a repository of this host or far away, and getting it into the mirror.
//!
//! A repository of this host is read directly rather than by Git's own transport: that needs no
//! history, takes a millisecond, and works for repositories of other users. A branch goes before a tag
//! of the same name.

use std::path::Path;

use git2::{Direction, ErrorCode, FetchOptions, ObjectType, Oid, ProxyOptions, Repository};

use super::mirror::{self, CopyError};

/// Where the mirror keeps the branches and tags of a repository far away, so that the next fetch is
/// only of what is new.
const TIPS: &str = "refs/source";

/// Why a ref was not fetched.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The source cannot be read.
    Source(git2::Error),
    /// The mirror cannot be read or written.
    Mirror(git2::Error),
    /// There is no such ref; these are the ones that there are.
    Unknown(Vec<String>),
    /// There is no commit.
    Empty,
}

impl From<CopyError> for Trouble {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::From(error) => Trouble::Source(error),
            CopyError::To(error) => Trouble::Mirror(error),
        }
    }
}

/// Copies the commit that a ref names from a repository of this host.
pub(super) fn local(mirror: &Repository, git_dir: &Path, reference: &str) -> Result<Oid, Trouble> {
    // `open_bare` does not ask who owns the folder: the person who configured it has decided.
    let source = Repository::open_bare(git_dir).map_err(Trouble::Source)?;
    let commit = resolve(&source, reference)?;
    mirror::copy(&source, mirror, commit)?;
    Ok(commit)
}

fn resolve(source: &Repository, reference: &str) -> Result<Oid, Trouble> {
    if is_head(reference) {
        return match source.head().and_then(|head| head.peel_to_commit()) {
            Ok(commit) => Ok(commit.id()),
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                let known = names(source);
                Err(if known.is_empty() { Trouble::Empty } else { Trouble::Unknown(known) })
            }
            Err(error) => Err(Trouble::Source(error)),
        };
    }
    for name in candidates(reference) {
        match source.find_reference(&name).and_then(|found| found.peel_to_commit()) {
            Ok(commit) => return Ok(commit.id()),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {}
            Err(error) => return Err(Trouble::Source(error)),
        }
    }
    by_digits(source, reference).ok_or_else(|| Trouble::Unknown(names(source)))
}

/// Fetches the commit that a ref names from a repository far away.
pub(super) fn remote(mirror: &Repository, url: &str, reference: &str) -> Result<Oid, Trouble> {
    let mut remote = mirror.remote_anonymous(url).map_err(Trouble::Source)?;
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    let mut connection = remote.connect_auth(Direction::Fetch, None, Some(proxy)).map_err(Trouble::Source)?;
    let heads: Vec<(String, Oid)> =
        connection.list().map_err(Trouble::Source)?.iter().map(|head| (head.name().to_owned(), head.oid())).collect();
    if heads.is_empty() {
        return Err(Trouble::Empty);
    }
    // An annotated tag is listed a second time with the commit behind it.
    let tip = |name: &str| heads.iter().find(|(head, _)| head == name).map(|(_, oid)| *oid);
    let named = match is_head(reference) {
        true => tip("HEAD").map(|oid| ("HEAD".to_owned(), oid)),
        false => candidates(reference).into_iter().find_map(|name| tip(&name).map(|oid| (name, oid))),
    };
    let (specs, wanted) = match &named {
        Some((name, oid)) => (vec![format!("+{name}:{TIPS}/{name}")], Some(*oid)),
        None => (vec![format!("+refs/heads/*:{TIPS}/refs/heads/*"), format!("+refs/tags/*:{TIPS}/refs/tags/*")], None),
    };
    let known = || heads.iter().filter_map(|(name, _)| short(name)).map(str::to_owned).collect();
    if wanted.is_none()
        && let Some(commit) = by_digits(mirror, reference)
    {
        return Ok(commit);
    }
    if wanted.is_none() && !is_digits(reference) {
        return Err(Trouble::Unknown(known()));
    }
    if wanted.is_none_or(|oid| mirror.find_object(oid, None).is_err()) {
        let remote = connection.remote();
        let mut options = FetchOptions::new();
        options.download_tags(git2::AutotagOption::None);
        remote.download(&specs, Some(&mut options)).map_err(Trouble::Source)?;
        remote.update_tips(None, git2::RemoteUpdateFlags::empty(), git2::AutotagOption::None, None).map_err(Trouble::Mirror)?;
    }
    match wanted {
        Some(oid) => {
            let object = mirror.find_object(oid, None).map_err(Trouble::Mirror)?;
            object.peel(ObjectType::Commit).map(|commit| commit.id()).map_err(Trouble::Mirror)
        }
        None => by_digits(mirror, reference).ok_or_else(|| Trouble::Unknown(known())),
    }
}

fn is_head(reference: &str) -> bool {
    matches!(reference, "" | "HEAD")
}

fn candidates(reference: &str) -> Vec<String> {
    match reference.starts_with("refs/") {
        true => vec![reference.to_owned()],
        false => vec![format!("refs/heads/{reference}"), format!("refs/tags/{reference}")],
    }
}

fn is_digits(reference: &str) -> bool {
    (4..=40).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn by_digits(repository: &Repository, reference: &str) -> Option<Oid> {
    let object = is_digits(reference).then(|| repository.find_object_by_prefix(reference, None).ok())??;
    object.peel(ObjectType::Commit).ok().map(|commit| commit.id())
}

fn names(repository: &Repository) -> Vec<String> {
    let Ok(references) = repository.references() else { return Vec::new() };
    references.flatten().filter_map(|reference| Some(short(reference.name().ok()?)?.to_owned())).collect()
}

/// Returns the name of a branch or tag as people write it.
fn short(name: &str) -> Option<&str> {
    let name = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))?;
    (!name.ends_with("^{}")).then_some(name)
}
