//! Which Deployments have which labels on their replicas, looked up by label instead of one by one:
//! with a thousand of each, comparing every selector with every template would take a second.

use std::collections::BTreeMap;

use crate::name::{Name, ObjectId};

use super::deployment::Deployment;
use super::selector::Selector;
use super::{Object, Objects};

/// A Deployment and its id.
pub type Entry<'a> = (&'a ObjectId, &'a Object<Deployment>);

/// Deployments by the labels of their replicas.
pub struct Index<'a> {
    by_label: BTreeMap<(&'a Name, &'a str, &'a str), Vec<Entry<'a>>>,
    by_namespace: BTreeMap<&'a Name, Vec<Entry<'a>>>,
}

impl<'a> Index<'a> {
    /// Returns the index of all Deployments.
    pub fn new(objects: &'a Objects) -> Self {
        let mut index = Index { by_label: BTreeMap::new(), by_namespace: BTreeMap::new() };
        for entry in &objects.deployments {
            let namespace = &entry.0.namespace;
            index.by_namespace.entry(namespace).or_default().push(entry);
            for (key, value) in &entry.1.value.template.labels {
                index.by_label.entry((namespace, key, value)).or_default().push(entry);
            }
        }
        index
    }

    /// Returns the Deployments of a namespace whose replicas a selector matches.
    pub fn selected(&self, namespace: &Name, selector: &Selector) -> Vec<Entry<'a>> {
        let lists = selector.labels.iter().map(|(key, value)| self.by_label.get(&(namespace, key.as_str(), value.as_str())));
        let shortest = match selector.labels.is_empty() {
            true => self.by_namespace.get(namespace),
            false => lists.min_by_key(|list| list.map_or(0, Vec::len)).flatten(),
        };
        let entries = shortest.into_iter().flatten().copied();
        entries.filter(|(_, object)| selector.matches(&object.value.template.labels)).collect()
    }
}
