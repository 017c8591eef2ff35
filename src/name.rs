//! Checked names: of objects, of replicas, of the installation.
//!
//! A value of these types is valid by construction, so no later room checks a name again. What a
//! *format* demands beyond that (a Kubernetes Service is a DNS label, a Compose service may have
//! capitals) is the loader's business and is reported there with file and line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than a name may be.
    #[error("has {length} characters, more than the {limit} that are allowed")]
    TooLong {
        /// Characters of the text.
        length: usize,
        /// Characters that are allowed.
        limit: usize,
    },
    /// A character stands where it may not.
    #[error("has `{character}` at position {position}; {allowed}")]
    Character {
        /// The offending character.
        character: char,
        /// Its place, counted from 1.
        position: usize,
        /// What would be allowed, as half a sentence.
        allowed: &'static str,
    },
}

/// The name of an object: letters, digits, `_`, `.` and `-`, beginning with a letter or digit, at
/// most 253 characters. This is what Docker, Compose and Kubernetes names have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        check(&text, 253, "only letters, digits, `_`, `.` and `-` are allowed, and the first is a letter or digit", |c, first| {
            c.is_ascii_alphanumeric() || (!first && matches!(c, '_' | '.' | '-'))
        })?;
        Ok(Name(text))
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Name::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a DNS-1123 label (RFC 1123, section 2.1): lower-case letters, digits and `-`, not at
/// either end, at most 63 characters.
pub fn dns_label(text: &str) -> Result<(), NameError> {
    const ALLOWED: &str = "only lower-case letters, digits and `-` are allowed, with a letter or digit at both ends";
    check(text, 63, ALLOWED, |c, first| c.is_ascii_lowercase() || c.is_ascii_digit() || (!first && c == '-'))?;
    ends_well(text, ALLOWED)
}

/// Checks a DNS-1123 subdomain: DNS labels joined by dots, at most 253 characters.
pub fn dns_subdomain(text: &str) -> Result<(), NameError> {
    const ALLOWED: &str = "only lower-case letters, digits, `-` and `.` are allowed, with a letter or digit at both ends of each part";
    check(text, 253, ALLOWED, |c, first| c.is_ascii_lowercase() || c.is_ascii_digit() || (!first && matches!(c, '-' | '.')))?;
    for label in text.split('.') {
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            let position = text.len() - text.rsplit('.').next().map_or(0, str::len);
            return Err(NameError::Character { character: '.', position, allowed: ALLOWED });
        }
    }
    Ok(())
}

fn ends_well(text: &str, allowed: &'static str) -> Result<(), NameError> {
    match text.chars().last() {
        Some('-') => Err(NameError::Character { character: '-', position: text.chars().count(), allowed }),
        _ => Ok(()),
    }
}

fn check(text: &str, limit: usize, allowed: &'static str, accept: impl Fn(char, bool) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let length = text.chars().count();
    if length > limit {
        return Err(NameError::TooLong { length, limit });
    }
    match text.chars().enumerate().find(|(i, c)| !accept(*c, *i == 0)) {
        Some((index, character)) => Err(NameError::Character { character, position: index + 1, allowed }),
        None => Ok(()),
    }
}

/// The kind of an object, in the word that its author uses: Kubernetes kinds begin with a capital,
/// Compose elements do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Kubernetes Namespace.
    Namespace,
    /// Kubernetes ConfigMap.
    ConfigMap,
    /// Kubernetes Secret.
    Secret,
    /// Kubernetes PersistentVolumeClaim.
    PersistentVolumeClaim,
    /// Kubernetes Service.
    Service,
    /// Kubernetes Deployment.
    Deployment,
    /// The container that holds the addresses of services.
    Front,
    /// The network that the installation's Kubernetes replicas share.
    Network,
    /// Delivered content: the files of ConfigMaps and Secrets.
    Content,
    /// A container image.
    Image,
    /// Compose service.
    ComposeService,
    /// Compose network.
    ComposeNetwork,
    /// Compose volume.
    ComposeVolume,
}

