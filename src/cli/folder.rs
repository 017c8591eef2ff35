//! Manifests of a folder as its files are now, read without engine, network or state folder.

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::read_external;
use crate::config::{Application, Checked, Flags};
use crate::desired::{Desired, Installation};
use crate::finding::Finding;
use crate::git;
use crate::hash::Key;
use crate::manifest::{Context, Entry, Tree};
use crate::name::Name;
use crate::policy;
use crate::report::{Paint, findings_text};

use super::error::Error;

/// What a folder says.
#[derive(Debug)]
pub(super) struct Read {
    /// What it asks for, or everything that is wrong.
    pub desired: Result<Desired, Vec<Finding>>,
    /// Its files.
    pub tree: Tree,
}

/// Reads the folder, or the one file, that an application is.
///
/// # Errors
///
/// If its files cannot be read. What is wrong in them is no error but findings.
pub(super) async fn read(flags: &Flags, path: &Path, application: &Application) -> Result<Read, Error> {
    let (revision, tree) = git::read(path).await?;
    let mut application = application.clone();
    let compose = &mut application.settings.compose;
    compose.external = read_external(&compose.external);
    // Nothing that depends on the key is shown or kept.
    Ok(said(flags, &Key::new([0; 32]), &application, &revision.id, tree))
}

/// Returns what the files of an application say at a revision.
pub(super) fn said(flags: &Flags, key: &Key, application: &Application, revision: &str, tree: Tree) -> Read {
    let application = application.clone().below(&flags.state);
    let nobody = flags.owner.clone().unwrap_or_else(|| Name::try_from("nobody").expect("letters only"));
    let context = Context {
        application: application.name.clone(),
        revision: revision.to_owned(),
        installation: Installation { owner: nobody, domain: flags.zone.clone(), layout: flags.layout(), key: key.clone() },
        settings: application.settings.clone(),
        namespace: application.namespace.clone(),
        format: application.format,
    };
    Read { desired: policy::build(&tree, &context, &flags.policy(&application)), tree }
}

/// Findings of some folders, with the files that they are about.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The findings; files are named as one would open them.
    pub all: Vec<Finding>,
    texts: BTreeMap<String, String>,
}

impl Findings {
    /// Adds what was found in a folder.
    pub(super) fn add(&mut self, folder: &Path, read: &Read) {
        let findings = match &read.desired {
            Ok(desired) => &desired.findings,
            Err(findings) => findings,
        };
        for finding in findings {
            let file = shown(folder, &finding.place.file);
            let text = match read.tree.files.get(&finding.place.file) {
                Some(Entry::File { bytes, .. }) => Some(String::from_utf8_lossy(bytes).into_owned()),
                _ if finding.place.file.ends_with(".rego") => std::fs::read_to_string(&finding.place.file).ok(),
                _ => None,
            };
            if let Some(text) = text {
                self.texts.entry(file.clone()).or_insert(text);
            }
            let mut finding = finding.clone();
            finding.place.file = file;
            self.all.push(finding);
        }
    }

    /// Adds what was found in Application documents.
    pub(super) fn add_checked(&mut self, checked: Checked) {
        self.texts.extend(checked.texts);
        self.all.extend(checked.findings);
    }

    /// Returns the findings with their lines.
    pub(super) fn text(&self, paint: Paint) -> String {
        findings_text(&self.all, &|file| self.texts.get(file).map(String::as_str), paint)
    }
}

/// Returns how a file of a folder is named for whoever named the folder.
pub(super) fn shown(folder: &Path, file: &str) -> String {
    // Policies are not in the folder.
    if Path::new(file).is_absolute() {
        return file.to_owned();
    }
    if file.is_empty() || folder.is_file() {
        return folder.display().to_string();
    }
    let folder = folder.strip_prefix("./").unwrap_or(folder);
    if folder.as_os_str() == "." { file.to_owned() } else { folder.join(file).display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_one_would_open_them() {
        for (folder, file, expected) in [
            (".", "a/b.yaml", "a/b.yaml"),
            ("./deploy", "b.yaml", "deploy/b.yaml"),
            ("deploy/", "b.yaml", "deploy/b.yaml"),
            ("/srv/shop", "b.yaml", "/srv/shop/b.yaml"),
            ("deploy", "", "deploy"),
            ("deploy", "/etc/policies/a.rego", "/etc/policies/a.rego"),
        ] {
            assert_eq!(shown(Path::new(folder), file), expected);
        }
    }
}
