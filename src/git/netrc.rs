//! The user's netrc file: who logs in where, as curl and git read it.
//!
//! Only `machine`, `default`, `login` and `password` matter; `account` and macros are skipped. A file
//! that is not there holds nothing.

use std::fs;
use std::path::PathBuf;

use crate::desired::Secret;

use super::auth::FileError;

/// Who logs in, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub user: String,
    pub password: Secret,
}

/// Returns where the user's netrc is: `NETRC`, else `.netrc` in the home folder.
pub(super) fn path() -> Option<PathBuf> {
    let named = std::env::var_os("NETRC").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".netrc")))
}

/// Looks up a host.
pub(super) fn find(host: &str) -> Result<Option<Login>, FileError> {
    let Some(path) = path() else { return Ok(None) };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text, host)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Read { field: "netrc", path, source }),
    }
}

/// The entry that is being read.
#[derive(Default)]
struct Open {
    is_wanted: bool,
    user: Option<String>,
    password: Option<String>,
}

impl Open {
    fn close(self) -> Option<Login> {
        let password = Secret::new(self.password?);
        Some(Login { user: self.user.unwrap_or_default(), password }).filter(|_| self.is_wanted)
    }
}

/// Returns the first entry of a host, or the default one.
fn parse(text: &str, host: &str) -> Option<Login> {
    let mut open = Open::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "machine" => {
                    if let Some(login) = std::mem::take(&mut open).close() {
                        return Some(login);
                    }
                    open.is_wanted = words.next().is_some_and(|name| name.eq_ignore_ascii_case(host));
                }
                "default" => {
                    if let Some(login) = std::mem::take(&mut open).close() {
                        return Some(login);
                    }
                    open.is_wanted = true;
                }
                "login" => open.user = words.next(),
                "password" => open.password = words.next(),
                "account" => drop(words.next()),
                // A macro goes on until the next empty line.
                "macdef" => {
                    lines.by_ref().find(|line| line.trim().is_empty());
                    break;
                }
                _ => {}
            }
        }
    }
    open.close()
}

/// Splits a line at spaces; quotes keep them, a `#` in front of a word begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let mut word = String::new();
        let quoted = rest.starts_with('"');
        let mut chars = rest.char_indices().skip(usize::from(quoted));
        let mut end = rest.len();
        while let Some((at, letter)) = chars.next() {
            match letter {
                '"' if quoted => {
                    end = at + 1;
                    break;
                }
                '\\' if quoted => word.extend(chars.next().map(|(_, letter)| letter)),
                letter if !quoted && letter.is_whitespace() => {
                    end = at;
                    break;
                }
                letter => word.push(letter),
            }
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str, host: &str) -> Option<(String, String)> {
        let login = parse(text, host)?;
        Some((login.user, String::from_utf8(login.password.expose().to_vec()).unwrap()))
    }

    #[test]
    fn entries_are_read_as_curl_reads_them() {
        let text = "# mine\nmachine git.example\n  login me\n  password s3cret\n\nmachine other.example login you password \"a b\\\"c\"\n\
                    macdef init\nmachine macro.example login x password y\n\nmachine late.example account a password only\ndefault login any password all\n";
        let expect = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(login(text, "git.example"), expect("me", "s3cret"));
        assert_eq!(login(text, "GIT.example"), expect("me", "s3cret"));
        assert_eq!(login(text, "other.example"), expect("you", "a b\"c"));
        assert_eq!(login(text, "late.example"), expect("", "only"));
        assert_eq!(login(text, "macro.example"), expect("any", "all"));
        assert_eq!(login("machine git.example login me\n", "git.example"), None);
        assert_eq!(login("machine a login b password c", "git.example"), None);
        assert_eq!(login("", "git.example"), None);
    }
}
