//! Text to checked values: what a folder of manifests says, with file, line and column.

pub mod tree;

pub use tree::{Entry, Tree};
