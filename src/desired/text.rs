//! Text that may hold secrets, or values known only when a replica is created.

use std::fmt;

use crate::hash::{FieldValue, Key};

use super::FieldRef;

/// Bytes that must not be printed. `Debug` hides them; there is no `Display`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Secret(bytes.into())
    }

    /// Returns the bytes, for delivery to a replica or for a digest.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A piece of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What stands in the manifest or a ConfigMap.
    Literal(String),
    /// What stands in a Secret.
    Secret(Secret),
    /// A field of the replica, known when it is created.
    Field(FieldRef),
}

/// A text of literal, secret and computed pieces: the value of a variable, or an argument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<Part>);

impl Text {
    /// Returns a text of one literal piece.
    pub fn literal(text: impl Into<String>) -> Self {
        Text(vec![Part::Literal(text.into())])
    }

    /// Returns a text of one secret piece.
    pub fn secret(bytes: impl Into<Vec<u8>>) -> Self {
        Text(vec![Part::Secret(Secret::new(bytes))])
    }

    /// Appends another text; neighbouring literals become one piece, so that how a text was put
    /// together does not show in its hash.
    pub fn push(&mut self, other: &Text) {
        for part in &other.0 {
            match (self.0.last_mut(), part) {
                (Some(Part::Literal(last)), Part::Literal(next)) => last.push_str(next),
                _ => self.0.push(part.clone()),
            }
        }
    }

    /// Tells whether any piece is secret.
    pub fn is_secret(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Secret(_)))
    }

    /// Returns the text with every computed piece looked up; secrets are exposed, so the result goes
    /// to the replica and nowhere else. `Err` names the first secret that is not UTF-8.
    pub fn resolve(&self, lookup: impl Fn(&FieldRef) -> String) -> Result<String, std::str::Utf8Error> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Secret(secret) => text.push_str(std::str::from_utf8(secret.expose())?),
                Part::Field(field) => text.push_str(&lookup(field)),
            }
        }
        Ok(text)
    }

    /// Returns the canonical value of the text.
    pub fn field_value(&self, key: &Key) -> FieldValue {
        let mut bytes = Vec::new();
        let mut computed = false;
        for part in &self.0 {
            match part {
                Part::Literal(literal) => bytes.extend_from_slice(literal.as_bytes()),
                Part::Secret(secret) => bytes.extend_from_slice(secret.expose()),
                Part::Field(field) => {
                    computed = true;
                    bytes.extend_from_slice(format!("$({field})").as_bytes());
                }
            }
        }
        match (self.is_secret(), computed) {
            (true, true) => FieldValue::Computed(format!("secret {}", key.digest(&bytes))),
            (true, false) => FieldValue::Secret(key.digest(&bytes)),
            (false, true) => FieldValue::Computed(String::from_utf8_lossy(&bytes).into_owned()),
            (false, false) => FieldValue::Public(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let text = Text::secret("hunter2");
        assert!(!format!("{text:?}").contains("hunter2"));
    }

    #[test]
    fn how_a_text_was_put_together_does_not_show() {
        let mut text = Text::literal("a");
        text.push(&Text::literal("b"));
        assert_eq!(text, Text::literal("ab"));
        let key = Key::new([0; 32]);
        assert_eq!(text.field_value(&key), FieldValue::Public("ab".into()));
        text.push(&Text::secret("c"));
        assert_eq!(text.field_value(&key), FieldValue::Secret(key.digest(b"abc")));
    }
}
