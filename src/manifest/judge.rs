//! What else is asked of manifests: policies. This room knows only that somebody may have a say.

use super::node::Node;
use super::sink::Sink;

/// A document as policies see it: as its author wrote it, with anchors and merge keys resolved.
pub struct Document<'a> {
    /// What it says. An item of a Kubernetes List is a document of its own; a Compose project is one, with
    /// its `.override` merged and its variables replaced.
    pub node: &'a Node,
    /// The Compose project before its variables were replaced.
    pub written: Option<&'a Node>,
}

/// Whoever has a say about manifests besides the rules of their format.
pub trait Judge {
    /// Looks at all documents of an application; what is wrong goes to the sink.
    fn judge(&self, documents: &[Document<'_>], sink: &Sink);
}

/// Nobody has a say: for the simulator, and for tests of the format's own rules.
pub struct Nobody;

impl Judge for Nobody {
    fn judge(&self, _: &[Document<'_>], _: &Sink) {}
}
