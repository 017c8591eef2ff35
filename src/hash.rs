//! Content hashes: what is compared instead of manifests.
//!
//! The format is versioned (`v1:`), and the bytes that are hashed are sorted `path = value` lines,
//! so neither the order of keys in a file nor a map type in this program can change a hash.
//! Digests of secret values are keyed: without the key nobody can try values against a label.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Returns the SHA-256 of some bytes as 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The installation's key for digests of secret values. It stays in the state folder.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// Returns the key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Key(bytes)
    }

    /// Returns the keyed digest (HMAC-SHA-256, RFC 2104) of some bytes: 64 hexadecimal digits.
    pub fn digest(&self, bytes: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(bytes);
        hex::encode(mac.finalize().into_bytes())
    }

    /// Returns eight digits that tell one key from another and reveal neither.
    fn fingerprint(&self) -> String {
        self.digest(b"driftless key fingerprint")[..8].to_owned()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(<secret>)")
    }
}

/// The value of one field in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldValue {
    /// A value that stands in Git and may be shown.
    Public(String),
    /// The keyed digest of a secret value.
    Secret(String),
    /// A value that may be shown and holds a keyed digest, as delivered files do: with another key it is
    /// another one, although the same is asked for.
    Keyed(String),
    /// A value that is known only when the replica is created, such as its address. The text names
    /// where it comes from.
    Computed(String),
}

/// Fields by path, as in `env[DB_HOST]`. Fields that have their default value are left out, so that
/// writing a default down changes nothing.
pub type Fields = BTreeMap<String, FieldValue>;

/// The hash of what was asked of a replica: `v1:<hash of what is public>:<keyed digest of the rest>`.
///
/// The second half begins with eight digits that identify the key, or is `0` without secret values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash {
    public: String,
    secret: String,
}

/// What comparing two hashes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The same was asked.
    Same,
    /// What is public is the same; the secret half was made with another key and cannot be compared.
    /// It is taken as equal, because losing a key must not restart anything.
    SameButKeyLost,
    /// Something else was asked.
    Different,
}

impl ContentHash {
    /// Returns the hash of some groups of fields; each group has a name of its own, so that a field
    /// cannot move from one to the other unseen.
    pub fn of<'a>(groups: impl IntoIterator<Item = (&'a str, &'a Fields)>, key: &Key) -> Self {
        let (mut public, mut secret) = (String::new(), String::new());
        for (group, fields) in groups {
            for (path, value) in fields {
                let (target, text) = match value {
                    FieldValue::Public(text) => (&mut public, text),
                    FieldValue::Computed(text) => (&mut public, text),
                    FieldValue::Secret(text) | FieldValue::Keyed(text) => (&mut secret, text),
                };
                // Lengths instead of separators: no value can imitate the next field.
                target.push_str(&format!("{}:{group}{}:{path}{}:{text}\n", group.len(), path.len(), text.len()));
            }
        }
        let secret = match secret.is_empty() {
            true => "0".to_owned(),
            false => format!("{}{}", key.fingerprint(), &key.digest(secret.as_bytes())[..32]),
        };
        ContentHash { public: sha256(public.as_bytes()), secret }
    }

    /// Compares with the hash that a label carries.
    pub fn compare(&self, label: &ContentHash) -> Match {
        if self.public != label.public {
            return Match::Different;
        }
        match (self.secret.as_str(), label.secret.as_str()) {
            (mine, theirs) if mine == theirs => Match::Same,
            ("0", _) | (_, "0") => Match::Different,
            (mine, theirs) if mine.get(..8) != theirs.get(..8) => Match::SameButKeyLost,
            _ => Match::Different,
        }
    }

    /// Returns the first digits, enough for people to tell two apart.
    pub fn short(&self) -> &str {
        &self.public[..12]
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1:{}:{}", self.public, self.secret)
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for ContentHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hexadecimal = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["v1", public, secret] if public.len() == 64 && !secret.is_empty() && hexadecimal(public) && hexadecimal(secret) => {
                Ok(ContentHash { public: (*public).to_owned(), secret: (*secret).to_owned() })
            }
            _ => Err(format!("`{text}` is not a content hash of this version (`v1:<hex>:<hex>`)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, FieldValue)]) -> Fields {
        pairs.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect()
    }

    #[test]
    fn a_hash_reads_back_from_its_label() {
        let key = Key::new([7; 32]);
        let hash = ContentHash::of([("c", &fields(&[("image", FieldValue::Public("a:1".into()))]))], &key);
        assert_eq!(ContentHash::try_from(hash.to_string()), Ok(hash));
        assert!(ContentHash::try_from("v2:00:00".to_owned()).is_err());
    }

    #[test]
    fn neighbouring_values_cannot_imitate_each_other() {
        let key = Key::new([7; 32]);
        let one = fields(&[("a", FieldValue::Public("1\n1:c1:b1:2".into()))]);
        let two = fields(&[("a", FieldValue::Public("1".into())), ("b", FieldValue::Public("2".into()))]);
        assert_ne!(ContentHash::of([("c", &one)], &key), ContentHash::of([("c", &two)], &key));
    }

    #[test]
    fn a_lost_key_is_told_from_a_changed_secret() {
        let (old, new) = (Key::new([1; 32]), Key::new([2; 32]));
        let secret = |key: &Key, value: &str| fields(&[("env[P]", FieldValue::Secret(key.digest(value.as_bytes())))]);
        let label = ContentHash::of([("c", &secret(&old, "a"))], &old);
        assert_eq!(ContentHash::of([("c", &secret(&old, "a"))], &old).compare(&label), Match::Same);
        assert_eq!(ContentHash::of([("c", &secret(&old, "b"))], &old).compare(&label), Match::Different);
        assert_eq!(ContentHash::of([("c", &secret(&new, "a"))], &new).compare(&label), Match::SameButKeyLost);
        assert_eq!(ContentHash::of([("c", &Fields::new())], &new).compare(&label), Match::Different);
        let files = |key: &Key| fields(&[("mounts[/etc]", FieldValue::Keyed(format!("content {}", key.digest(b"files"))))]);
        let label = ContentHash::of([("c", &files(&old))], &old);
        assert_eq!(ContentHash::of([("c", &files(&new))], &new).compare(&label), Match::SameButKeyLost);
    }
}