impl Kind {
    /// Returns the word that object names carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Namespace => "Namespace",
            Kind::ConfigMap => "ConfigMap",
            Kind::Secret => "Secret",
            Kind::PersistentVolumeClaim => "PersistentVolumeClaim",
            Kind::Service => "Service",
            Kind::Deployment => "Deployment",
            Kind::Front => "Front",
            Kind::Network => "Network",
            Kind::Content => "Content",
            Kind::Image => "Image",
            Kind::ComposeService => "service",
            Kind::ComposeNetwork => "network",
            Kind::ComposeVolume => "volume",
        }
    }

    /// Returns the kind that a word names.
    pub fn parse(word: &str) -> Option<Kind> {
        [
            Kind::Namespace,
            Kind::ConfigMap,
            Kind::Secret,
            Kind::PersistentVolumeClaim,
            Kind::Service,
            Kind::Deployment,
            Kind::Front,
            Kind::Network,
            Kind::Content,
            Kind::Image,
            Kind::ComposeService,
            Kind::ComposeNetwork,
            Kind::ComposeVolume,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One object: `shop/Deployment/web`. Of a replica: `shop/Deployment/web/x7k2p`.
///
/// Equality, order and text cover all four parts, so one map can hold workloads and replicas.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId {
    /// The namespace (Kubernetes) or project (Compose); of a shared object the owner.
    pub namespace: Name,
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// Which replica of the workload, if the object is one.
    pub replica: Option<Name>,
}

impl ObjectId {
    /// Returns the id of an object that is not a replica.
    pub fn new(namespace: Name, kind: Kind, name: Name) -> Self {
        ObjectId { namespace, kind, name, replica: None }
    }

    /// Returns the id of one replica of this workload.
    pub fn with_replica(&self, replica: Name) -> Self {
        ObjectId { replica: Some(replica), ..self.clone() }
    }

    /// Returns the id of the workload that a replica belongs to; of anything else itself.
    pub fn workload(&self) -> Self {
        ObjectId { replica: None, ..self.clone() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.kind, self.name)?;
        match &self.replica {
            Some(replica) => write!(f, "/{replica}"),
            None => Ok(()),
        }
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> String {
        id.to_string()
    }
}

/// Why a text is not the id of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an object: write NAMESPACE/KIND/NAME, as in `shop/Deployment/web`")]
pub struct ObjectIdError(String);

impl TryFrom<String> for ObjectId {
    type Error = ObjectIdError;

    fn try_from(text: String) -> Result<Self, ObjectIdError> {
        let parts: Vec<&str> = text.split('/').collect();
        let parse = || -> Option<ObjectId> {
            let (namespace, kind, name, replica) = match parts.as_slice() {
                [namespace, kind, name] => (namespace, kind, name, None),
                [namespace, kind, name, replica] => (namespace, kind, name, Some(Name::try_from(*replica).ok()?)),
                _ => return None,
            };
            Some(ObjectId {
                namespace: Name::try_from(*namespace).ok()?,
                kind: Kind::parse(kind)?,
                name: Name::try_from(*name).ok()?,
                replica,
            })
        };
        parse().ok_or(ObjectIdError(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_rfc_1123() {
        for good in ["a", "web-1", "0", &"a".repeat(63)] {
            assert_eq!(dns_label(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"a".repeat(64)] {
            assert!(dns_label(bad).is_err(), "{bad}");
        }
        assert_eq!(dns_subdomain("a.b-c.d"), Ok(()));
        for bad in ["a..b", ".a", "a.", "a.-b", "a-.b"] {
            assert!(dns_subdomain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_reads_back_from_its_text() {
        for text in ["shop/Deployment/web", "shop/Deployment/web/x7k2p"] {
            let id = ObjectId::try_from(text.to_owned()).expect("valid id");
            assert_eq!(id.to_string(), text);
        }
        assert!(ObjectId::try_from("shop/Gadget/web".to_owned()).is_err());
    }
}
