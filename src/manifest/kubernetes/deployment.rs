//! Deployment and its template, as written.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::desired::{Amount, Strategy};
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::node::{Located, Span, Value};

use super::annotation;
use super::container::{self, Container};
use super::meta;
use super::security::{self, Security};
use super::selector::{self, Selector};
use super::unsupported;
use super::volume::{self, Volume};

/// A Deployment as written.
pub struct Deployment {
    /// How many replicas, and where that is written.
    pub replicas: Located<u32>,
    /// Which replicas are its own, and where that is written.
    pub selector: Located<Selector>,
    /// How replicas are replaced.
    pub strategy: Strategy,
    /// How long a replica must be ready before it counts.
    pub min_ready: Duration,
    /// The progress deadline; `None` if none is written.
    pub deadline: Option<Duration>,
    /// The rollout is paused.
    pub paused: bool,
    /// How many earlier revisions are kept.
    pub history_limit: u32,
    /// What a replica is.
    pub template: Template,
}

/// A replica as written.
pub struct Template {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its container.
    pub container: Container,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// Users and groups for its container.
    pub security: Security,
    /// Time between stop signal and kill.
    pub grace: Duration,
    /// Secrets with the credentials of registries.
    pub pull_secrets: Vec<Located<String>>,
}

/// Kubernetes numbers have 32 bits.
const MOST: i64 = i32::MAX as i64;

/// Decodes a Deployment's `spec`. `span`: where its name is written.
pub fn decode(object: &mut Fields<'_>, span: Span) -> Option<Deployment> {
    object.require("spec")?.fields(|fields| {
        let seconds = |number: Option<i64>| number.map(|number| Duration::from_secs(number.unsigned_abs()));
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let replicas = match fields.get("replicas") {
            Some(field) => Located { value: field.integer(0..=MOST).map_or(1, count), span: field.span() },
            None => Located { value: 1, span },
        };
        let selector = match fields.require("selector") {
            Some(field) => Located { value: selector::decode(&field), span: field.span() },
            None => Located { value: Selector::default(), span },
        };
        if selector.value.is_empty() && selector.span != span {
            fields.cursor().sink.error("missing-field", selector.span, "`spec.selector` selects everything; write `matchLabels`");
        }
        let strategy = fields.get("strategy").map_or(DEFAULT, |field| field.fields(strategy).unwrap_or(DEFAULT));
        let min_ready = seconds(fields.integer("minReadySeconds", 0..=MOST)).unwrap_or_default();
        let deadline = fields.get("progressDeadlineSeconds");
        if let Some(field) = &deadline
            && field.integer(1..=MOST).is_some_and(|deadline| deadline.unsigned_abs() <= min_ready.as_secs())
        {
            field.error("out-of-range", "must be more than `minReadySeconds`");
        }
        let deadline = seconds(deadline.and_then(|field| match field.node().value {
            Value::Integer(number) => Some(number),
            _ => None,
        }));
        let history_limit = fields.integer("revisionHistoryLimit", 0..=MOST).map_or(10, count);
        let paused = fields.flag("paused");
        let template = fields.require("template").and_then(|field| template(&field));
        Some(Deployment { replicas, selector, strategy, min_ready, deadline, paused, history_limit, template: template? })
    })?
}

const DEFAULT: Strategy = Strategy::Rolling { surge: Amount::Percent(25), unavailable: Amount::Percent(25) };

fn strategy(fields: &mut Fields<'_>) -> Strategy {
    let rolling = fields.choice("type", &[("RollingUpdate", true), ("Recreate", false)]);
    let Some(field) = fields.get("rollingUpdate") else {
        return if rolling { DEFAULT } else { Strategy::Recreate };
    };
    if !rolling {
        field.error("one-of", "has no meaning with the type `Recreate`");
        return Strategy::Recreate;
    }
    let bounds = field.fields(|fields| {
        let (surge, unavailable) = (fields.get("maxSurge"), fields.get("maxUnavailable"));
        let zero = |amount: &Option<Amount>| matches!(amount, Some(Amount::Count(0) | Amount::Percent(0)));
        let (surge_amount, unavailable_amount) = (surge.as_ref().and_then(amount), unavailable.as_ref().and_then(amount));
        if let Some(field) = unavailable.filter(|_| zero(&surge_amount) && zero(&unavailable_amount)) {
            field.error_with("no-progress", "and `maxSurge` cannot both be 0: no replica could ever be replaced", "set one of them to 1");
        }
        (surge_amount, unavailable_amount)
    });
    let (surge, unavailable) = bounds.unwrap_or_default();
    let default = Amount::Percent(25);
    Strategy::Rolling { surge: surge.unwrap_or(default), unavailable: unavailable.unwrap_or(default) }
}

