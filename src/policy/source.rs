//! Files of rules in folders of the host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::finding::{Finding, Place};

/// A file with more bytes is refused, as the interpreter does.
const MOST: u64 = 1 << 20;

/// Reads the `*.rego` files of a folder and those within, by name: paths and texts. Hidden ones are left
/// out, and so are tests, which end with `_test.rego`, unless they are wanted.
///
/// # Errors
/// Everything that cannot be read, and a folder without any such file.
pub(super) fn read(folder: &Path, tests: bool) -> Result<Vec<(String, String)>, Vec<Finding>> {
    let mut paths = Vec::new();
    let mut findings = Vec::new();
    list(folder, &mut paths, &mut findings);
    paths.sort();
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| tests || !path.to_string_lossy().ends_with("_test.rego")) {
        match text(path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) => findings.push(unreadable(path, &error)),
        }
    }
    if findings.is_empty() && files.is_empty() {
        let message = format!("there is no `*.rego` file in the folder of policies `{}`", folder.display());
        findings.push(Finding::error("policy/unreadable", Place::file(folder.display().to_string()), message).with_hint(HINT));
    }
    if findings.is_empty() { Ok(files) } else { Err(findings) }
}

const HINT: &str = "check `--policies` and the Application's `policy.folders`; without its policies nothing new is applied";

fn list(path: &Path, found: &mut Vec<PathBuf>, findings: &mut Vec<Finding>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        // A single file of rules is as good as a folder.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return found.push(path.to_owned()),
        Err(error) => return findings.push(unreadable(path, &error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return findings.push(unreadable(path, &error)),
        };
        let path = entry.path();
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A symbolic link to a folder is not followed: it may lead back here.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !hidden => list(&path, found, findings),
            Ok(_) if !hidden && path.extension().is_some_and(|extension| extension == "rego") => found.push(path),
            _ => {}
        }
    }
}

fn text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MOST {
        return Err(io::Error::other(format!("it has more than {MOST} bytes")));
    }
    fs::read_to_string(path)
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let message = format!("the policies in `{}` cannot be read: {error}", path.display());
    Finding::error("policy/unreadable", Place::file(path.display().to_string()), message).with_hint(HINT)
}
