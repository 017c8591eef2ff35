//! Host keys that are trusted, as `sshd(8)` describes the file.
//!
//! It fails closed: a key is trusted only if a line names its host and holds the very key. Keys that are
//! revoked are refused whatever else is written; certificate authorities are not known to the ssh library
//! here, so their lines trust nothing.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::remote::Remote;

/// A host's public key.
#[derive(Clone, PartialEq, Eq)]
pub struct HostKey(Vec<u8>);

/// Why a host is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// There is no file, or it may not be read.
    #[error("`{server}` shows {key}, and the known hosts `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// The server.
        server: Server,
        /// What it shows.
        key: HostKey,
    },
    /// No line names the host.
    #[error("`{server}` is not in the known hosts `{}`: it shows {key}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The server.
        server: Server,
        /// What it shows.
        key: HostKey,
    },
    /// The host is known by other keys.
    #[error("`{server}` shows {key}, but `{}:{line}` trusts another key for it", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The line of the first other key.
        line: usize,
        /// The server.
        server: Server,
        /// What it shows.
        key: HostKey,
    },
    /// The key was revoked.
    #[error("`{server}` shows {key}, which `{}:{line}` revokes", path.display())]
    Revoked {
        /// The file.
        path: PathBuf,
        /// The line that revokes it.
        line: usize,
        /// The server.
        server: Server,
        /// What it shows.
        key: HostKey,
    },
    /// The library shows no key of the host.
    #[error("the server shows no host key")]
    NoKey,
    /// Nothing says where the known hosts are.
    #[error("there is no known hosts file: neither `auth.knownHostsFile` nor HOME is set")]
    NoFile,
}

/// A server as the file names it: `host`, or `[host]:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: Option<u16>,
}

impl HostKey {
    /// Wraps a key as it goes over the wire (RFC 4253, section 6.6).
    pub(super) fn new(bytes: &[u8]) -> Self {
        HostKey(bytes.to_vec())
    }

    /// Returns the key's type, which it begins with.
    fn algorithm(&self) -> &str {
        let length = self.0.first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
        let name = length.and_then(|length| self.0.get(4..)?.get(..length));
        name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or("unknown")
    }
}

impl fmt::Display for HostKey {
    /// Writes the key as `ssh-keygen -l` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} key SHA256:{}", self.algorithm(), STANDARD_NO_PAD.encode(Sha256::digest(&self.0)))
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Server {
    /// Returns how a server is named.
    pub(super) fn of(remote: &Remote) -> Server {
        Server { host: remote.host.to_ascii_lowercase(), port: remote.port }
    }

    /// Returns the command that asks the server for its keys.
    fn scan(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} ")).unwrap_or_default();
        format!("ssh-keyscan {port}{}", self.host)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "[{}]:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl HostKeyError {
    /// Returns what to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            HostKeyError::Read { path, server, .. } | HostKeyError::Unknown { path, server, .. } => format!(
                "compare the key with what the server's operator publishes, and only then add it: `{} >> {}`; whoever stands in between answers \
                 ssh-keyscan, too",
                server.scan(),
                path.display()
            ),
            HostKeyError::Changed { path, server, .. } => format!(
                "either the server has a new key or somebody stands in between: ask its operator. If the key is right: `ssh-keygen -R '{server}' -f {}`, \
                 then `{} >> {}`",
                path.display(),
                server.scan(),
                path.display()
            ),
            HostKeyError::Revoked { .. } => "that key must not be used any more: ask the server's operator for the new one".to_owned(),
            HostKeyError::NoKey => "is it an ssh server?".to_owned(),
            HostKeyError::NoFile => "name a file as `auth.knownHostsFile`".to_owned(),
        }
    }
}

/// Returns the file of the user's own known hosts.
pub(super) fn users_file() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".ssh/known_hosts"))
}

/// Checks a server's key against a file.
pub(super) fn check(path: &Path, server: Server, key: HostKey) -> Result<(), HostKeyError> {
    match fs::read_to_string(path) {
        Ok(text) => judge(path, &text, server, key),
        Err(source) => Err(HostKeyError::Read { path: path.to_owned(), source, server, key }),
    }
}

fn judge(path: &Path, text: &str, server: Server, key: HostKey) -> Result<(), HostKeyError> {
    let name = server.to_string();
    let path = path.to_owned();
    let (mut trusted, mut other) = (false, None);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let (marker, hosts) = match first.starts_with('@') {
            true => (Some(first), words.next().unwrap_or_default()),
            false => (None, first),
        };
        let (Some(_algorithm), Some(known)) = (words.next(), words.next()) else { continue };
        if !matches(hosts, &name) {
            continue;
        }
        let same = STANDARD.decode(known).is_ok_and(|known| known == key.0);
        match marker {
            Some("@revoked") if same => return Err(HostKeyError::Revoked { path, line: index + 1, server, key }),
            None if same => trusted = true,
            None => other = other.or(Some(index + 1)),
            // An authority's key, or a marker that nobody knows.
            Some(_) => {}
        }
    }
    match (trusted, other) {
        (true, _) => Ok(()),
        (false, Some(line)) => Err(HostKeyError::Changed { path, line, server, key }),
        (false, None) => Err(HostKeyError::Unknown { path, server, key }),
    }
}

