//! Finding what a ref means, in a repository of this host or far away, and getting it into the mirror.
//!
//! A repository of this host is read directly rather than by Git's own transport: that needs no
//! history, takes a millisecond, and works for repositories of other users. A branch goes before a tag
//! of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{Direction, ErrorCode, FetchOptions, ObjectType, Oid, ProxyOptions, Repository};

use super::access::{Access, AccessError};
use super::auth::Auth;
use super::mirror::{self, CopyError};
use super::remote::Remote;

/// Where the mirror keeps the branches and tags of a repository far away, so that the next fetch is
/// only of what is new.
const TIPS: &str = "refs/source";

/// Why a ref was not fetched.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The source cannot be read.
    Source(git2::Error),
    /// The server was not talked to, or does not take what it was shown.
    Access(AccessError),
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

/// What each ref led to.
pub(super) type Found = BTreeMap<String, Result<Oid, Trouble>>;

/// Copies the commits that refs name from a repository of this host.
pub(super) fn local(mirror: &Repository, git_dir: &Path, references: &BTreeSet<String>) -> Result<Found, Trouble> {
    // `open_bare` does not ask who owns the folder: the person who configured it has decided.
    let source = Repository::open_bare(git_dir).map_err(Trouble::Source)?;
    let copy = |reference: &String| {
        let commit = resolve(&source, reference)?;
        mirror::copy(&source, mirror, commit)?;
        Ok(commit)
    };
    Ok(references.iter().map(|reference| (reference.clone(), copy(reference))).collect())
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

/// What a ref of a repository far away is there.
enum Tip {
    /// A branch or tag, by its full name.
    Named(String, Oid),
    /// Perhaps the beginning of a commit's id.
    Digits,
    /// Nothing.
    Unknown,
}

/// Fetches the commits that refs name from a repository far away, in one connection.
pub(super) fn remote(mirror: &Repository, (url, auth): (&str, &Auth), references: &BTreeSet<String>) -> Result<Found, Trouble> {
    let server = Remote::parse(url).ok_or_else(|| Trouble::Source(git2::Error::from_str("its URL names no host")))?;
    let access = Access::read(server, auth).map_err(Trouble::Access)?;
    let failed = |source: git2::Error| access.error(&source).map_or(Trouble::Source(source), Trouble::Access);
    let mut remote = mirror.remote_anonymous(url).map_err(Trouble::Source)?;
    let mut connection = remote.connect_auth(Direction::Fetch, Some(access.callbacks()), Some(proxy())).map_err(failed)?;
    // An annotated tag is listed a second time with the commit behind it.
    let heads: BTreeMap<String, Oid> =
        connection.list().map_err(Trouble::Source)?.iter().map(|head| (head.name().to_owned(), head.oid())).collect();
    if heads.is_empty() {
        return Err(Trouble::Empty);
    }
    let tips: BTreeMap<&String, Tip> = references.iter().map(|reference| (reference, tip(&heads, reference))).collect();
    let mut specs = BTreeSet::new();
    for (reference, tip) in &tips {
        match tip {
            Tip::Named(name, oid) if mirror.find_object(*oid, None).is_err() => drop(specs.insert(format!("+{name}:{TIPS}/{name}"))),
            Tip::Digits if by_digits(mirror, reference).is_none() => {
                specs.extend(["heads", "tags"].map(|kind| format!("+refs/{kind}/*:{TIPS}/refs/{kind}/*")));
            }
            _ => {}
        }
    }
    if !specs.is_empty() {
        let specs: Vec<String> = specs.into_iter().collect();
        let remote = connection.remote();
        let mut options = FetchOptions::new();
        options.download_tags(git2::AutotagOption::None).remote_callbacks(access.callbacks()).proxy_options(proxy());
        remote.download(&specs, Some(&mut options)).map_err(failed)?;
        remote.update_tips(None, git2::RemoteUpdateFlags::empty(), git2::AutotagOption::None, None).map_err(Trouble::Mirror)?;
    }
    let unknown = || Trouble::Unknown(heads.keys().filter_map(|name| short(name)).map(str::to_owned).collect());
    let commit = |reference: &str, tip: &Tip| match tip {
        Tip::Named(_, oid) => {
            let object = mirror.find_object(*oid, None).map_err(Trouble::Mirror)?;
            object.peel(ObjectType::Commit).map(|commit| commit.id()).map_err(Trouble::Mirror)
        }
        Tip::Digits => by_digits(mirror, reference).ok_or_else(unknown),
        Tip::Unknown => Err(unknown()),
    };
    Ok(tips.iter().map(|(reference, tip)| ((*reference).clone(), commit(reference, tip))).collect())
}

fn tip(heads: &BTreeMap<String, Oid>, reference: &str) -> Tip {
    let named = |name: String| heads.get(&name).map(|oid| (name, *oid));
    let found = match is_head(reference) {
        true => named("HEAD".to_owned()),
        false => candidates(reference).into_iter().find_map(named),
    };
    match found {
        Some((name, oid)) => Tip::Named(name, oid),
        None if is_digits(reference) => Tip::Digits,
        None => Tip::Unknown,
    }
}

/// The proxy of the environment or of Git's own configuration.
fn proxy() -> ProxyOptions<'static> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
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

/// Returns the branches and tags that there are.
pub(super) fn names(repository: &Repository) -> Vec<String> {
    let Ok(references) = repository.references() else { return Vec::new() };
    references.flatten().filter_map(|reference| Some(short(reference.name().ok()?)?.to_owned())).collect()
}

/// Returns the name of a branch or tag as people write it.
fn short(name: &str) -> Option<&str> {
    let name = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))?;
    (!name.ends_with("^{}")).then_some(name)
}
