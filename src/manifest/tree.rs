//! The files of an application's folder at one revision, as plain data.
//!
//! Whoever reads a repository or a plain folder makes one; nothing here reads by itself. Symbolic
//! links inside the repository are already followed. What could not be read stands here as what it
//! is, because it is an error only if something refers to it.

use std::collections::BTreeMap;
use std::fmt;

/// The files of an application's folder at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files by path from the folder, with `/`; hidden ones are among them.
    pub files: BTreeMap<String, Entry>,
}

/// What stands at a path.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File {
        /// What is in it.
        bytes: Vec<u8>,
        /// It may be executed.
        executable: bool,
    },
    /// A file with more bytes than are read.
    TooLarge {
        /// How many.
        size: u64,
    },
    /// The placeholder of a file that is kept in Git LFS.
    Lfs,
    /// A submodule: the files are in another repository.
    Submodule,
    /// A symbolic link that leaves the repository.
    Outside {
        /// Where it points.
        target: String,
    },
    /// A symbolic link to what does not exist, or to itself.
    Dangling {
        /// Where it points.
        target: String,
    },
}

impl fmt::Debug for Entry {
    /// Leaves out the bytes, because a file may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::File { bytes, executable } => write!(f, "File({} bytes, executable: {executable})", bytes.len()),
            Entry::TooLarge { size } => write!(f, "TooLarge({size} bytes)"),
            Entry::Lfs => f.write_str("Lfs"),
            Entry::Submodule => f.write_str("Submodule"),
            Entry::Outside { target } => write!(f, "Outside({target})"),
            Entry::Dangling { target } => write!(f, "Dangling({target})"),
        }
    }
}

impl Tree {
    /// Returns the tree of some files, for tests and for whoever has them at hand.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let file = |text: &str| Entry::File { bytes: text.as_bytes().to_vec(), executable: false };
        Tree { files: files.into_iter().map(|(path, text)| (path.to_owned(), file(text))).collect() }
    }
}
