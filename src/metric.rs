//! What is counted and timed while the agent works, and the text that Prometheus reads.
//!
//! The text is Prometheus' exposition format 0.0.4. Whoever works counts here and never reads; what can be
//! read from a snapshot, such as sync and health, is not counted but added when somebody asks. Label
//! values are few: words of this program and names of applications.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets, in seconds: from a turn of the loop with nothing to do to a long pull.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];

/// Something that is counted or timed. Its name, labels and help are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Whether an application is in a state of sync: 1 or 0.
    Sync,
    /// Whether an application is in a state of health: 1 or 0.
    Health,
    /// How many objects drift.
    Drift,
    /// How long turns of the loop took.
    Reconcile,
    /// How long steps took.
    Step,
    /// How long calls of the engine's API took.
    Docker,
    /// How long fetches took.
    Fetch,
    /// What went wrong.
    Errors,
    /// Calls of hooks.
    Hooks,
    /// Whether the configuration that was read last is in force: 1 or 0.
    Configuration,
}

impl Metric {
    /// Returns its name, its type, and what it is.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Metric::Sync => ("driftless_application_sync", "gauge", "Whether the application is in this state of sync (1) or not (0)."),
            Metric::Health => {
                ("driftless_application_health", "gauge", "Whether the application is in this state of health (1) or not (0).")
            }
            Metric::Drift => ("driftless_drift", "gauge", "Objects of this kind that differ although Git did not move."),
            Metric::Reconcile => ("driftless_reconcile_duration_seconds", "histogram", "Time that one look at everything took."),
            Metric::Step => ("driftless_step_duration_seconds", "histogram", "Time that steps took, whether they failed or not."),
            Metric::Docker => (
                "driftless_docker_request_duration_seconds",
                "histogram",
                "Time until the engine's answer to calls of its API, good or not, by call.",
            ),
            Metric::Fetch => ("driftless_git_fetch_duration_seconds", "histogram", "Time that fetches took, whether they failed or not."),
            Metric::Errors => ("driftless_errors_total", "counter", "Failures, by who has to do something about them."),
            Metric::Hooks => ("driftless_hooks_total", "counter", "Calls of hooks, by forge and what they came to."),
            Metric::Configuration => (
                "driftless_config_last_reload_successful",
                "gauge",
                "Whether the configuration that was read last is in force (1) or was refused (0).",
            ),
        }
    }
}

/// The labels of a series, in the order in which they are written.
type Labels = Vec<(&'static str, String)>;

/// One series.
#[derive(Debug, Clone, Default)]
struct Series {
    /// The value of a gauge or counter, the sum of a histogram.
    value: f64,
    count: u64,
    buckets: [u64; BUCKETS.len()],
}

/// Everything that is counted and timed by one process.
#[derive(Debug, Default)]
pub struct Metrics {
    series: Mutex<BTreeMap<(Metric, Labels), Series>>,
}

impl Metrics {
    /// Counts one.
    pub fn count(&self, metric: Metric, labels: &[(&'static str, &str)]) {
        self.change(metric, labels, |series| series.value += 1.0);
    }

    /// Notes how long something took.
    pub fn time(&self, metric: Metric, labels: &[(&'static str, &str)], took: Duration) {
        let seconds = took.as_secs_f64();
        self.change(metric, labels, |series| {
            series.value += seconds;
            series.count += 1;
            BUCKETS.iter().zip(&mut series.buckets).filter(|(bound, _)| seconds <= **bound).for_each(|(_, bucket)| *bucket += 1);
        });
    }

    /// Returns the text for Prometheus, with gauges that somebody else knows.
    pub fn text<'a>(&self, gauges: impl IntoIterator<Item = (Metric, Vec<(&'static str, &'a str)>, f64)>) -> String {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (metric, labels, value) in gauges {
            all.insert((metric, owned(&labels)), Series { value, ..Series::default() });
        }
        let mut text = String::new();
        let mut last = None;
        for ((metric, labels), series) in &all {
            let (name, kind, help) = metric.words();
            if last.replace(*metric) != Some(*metric) {
                push(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            }
            match kind {
                "histogram" => write_histogram(&mut text, name, labels, series),
                _ => push(&mut text, format_args!("{name}{} {}\n", braces(labels, None), series.value)),
            }
        }
        text
    }

    fn change(&self, metric: Metric, labels: &[(&'static str, &str)], change: impl FnOnce(&mut Series)) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        change(series.entry((metric, owned(labels))).or_default());
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn write_histogram(text: &mut String, name: &str, labels: &Labels, series: &Series) {
    for (bound, count) in BUCKETS.iter().zip(series.buckets) {
        push(text, format_args!("{name}_bucket{} {count}\n", braces(labels, Some(&bound.to_string()))));
    }
    push(text, format_args!("{name}_bucket{} {}\n", braces(labels, Some("+Inf")), series.count));
    push(text, format_args!("{name}_sum{} {}\n", braces(labels, None), series.value));
    push(text, format_args!("{name}_count{} {}\n", braces(labels, None), series.count));
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes whatever is written.
    let _ = text.write_fmt(line);
}

fn braces(labels: &Labels, bound: Option<&str>) -> String {
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_metric_stand_together_under_its_help() {
        let metrics = Metrics::default();
        metrics.count(Metric::Errors, &[("class", "user")]);
        metrics.count(Metric::Errors, &[("class", "user")]);
        metrics.count(Metric::Errors, &[("class", "a\"b\\c\nd")]);
        let text = metrics.text([(Metric::Drift, vec![("application", "shop"), ("kind", "Deployment")], 2.0)]);
        insta::assert_snapshot!(text, @r#"
        # HELP driftless_drift Objects of this kind that differ although Git did not move.
        # TYPE driftless_drift gauge
        driftless_drift{application="shop",kind="Deployment"} 2
        # HELP driftless_errors_total Failures, by who has to do something about them.
        # TYPE driftless_errors_total counter
        driftless_errors_total{class="a\"b\\c\nd"} 1
        driftless_errors_total{class="user"} 2
        "#);
    }

    #[test]
    fn a_histogram_counts_each_time_in_every_bucket_above_it() {
        let metrics = Metrics::default();
        metrics.time(Metric::Step, &[("action", "start")], Duration::from_millis(50));
        metrics.time(Metric::Step, &[("action", "start")], Duration::from_secs(600));
        let text = metrics.text([]);
        for line in [
            r#"driftless_step_duration_seconds_bucket{action="start",le="0.01"} 0"#,
            r#"driftless_step_duration_seconds_bucket{action="start",le="0.05"} 1"#,
            r#"driftless_step_duration_seconds_bucket{action="start",le="300"} 1"#,
            r#"driftless_step_duration_seconds_bucket{action="start",le="+Inf"} 2"#,
            r#"driftless_step_duration_seconds_sum{action="start"} 600.05"#,
            r#"driftless_step_duration_seconds_count{action="start"} 2"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