/// Tells whether a line's first field names a server: a hash, or patterns of which none excludes it.
fn matches(hosts: &str, name: &str) -> bool {
    if let Some(hash) = hosts.strip_prefix("|1|") {
        return hash.split_once('|').is_some_and(|(salt, hash)| is_hash(salt, hash, name));
    }
    let mut found = false;
    for pattern in hosts.split(',') {
        let (excludes, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |pattern| (true, pattern));
        if fits(&pattern.to_ascii_lowercase(), name) {
            if excludes {
                return false;
            }
            found = true;
        }
    }
    found
}

/// Tells whether a hash is that of a name: HMAC-SHA-1 with the salt as its key.
fn is_hash(salt: &str, hash: &str, name: &str) -> bool {
    let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
    mac.chain_update(name.as_bytes()).verify_slice(&hash).is_ok()
}

/// Tells whether a name fits a pattern with `*` and `?`.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // What is left of both after the last star, to go back to.
    let (mut at, mut upto, mut star) = (0, 0, None);
    while upto < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, upto));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == name[upto] => {
                at += 1;
                upto += 1;
            }
            _ => match star {
                Some((back, from)) => {
                    star = Some((back, from + 1));
                    at = back + 1;
                    upto = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ssh-keygen -t ed25519` made, and its fingerprint by `ssh-keygen -l`.
    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIDlN/cTZLJxa/XDv8FV1vD+f1tHPOFdZP1HB/JoNSG2A";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn verdict(line: &str, url: &str) -> String {
        let server = Server::of(&Remote::parse(url).unwrap());
        let key = HostKey::new(&STANDARD.decode(KEY).unwrap());
        match judge(Path::new("/k"), line, server, key) {
            Ok(()) => "trusted".to_owned(),
            Err(HostKeyError::Unknown { .. }) => "unknown".to_owned(),
            Err(HostKeyError::Changed { line, .. }) => format!("changed {line}"),
            Err(HostKeyError::Revoked { line, .. }) => format!("revoked {line}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_key_is_trusted_only_for_the_host_it_stands_beside() {
        let (plain, port) = ("ssh://git@git.example/a.git", "ssh://git@git.example:2222/a.git");
        for (line, url, expected) in [
            (format!("git.example ssh-ed25519 {KEY}"), plain, "trusted"),
            (format!("Git.Example ssh-ed25519 {KEY} a comment"), plain, "trusted"),
            (format!("git.example ssh-ed25519 {KEY}"), port, "unknown"),
            (format!("[git.example]:2222 ssh-ed25519 {KEY}"), port, "trusted"),
            (format!("[git.example]:2222 ssh-ed25519 {KEY}"), plain, "unknown"),
            (format!("a.example,git.example ssh-ed25519 {KEY}"), plain, "trusted"),
            (format!("*.example ssh-ed25519 {KEY}"), plain, "trusted"),
            (format!("g?t.*ple ssh-ed25519 {KEY}"), plain, "trusted"),
            (format!("*.example,!git.example ssh-ed25519 {KEY}"), plain, "unknown"),
            (format!("# git.example ssh-ed25519 {KEY}"), plain, "unknown"),
            (format!("\ngit.example ssh-ed25519 {OTHER}"), plain, "changed 2"),
            (format!("git.example ssh-ed25519 {OTHER}\ngit.example ssh-ed25519 {KEY}"), plain, "trusted"),
            (format!("git.example ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}"), plain, "revoked 2"),
            (format!("@revoked git.example ssh-ed25519 {OTHER}\ngit.example ssh-ed25519 {KEY}"), plain, "trusted"),
            (format!("@cert-authority *.example ssh-ed25519 {KEY}"), plain, "unknown"),
            ("git.example".to_owned(), plain, "unknown"),
            (String::new(), plain, "unknown"),
        ] {
            assert_eq!(verdict(&line, url), expected, "{line}");
        }
    }

    #[test]
    fn a_hashed_name_is_found() {
        // `ssh-keygen -H` of a file with `git.example` and `[git.example]:2222`.
        let (plain, port) = ("ssh://git@git.example/a.git", "ssh://git@git.example:2222/a.git");
        let (first, second) = (
            "|1|Y3G7wp3pw14vwwc66UJgBpcQ0Lw=|+z8qUaXUjV2etuLUEzZ+Sz6VdrQ=",
            "|1|WnoL5e4OMWGijAT4v4AZtWYbvmk=|sqYsuJwYpI9auYBVqW+cwTmkLFs=",
        );
        for (hash, url, expected) in
            [(first, plain, "trusted"), (first, port, "unknown"), (second, port, "trusted"), (second, plain, "unknown")]
        {
            assert_eq!(verdict(&format!("{hash} ssh-ed25519 {KEY}"), url), expected, "{hash} {url}");
        }
    }

    #[test]
    fn a_key_prints_as_its_fingerprint() {
        let key = HostKey::new(&STANDARD.decode(KEY).unwrap());
        assert_eq!(key.to_string(), "the ssh-ed25519 key SHA256:0ZcKmu1p/jcF9zytGjkBZMjIPO2LQyZAZ61oReLLRKo");
        assert_eq!(HostKey::new(b"x").algorithm(), "unknown");
    }
}
