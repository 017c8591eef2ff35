//! A secret that others show or sign with. It is never printed, and every comparison takes the same time
//! whatever is wrong.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::desired;

use super::Error;

/// A secret that others show or sign with.
#[derive(Debug)]
pub(super) struct Secret(desired::Secret);

impl Secret {
    /// Reads a secret from a file; the line feed that editors put at its end is not part of it.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Secret { path: path.to_owned(), source })?;
        let secret = bytes.trim_ascii();
        match secret.is_empty() {
            true => Err(Error::Empty { path: path.to_owned() }),
            false => Ok(Secret::new(secret)),
        }
    }

    pub(super) fn new(bytes: &[u8]) -> Self {
        Secret(desired::Secret::new(bytes))
    }

    /// Tells whether a signature (HMAC-SHA-256, RFC 2104, in hexadecimal digits) is that of a body.
    pub(super) fn signs(&self, body: &[u8], signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        self.mac(body).verify_slice(&signature).is_ok()
    }

    /// Tells whether somebody knows the secret itself.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        // Digests are compared, so that not even the length shows.
        self.mac(self.0.expose()).verify(&self.mac(shown).finalize().into_bytes()).is_ok()
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes keys of any length");
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_rfc_4231s() {
        // RFC 4231, test case 2.
        let secret = Secret::new(b"Jefe");
        let signature = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let body = b"what do ya want for nothing?";
        assert!(secret.signs(body, signature));
        assert!(!secret.signs(b"what do ya want for nothing!", signature));
        assert!(!secret.signs(body, &signature[..62]) && !secret.signs(body, "") && !secret.signs(body, "xyz"));
    }

    #[test]
    fn only_the_whole_secret_is_known() {
        let secret = Secret::new(b"open sesame");
        assert!(secret.is(b"open sesame"));
        assert!(!secret.is(b"open sesam") && !secret.is(b"") && !secret.is(b"open sesame "));
        assert_eq!(format!("{secret:?}"), "Secret(<secret>)");
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\n").unwrap();
        assert!(matches!(Secret::read(file.path()), Err(Error::Empty { .. })));
        std::fs::write(file.path(), "a b\r\n").unwrap();
        assert!(Secret::read(file.path()).unwrap().is(b"a b"));
    }
}
