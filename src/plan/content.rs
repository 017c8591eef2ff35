//! Delivered files in the words of people: which object or file they come from, and which of them changed.
//!
//! Inside, content is named by the hash of what is in it. What it was made of is in the desired state; what
//! an earlier one was made of, only in the record.

use std::collections::BTreeSet;

use crate::desired::{ContentId, Desired};
use crate::hash::FieldValue;
use crate::observed::{Delivered, Record};

use super::FieldChange;
use super::view::View;

/// So much of a hash is shown when nothing else is known.
const DIGITS: usize = 12;

/// Returns what content is made of, for the record: where it comes from, and a keyed digest of each file.
fn delivered(desired: &Desired, id: &ContentId) -> Option<Delivered> {
    let content = desired.contents.get(id)?;
    let digest = |bytes: &[u8]| desired.installation.key.digest(bytes).chars().take(DIGITS).collect();
    let files = content.files.iter().map(|(path, file)| (path.clone(), digest(file.bytes.expose()))).collect();
    Some(Delivered { origin: content.origin.clone(), files })
}

/// Names content in a field that changes by where it comes from, with the files that differ.
pub(super) fn named(view: &View<'_>, field: FieldChange) -> FieldChange {
    let (Some(old), Some(new)) = (&field.old, &field.new) else {
        let name = |text: Option<String>| text.map(|text| words(view, &text).map_or(text, |(words, _)| words));
        return FieldChange { old: name(field.old), new: name(field.new), ..field };
    };
    let (before, after) = (words(view, old), words(view, new));
    let changes = match (&before, &after) {
        (Some((_, Some(before))), Some((_, Some(after)))) => changes(before, after),
        _ => String::new(),
    };
    FieldChange {
        old: Some(before.map_or_else(|| old.clone(), |(words, _)| words)),
        new: Some(after.map_or_else(|| new.clone(), |(words, _)| words) + &changes),
        ..field
    }
}

/// Returns the words for content and what it is made of, if a value is content.
fn words(view: &View<'_>, value: &str) -> Option<(String, Option<Delivered>)> {
    let text = value.strip_prefix("content ")?;
    let end = text.find(['/', ' ']).unwrap_or(text.len());
    let (id, rest) = text.split_at(end);
    let known = delivered(view.desired, &ContentId(id.to_owned())).or_else(|| view.observed.record.contents.get(id).cloned());
    let name = known.as_ref().map_or_else(|| format!("content {}", id.get(..DIGITS).unwrap_or(id)), |known| known.origin.clone());
    // A single file of the repository is called as the whole.
    let rest = if name.ends_with(rest) { "" } else { rest };
    Some((format!("{name}{rest}"), known))
}

fn changes(before: &Delivered, after: &Delivered) -> String {
    let paths: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    let alone = paths.len() == 1 && paths.iter().all(|path| after.origin.ends_with(path.as_str()));
    let change = |path: &String| match (before.files.get(path), after.files.get(path)) {
        (None, Some(_)) => Some(format!("{path} added")),
        (Some(_), None) => Some(format!("{path} removed")),
        (Some(old), Some(new)) if old != new && alone => Some("changed".to_owned()),
        (Some(old), Some(new)) if old != new => Some(format!("{path} changed")),
        _ => None,
    };
    let changes: Vec<String> = paths.into_iter().filter_map(change).collect();
    if changes.is_empty() { String::new() } else { format!(": {}", changes.join(", ")) }
}

/// Takes note of what the content of some workloads is made of, and forgets what no applied field names.
pub fn remember(record: &mut Record, desired: &Desired) {
    let named: BTreeSet<String> = record
        .applied
        .values()
        .flat_map(|applied| applied.fields.values())
        .filter_map(|value| {
            let text = match value {
                FieldValue::Keyed(text) => text.strip_prefix("content ")?,
                FieldValue::Public(_) | FieldValue::Secret(_) | FieldValue::Computed(_) => return None,
            };
            Some(text.split(['/', ' ']).next().unwrap_or(text).to_owned())
        })
        .collect();
    record.contents.retain(|id, _| named.contains(id));
    for id in named {
        if !record.contents.contains_key(&id)
            && let Some(delivered) = delivered(desired, &ContentId(id.clone()))
        {
            record.contents.insert(id, delivered);
        }
    }
}
