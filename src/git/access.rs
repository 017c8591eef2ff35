//! What is shown to a server that asks, and what a server must show: credentials, certificates, host keys.
//!
//! Everything is read before the connection is made, for one connection. A credential that was refused is
//! not offered again, and none goes to another server than the one that was named.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use git2::cert::Cert;
use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, RemoteCallbacks};

use crate::desired::Secret;

use super::auth::{self, Auth, FileError};
use super::known::{self, HostKey, HostKeyError, Server};
use super::netrc;
use super::remote::{Remote, Transport};

/// The user that forges expect with a token; most take any.
const TOKEN_USER: &str = "x-access-token";
/// The user that forges expect over ssh.
const SSH_USER: &str = "git";

/// Why a server was not talked to.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A credential cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing can be shown to a server that asks.
    #[error("it asks for credentials, and none are given")]
    Asked {
        /// Over ssh.
        ssh: bool,
    },
    /// The server does not take what it was shown.
    #[error("it refuses {what}")]
    Refused {
        /// What it was shown, as in ``tokenFile `/etc/driftless/token` ``.
        what: String,
    },
    /// The server leads to another one, which is shown nothing.
    #[error("it leads to `{host}`, which is another server: that one is shown no credentials")]
    Elsewhere {
        /// The other server.
        host: String,
    },
    /// The server's host key is not trusted.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The server's certificate is not trusted.
    #[error("its certificate does not verify: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
}

impl AccessError {
    /// Returns what to do about it.
    pub(super) fn hint(&self) -> String {
        match self {
            AccessError::File(_) => "the file is read at each fetch: put it right, and the next one is tried by itself".to_owned(),
            AccessError::Asked { ssh: true } => "name a private key as `auth.sshKeyFile`".to_owned(),
            AccessError::Asked { ssh: false } => {
                "name a file with a token as `auth.tokenFile` (or `--token-file`), or write the host into the netrc file; is the URL right?"
                    .to_owned()
            }
            AccessError::Refused { .. } => "is it still valid, and may it read this repository? a new one in the same file is used at the next fetch".to_owned(),
            AccessError::HostKey(error) => error.hint(),
            AccessError::Elsewhere { .. } => "write the URL that the server leads to as the repository".to_owned(),
            AccessError::Certificate { .. } => {
                "add the authority's certificate to the host's own, or name a file of certificates in the agent's environment as SSL_CERT_FILE".to_owned()
            }
        }
    }
}

/// What is shown.
enum Shown {
    Nothing,
    /// A user and a password or token; what it is, for messages.
    Password {
        user: String,
        password: Secret,
        what: String,
    },
    /// A private key by its file, with its passphrase.
    Key {
        file: PathBuf,
        passphrase: Option<Secret>,
    },
}

/// The access to one server, for one connection.
pub(super) struct Access {
    remote: Remote,
    shown: Shown,
    known_hosts: Option<PathBuf>,
    /// It was shown already.
    tried: Cell<bool>,
    error: RefCell<Option<AccessError>>,
}

impl Access {
    /// Reads what a server may ask for.
    pub fn read(remote: Remote, auth: &Auth) -> Result<Access, AccessError> {
        let shown = match remote.transport {
            Transport::Ssh => key(auth)?,
            Transport::Https => password(&remote, auth)?,
            Transport::Http if remote.is_this_host() => password(&remote, auth)?,
            Transport::Http | Transport::Git => Shown::Nothing,
        };
        let known_hosts = auth.known_hosts_file.clone().or_else(known::users_file);
        Ok(Access { remote, shown, known_hosts, tried: Cell::new(false), error: RefCell::new(None) })
    }

