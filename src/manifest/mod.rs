//! Text to the checked desired state: what a folder of manifests says, with file, line and column.
//!
//! `judged` is the only way in. It reads everything, reports everything that is wrong in one run, and
//! gives a desired state only if nothing is. It reads no files itself: a `Tree` has them.

mod compose;
pub mod cursor;
pub mod file;
mod image;
pub mod judge;
mod kubernetes;
pub mod load;
pub mod node;
pub mod patch;
pub mod scalar;
mod secret;
pub mod sink;
pub mod tree;

use crate::desired::{Desired, External, Installation, Settings};
use crate::finding::{Finding, refuses};
use crate::name::Name;

use judge::{Judge, Nobody};
use node::Span;
use scalar::Schema;
use sink::Sink;

pub use tree::{Entry, Tree};

/// What manifests are read for.
#[derive(Debug, Clone)]
pub struct Context {
    /// The application's name.
    pub application: Name,
    /// The commit, or the hash of a plain folder's files.
    pub revision: String,
    /// The installation.
    pub installation: Installation,
    /// How the application is kept.
    pub settings: Settings,
    /// The namespace of objects that name none.
    pub namespace: Name,
    /// How the files are read.
    pub format: Format,
}

/// How the files of a folder are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As Compose if there is a Compose file, otherwise as Kubernetes manifests.
    Auto,
    /// As a Compose project.
    Compose,
    /// As Kubernetes manifests.
    Kubernetes,
}

/// Builds the desired state that a folder of manifests asks for, without asking policies. Outside of the
/// core everybody goes through `policy::build`.
///
/// # Errors
/// As of [`judged`].
pub fn build(tree: &Tree, context: &Context) -> Result<Desired, Vec<Finding>> {
    judged(tree, context, &Nobody)
}

/// Builds the desired state that a folder of manifests asks for, if the judge lets it pass. Warnings and
/// notes are in it.
///
/// # Errors
/// All findings, if any of them is an error, in the order of files and lines.
pub fn judged(tree: &Tree, context: &Context, judge: &dyn Judge) -> Result<Desired, Vec<Finding>> {
    let names = tree.files.keys().cloned().collect();
    let sink = Sink::new(names);
    let desired = match file::compose(tree, context.format, &sink) {
        Some(files) => compose::build(tree, &files, context, judge, &sink),
        None => {
            let manifests = file::manifests(tree, &sink);
            if let External::Folder { .. } = context.settings.compose.external {
                let message = "the Application names a `secretsFolder`, which means nothing to Kubernetes manifests";
                sink.warning("ignored", Span::default(), message, "write the secrets as Secret objects");
            }
            let budget = load::Budget::default();
            let load = |(number, bytes)| load::load_within(&budget, bytes, number, Schema::Yaml11, &sink);
            let mut documents: Vec<_> = manifests.into_iter().flat_map(load).collect();
            // There is more of it than anybody should look at.
            if budget.is_spent() {
                documents.clear();
            }
            Some(kubernetes::build(documents, context, judge, &sink))
        }
    };
    let findings = sink.into_findings();
    match desired.filter(|_| !refuses(&findings)) {
        None => Err(findings),
        Some(desired) => Ok(Desired { findings, ..desired }),
    }
}

#[cfg(test)]
mod tests;