fn amount(field: &Cursor<'_>) -> Option<Amount> {
    if let Value::Text(text) = &field.node().value {
        let digits = text.strip_suffix('%').filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
        let percent = digits.and_then(|digits| digits.parse::<u32>().ok()).filter(|percent| *percent <= MOST as u32);
        if percent.is_none() {
            let message = format!("must be a whole number or a percentage, but is the text `{}`", text.escape_debug());
            field.error_with("wrong-type", message, "write 1 or \"25%\"");
        }
        if percent.is_some_and(|percent| percent > 100) && field.path().ends_with("maxUnavailable") {
            field.error("out-of-range", "cannot be more than 100%");
        }
        return percent.map(Amount::Percent);
    }
    field.integer(0..=MOST).and_then(|number| u32::try_from(number).ok()).map(Amount::Count)
}

fn template(field: &Cursor<'_>) -> Option<Template> {
    field.fields(|fields| {
        let metadata = fields.get("metadata").and_then(|field| {
            field.fields(|fields| {
                let labels = meta::labels(fields);
                let annotations = meta::annotations(fields);
                annotation::refuse_in_template(&annotations, fields.cursor().sink);
                fields.refuse(&[
                    ("name", "replicas are named after their Deployment"),
                    ("generateName", "replicas are named after their Deployment"),
                    ("namespace", "replicas are in the namespace of their Deployment"),
                    ("creationTimestamp", "a cluster writes it; leave it out of the manifest"),
                    ("finalizers", "replicas are removed without further conditions"),
                    ("ownerReferences", "replicas belong to their Deployment"),
                ]);
                (labels, annotations.into_iter().map(|(key, value)| (key.value, value.value)).collect())
            })
        });
        let (labels, annotations) = metadata.unwrap_or_default();
        let spec = fields.require("spec")?.fields(replica)?;
        Some(Template { labels, annotations, ..spec? })
    })?
}

/// Decodes what Kubernetes calls a pod's `spec`.
fn replica(fields: &mut Fields<'_>) -> Option<Template> {
    let containers = fields.require("containers").map(|field| (field.span(), field.items()));
    let decoded: Vec<Option<Container>> = containers.iter().flat_map(|(_, items)| items).map(container::decode).collect();
    match &containers {
        Some((span, items)) if items.is_empty() => fields.cursor().sink.error("missing-field", *span, "there is no container"),
        Some((_, items)) => {
            for further in items.iter().skip(1) {
                let message = format!("`{}` is not supported: a replica has one container for now", further.path());
                further.sink.error("unsupported-field", further.span(), message);
            }
        }
        None => {}
    }
    let volumes: Vec<Volume> = fields.items("volumes").iter().filter_map(volume::volume).collect();
    for (index, volume) in volumes.iter().enumerate() {
        if volumes[..index].iter().any(|other| other.name == volume.name) {
            fields.cursor().sink.error("duplicate-name", volume.span, format!("two volumes are named `{}`", volume.name));
        }
    }
    let security = security::replica(fields);
    let grace = fields.integer("terminationGracePeriodSeconds", 0..=MOST).map_or(30, i64::unsigned_abs);
    let named = |item: &Cursor<'_>| item.fields(|fields| fields.require("name").and_then(|name| name.filled())).flatten();
    let pull_secrets = fields.items("imagePullSecrets").iter().filter_map(named).collect();
    unsupported::replica(fields);
    let (labels, annotations) = Default::default();
    let (container, grace) = (decoded.into_iter().next()??, Duration::from_secs(grace));
    Some(Template { labels, annotations, container, volumes, security, grace, pull_secrets })
}
