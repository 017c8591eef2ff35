//! Says what is served: gathers what the parts report and writes it as one file.
//!
//! A generation is acknowledged when every front that runs has its rules. A front that does not run
//! passes no traffic, so nobody has to wait for it; one that refuses its rules may still pass traffic
//! to a replica that leaves, so everybody has to.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::traffic::{Acknowledged, FrontStatus, Published};

use super::file;

/// What a part of the data path reports.
#[derive(Debug)]
pub(super) enum Report {
    /// There is a new published state.
    Published(Arc<Published>),
    /// The newest published state cannot be used.
    FileError(String),
    /// DNS is answered on the host, or why not.
    Dns(Option<String>),
    /// A front is in another phase.
    Front(String, Phase),
    /// Connections that a front counted, by the address of a replica that left.
    Connections(String, BTreeMap<Ipv4Addr, u64>),
}

/// How far a front is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being looked for or set up.
    Starting,
    /// It does not run, or cannot be entered.
    Absent(String),
    /// It has the rules of a generation.
    Applied {
        /// Its main process.
        pid: u32,
        /// The generation.
        generation: u64,
    },
    /// It runs, and something keeps it from having the rules.
    Failed {
        /// Its main process.
        pid: u32,
        /// Why.
        error: String,
    },
}

/// Writes what is served whenever that changes.
pub(super) async fn keep(path: PathBuf, mut reports: mpsc::UnboundedReceiver<Report>) {
    let mut known =
        Known { published: None, fronts: BTreeMap::new(), counted: BTreeMap::new(), said: Acknowledged::nothing(std::process::id()) };
    let mut written = None;
    while let Some(report) = reports.recv().await {
        known.take(report);
        while let Ok(report) = reports.try_recv() {
            known.take(report);
        }
        if written.as_ref() == Some(&known.said) {
            continue;
        }
        let bytes = serde_json::to_vec(&known.said).expect("what is acknowledged has text keys only");
        match file::write(&path, &bytes) {
            Ok(()) => written = Some(known.said.clone()),
            Err(error) => tracing::error!("{}", error.line()),
        }
    }
}

struct Known {
    published: Option<Arc<Published>>,
    fronts: BTreeMap<String, Phase>,
    counted: BTreeMap<String, BTreeMap<Ipv4Addr, u64>>,
    said: Acknowledged,
}

impl Known {
    fn take(&mut self, report: Report) {
        match report {
            Report::Published(published) => {
                self.said.file_error = None;
                self.published = Some(published);
            }
            Report::FileError(error) => self.said.file_error = Some(error),
            Report::Dns(error) => self.said.dns_error = error,
            Report::Front(front, phase) => {
                if !matches!(phase, Phase::Applied { .. }) {
                    self.counted.remove(&front);
                }
                self.fronts.insert(front, phase);
            }
            Report::Connections(front, counted) => {
                self.counted.insert(front, counted);
            }
        }
        self.say();
    }

    fn say(&mut self) {
        let Some(published) = &self.published else { return };
        self.fronts.retain(|name, _| published.fronts.iter().any(|front| front.name == *name));
        self.counted.retain(|name, _| self.fronts.contains_key(name));
        let phase = |name: &str| self.fronts.get(name).unwrap_or(&Phase::Starting);
        let served = |name: &str| match phase(name) {
            Phase::Applied { generation, .. } => *generation >= published.generation,
            Phase::Absent(_) => true,
            Phase::Starting | Phase::Failed { .. } => false,
        };
        if published.fronts.iter().all(|front| served(&front.name)) {
            self.said.generation = published.generation;
        }
        let status = |name: &str| match phase(name) {
            Phase::Starting => FrontStatus::default(),
            Phase::Absent(error) => FrontStatus { pid: None, error: Some(error.clone()) },
            Phase::Applied { pid, .. } => FrontStatus { pid: Some(*pid), error: None },
            Phase::Failed { pid, error } => FrontStatus { pid: Some(*pid), error: Some(error.clone()) },
        };
        self.said.fronts = published.fronts.iter().map(|front| (front.name.clone(), status(&front.name))).collect();
        self.said.connections.clear();
        for (address, count) in self.counted.values().flatten() {
            *self.said.connections.entry(*address).or_default() += count;
        }
    }
}
