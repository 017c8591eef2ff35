//! Plans that people may have seen, so that it can be said what moved since.

use std::collections::{BTreeMap, VecDeque};

use crate::name::ObjectId;
use crate::plan::{Change, Plan};

/// So many plans of an application are remembered.
const KEPT: usize = 50;

/// Plans that people may have seen, by id.
#[derive(Debug, Default)]
pub(super) struct Shown {
    plans: VecDeque<(String, Vec<Change>)>,
}

impl Shown {
    /// Remembers a plan.
    pub(super) fn note(&mut self, plan: &Plan) {
        if self.plans.back().is_some_and(|(id, _)| *id == plan.id) {
            return;
        }
        self.plans.retain(|(id, _)| *id != plan.id);
        self.plans.push_back((plan.id.clone(), plan.changes.clone()));
        if self.plans.len() > KEPT {
            self.plans.pop_front();
        }
    }

    /// Says what moved between a plan that was shown and the one of now, a line for each object.
    pub(super) fn moved(&self, id: &str, now: &Plan) -> Vec<String> {
        let Some((_, before)) = self.plans.iter().find(|(known, _)| known == id) else {
            return vec![format!("the plan {id} is not remembered here, so it cannot be said what moved")];
        };
        let by_object =
            |changes: &[Change]| changes.iter().map(|change| (change.object.clone(), change.clone())).collect::<BTreeMap<_, _>>();
        let (before, after) = (by_object(before), by_object(&now.changes));
        let objects: std::collections::BTreeSet<&ObjectId> = before.keys().chain(after.keys()).collect();
        let line = |id: &ObjectId| match (before.get(id), after.get(id)) {
            (None, Some(change)) => Some(format!("new since then: {} {id}", change.action.as_str())),
            (Some(change), None) => Some(format!("no longer in it: {} {id}", change.action.as_str())),
            (Some(before), Some(after)) if before.action != after.action => {
                Some(format!("otherwise: {} {id}, not {}", after.action.as_str(), before.action.as_str()))
            }
            (Some(before), Some(after)) if before != after => {
                Some(format!("other fields: {} {id}{}", after.action.as_str(), fields(before, after)))
            }
            _ => None,
        };
        objects.into_iter().filter_map(line).collect()
    }
}

/// Returns the fields that are not the same in both.
fn fields(before: &Change, after: &Change) -> String {
    let new = after.fields.iter().filter(|field| !before.fields.contains(field));
    let gone = before.fields.iter().filter(|field| !after.fields.iter().any(|known| known.path == field.path));
    let paths: Vec<&str> = new.chain(gone).map(|field| field.path.as_str()).collect();
    if paths.is_empty() { String::new() } else { format!(" ({})", paths.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(id: &str, changes: &[(&str, &str, &str)]) -> Plan {
        let changes: Vec<serde_json::Value> = changes
            .iter()
            .map(|(object, action, image)| {
                serde_json::json!({"object": object, "action": action, "reason": "changed in Git",
                    "fields": [{"path": "image", "old": "a", "new": image, "consequence": "recreates"}]})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"application": "shop", "revision": "r1", "id": id, "changes": changes, "steps": [],
            "held": [], "deferred": [], "drift": [], "findings": [], "workloads": [], "failed": null}))
        .expect("a plan")
    }

    #[test]
    fn what_moved_is_said_object_by_object() {
        let mut shown = Shown::default();
        shown.note(&plan(
            "one",
            &[("shop/Deployment/a", "create", "1"), ("shop/Deployment/b", "update", "1"), ("shop/Deployment/c", "update", "1")],
        ));
        let now = plan(
            "two",
            &[("shop/Deployment/b", "update", "2"), ("shop/Deployment/c", "recreate", "1"), ("shop/Deployment/d", "remove", "1")],
        );
        shown.note(&now);
        assert_eq!(
            shown.moved("one", &now),
            [
                "no longer in it: create shop/Deployment/a",
                "other fields: update shop/Deployment/b (image)",
                "otherwise: recreate shop/Deployment/c, not update",
                "new since then: remove shop/Deployment/d",
            ]
        );
        assert_eq!(shown.moved("two", &now), [""; 0]);
        assert_eq!(shown.moved("three", &now), ["the plan three is not remembered here, so it cannot be said what moved"]);
        (0..60).for_each(|number| shown.note(&plan(&number.to_string(), &[])));
        assert_eq!(shown.moved("two", &now).len(), 1, "the oldest are forgotten");
    }
}