    /// Returns the callbacks for a connection.
    pub fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(|url, _, allowed| self.show(url, allowed).map_err(|error| self.stop(error)));
        // What Git's own library finds out about a certificate stands: only host keys are for us to judge.
        if self.remote.transport == Transport::Ssh {
            callbacks.certificate_check(|certificate, _| self.trust(certificate).map_err(|error| self.stop(error)));
        }
        callbacks
    }

    /// Returns why the connection was given up, if it was for what this module decides.
    pub fn error(&self, source: &git2::Error) -> Option<AccessError> {
        if let Some(error) = self.error.take() {
            return Some(error);
        }
        match (source.class(), source.code()) {
            (_, ErrorCode::Certificate) => {
                let reason = match source.message() {
                    "the SSL certificate is invalid" => "no authority that this host trusts has signed it, or it is out of date",
                    message => message,
                };
                Some(AccessError::Certificate { reason: reason.to_owned() })
            }
            (_, ErrorCode::Auth) => Some(self.refused()),
            _ => None,
        }
    }

    fn show(&self, url: &str, allowed: CredentialType) -> Result<Cred, AccessError> {
        let asks = Remote::parse(url).unwrap_or_else(|| self.remote.clone());
        // A server may lead to another path or from http to https, as after a repository was renamed.
        if asks.host != self.remote.host || (asks.transport == Transport::Http && self.remote.transport != Transport::Http) {
            return Err(AccessError::Elsewhere { host: asks.host });
        }
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(self.ssh_user()).map_err(|_| self.refused());
        }
        if self.tried.replace(true) {
            return Err(self.refused());
        }
        let cred = match &self.shown {
            Shown::Password { user, password, .. } if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                // Only text was read.
                Cred::userpass_plaintext(user, &String::from_utf8_lossy(password.expose()))
            }
            Shown::Key { file, passphrase } if allowed.contains(CredentialType::SSH_KEY) => {
                let passphrase = passphrase.as_ref().map(|secret| String::from_utf8_lossy(secret.expose()).into_owned());
                Cred::ssh_key(self.ssh_user(), None, file, passphrase.as_deref())
            }
            _ => return Err(self.refused()),
        };
        cred.map_err(|_| self.refused())
    }

    /// Decides on a host key.
    fn trust(&self, certificate: &Cert<'_>) -> Result<CertificateCheckStatus, AccessError> {
        let key = certificate.as_hostkey().and_then(|shown| shown.hostkey()).ok_or(HostKeyError::NoKey)?;
        let file = self.known_hosts.as_deref().ok_or(HostKeyError::NoFile)?;
        known::check(file, Server::of(&self.remote), HostKey::new(key))?;
        Ok(CertificateCheckStatus::CertificateOk)
    }

    fn ssh_user(&self) -> &str {
        self.remote.user.as_deref().unwrap_or(SSH_USER)
    }

    fn refused(&self) -> AccessError {
        match &self.shown {
            Shown::Nothing => AccessError::Asked { ssh: self.remote.transport == Transport::Ssh },
            Shown::Password { what, .. } => AccessError::Refused { what: what.clone() },
            Shown::Key { file, .. } => {
                AccessError::Refused { what: format!("sshKeyFile `{}` for user `{}`", file.display(), self.ssh_user()) }
            }
        }
    }

    /// Keeps the reason, because Git's own library passes none on.
    fn stop(&self, error: AccessError) -> git2::Error {
        let told = git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, error.to_string());
        self.error.replace(Some(error));
        told
    }
}

fn password(remote: &Remote, auth: &Auth) -> Result<Shown, FileError> {
    let user = auth.username_file.as_deref().map(|path| auth::read("usernameFile", path)).transpose()?;
    let user = user.map(|user| String::from_utf8_lossy(user.expose()).into_owned());
    let (field, path) = match (&auth.token_file, &auth.password_file) {
        (Some(path), _) => ("tokenFile", path),
        (None, Some(path)) => ("passwordFile", path),
        (None, None) => {
            let login = netrc::find(&remote.host)?;
            let what = || format!("the entry for `{}` in `{}`", remote.host, netrc::path().unwrap_or_default().display());
            return Ok(login.map_or(Shown::Nothing, |login| Shown::Password { user: login.user, password: login.password, what: what() }));
        }
    };
    let password = auth::read(field, path)?;
    Ok(Shown::Password { user: user.unwrap_or_else(|| TOKEN_USER.to_owned()), password, what: format!("{field} `{}`", path.display()) })
}

fn key(auth: &Auth) -> Result<Shown, FileError> {
    let Some(file) = auth.ssh_key_file.clone() else { return Ok(Shown::Nothing) };
    auth::present("sshKeyFile", &file)?;
    let passphrase = auth.password_file.as_deref().map(|path| auth::read("passwordFile", path)).transpose()?;
    Ok(Shown::Key { file, passphrase })
}
