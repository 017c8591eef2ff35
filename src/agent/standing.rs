//! How an application stands, in the words of a status. It looks at what is known and changes nothing.

use std::collections::BTreeMap;

use crate::plan::{Health, Held, Sync, aggregate};
use crate::report::ApplicationStatus;
use crate::report::word::severities;

use super::application::App;

impl App {
    /// Returns how the application stands; `pulling` says how far pulls are, by image.
    pub(super) fn status(&self, pulling: &BTreeMap<String, String>) -> ApplicationStatus {
        let rolled_back = self.rolled_back();
        let plan = self.plan.as_ref();
        let workloads = plan.map(|plan| plan.workloads.clone()).unwrap_or_default();
        let health = match plan {
            Some(_) => aggregate(workloads.iter().map(|workload| workload.health)),
            None => Health::Unknown,
        };
        let findings = match (&self.refused, &self.head) {
            (Some(refused), _) => refused.findings.clone(),
            (None, Some(head)) => head.findings.clone(),
            (None, None) => Vec::new(),
        };
        ApplicationStatus {
            name: self.config.name.clone(),
            revision: plan.map(|plan| self.told(&plan.revision).to_owned()).unwrap_or_default(),
            head: self.last_seen().unwrap_or_default().to_owned(),
            sync: self.sync(rolled_back.is_some()),
            health,
            message: self.message(rolled_back.as_deref(), health),
            rolled_back: rolled_back.is_some() && self.refused.is_none(),
            refused: self.refused.is_some(),
            plan: plan.map(|plan| plan.id.clone()).unwrap_or_default(),
            held: self.held(pulling),
            drift: plan.map_or(0, |plan| plan.drift.len()),
            workloads,
            findings,
        }
    }

    fn held(&self, pulling: &BTreeMap<String, String>) -> Vec<Held> {
        let mine = pulling.iter().map(|(image, far)| (format!("Image/{image}"), far));
        let mine = mine.filter(|(key, _)| self.reconciler.observed().in_flight.contains_key(key));
        let pulls = mine.map(|(object, far)| Held { object, reason: far.clone(), until: None });
        pulls.chain(self.plan.iter().flat_map(|plan| plan.held.iter().cloned())).collect()
    }

    fn sync(&self, rolled_back: bool) -> Sync {
        let waits = self.head.as_ref().zip(self.plan.as_ref()).is_some_and(|(head, plan)| head.revision != plan.revision);
        match &self.plan {
            None => Sync::Unknown,
            Some(_) if rolled_back || waits || self.refused.is_some() => Sync::OutOfSync,
            Some(plan) => plan.sync(),
        }
    }

    fn message(&self, rolled_back: Option<&str>, health: Health) -> String {
        if let Some(refusal) = self.audit.first() {
            return format!("nothing is changed, because the plan breaks a promise, which is a bug of ours: {refusal}");
        }
        if let Some(why) = &self.unpublished {
            return format!("what is served cannot be published, the last state is served on: {why}");
        }
        let stays = match (&self.refused, rolled_back, &self.reconciler.observed().record.suspended) {
            (Some(refused), _, _) => Some(format!("refused: {} in the manifests", severities(&refused.findings))),
            (None, Some(reason), _) => Some(format!("rolled back: {reason}")),
            (None, None, Some(suspended)) => Some(format!("suspended since {}", suspended.at)),
            (None, None, None) => None,
        };
        // Whoever waits for Git to mend what stays has to know that Git is not heard.
        let unheard = self.trouble.as_ref().map(|trouble| trouble.messages.join(": "));
        let words: Vec<String> = stays.into_iter().chain(unheard).collect();
        if !words.is_empty() {
            return words.join("; ");
        }
        let Some(plan) = &self.plan else { return "not looked at yet".to_owned() };
        if let Some(workload) = plan.workloads.iter().find(|workload| workload.health == health && health != Health::Healthy) {
            return format!("{}: {}", workload.object.name, workload.message);
        }
        match (&self.unwritten, plan.held.first()) {
            (Some(unwritten), _) => format!("what is remembered cannot be written: {}", unwritten.why),
            (None, Some(held)) => format!("{}: {}", held.object, held.reason),
            (None, None) => String::new(),
        }
    }
}
