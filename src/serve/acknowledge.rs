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
    /// Connections that a front counted.
    Connections(String, Counted),
    /// Somebody had changed the rules of a front, and they were loaded again.
    Mended(String),
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

/// Connections through one front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// The generation whose rules were in force.
    pub generation: u64,
    /// So many, by the address of a replica that left.
    pub by_address: BTreeMap<Ipv4Addr, u64>,
}

impl Counted {
    fn get(&self, address: Ipv4Addr, published: &Published) -> Option<u64> {
        // Addresses are used again: a count from before it left would be another replica's.
        let lefts = published.left.values().filter(|left| left.addresses.contains(&address));
        let newest = lefts.map(|left| left.generation).max()?;
        (self.generation >= newest).then(|| self.by_address.get(&address).copied()).flatten()
    }
}

/// Writes what is served whenever that changes.
pub(super) async fn keep(path: PathBuf, mut reports: mpsc::UnboundedReceiver<Report>) {
    let mut known = Known::new(std::process::id());
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
    counted: BTreeMap<String, Counted>,
    mended: BTreeMap<String, u64>,
    said: Acknowledged,
}

impl Known {
    fn new(pid: u32) -> Self {
        Known {
            published: None,
            fronts: BTreeMap::new(),
            counted: BTreeMap::new(),
            mended: BTreeMap::new(),
            said: Acknowledged::nothing(pid),
        }
    }

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
            Report::Mended(front) => *self.mended.entry(front).or_default() += 1,
        }
        self.say();
    }

    fn say(&mut self) {
        let Some(published) = &self.published else { return };
        self.fronts.retain(|name, _| published.fronts.iter().any(|front| front.name == *name));
        self.counted.retain(|name, _| self.fronts.contains_key(name));
        self.mended.retain(|name, _| self.fronts.contains_key(name));
        let phase = |name: &str| self.fronts.get(name).unwrap_or(&Phase::Starting);
        let served = |name: &str| match phase(name) {
            Phase::Applied { generation, .. } => *generation >= published.generation,
            Phase::Absent(_) => true,
            Phase::Starting | Phase::Failed { .. } => false,
        };
        if published.fronts.iter().all(|front| served(&front.name)) {
            self.said.generation = published.generation;
        }
        let status = |name: &str| {
            let (pid, error) = match phase(name) {
                Phase::Starting => (None, None),
                Phase::Absent(error) => (None, Some(error.clone())),
                Phase::Applied { pid, .. } => (Some(*pid), None),
                Phase::Failed { pid, error } => (Some(*pid), Some(error.clone())),
            };
            FrontStatus { pid, error, mended: self.mended.get(name).copied().unwrap_or_default() }
        };
        self.said.fronts = published.fronts.iter().map(|front| (front.name.clone(), status(&front.name))).collect();
        // A sum without one of the fronts would say that somebody has drained who has not.
        let counting: Vec<Option<&Counted>> = published
            .fronts
            .iter()
            .filter(|front| !matches!(phase(&front.name), Phase::Absent(_)))
            .map(|front| self.counted.get(&front.name))
            .collect();
        let sum = |address| counting.iter().map(|counted| (*counted)?.get(address, published)).sum::<Option<u64>>();
        let addresses = published.left.values().flat_map(|left| left.addresses.iter().copied());
        self.said.connections = addresses.filter_map(|address| Some((address, sum(address)?))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Left;
    use crate::time::Time;
    use crate::traffic::FrontState;

    fn known(generation: u64) -> Known {
        let mut known = Known::new(1);
        known.take(published(generation));
        known
    }

    fn published(generation: u64) -> Report {
        let front = |name: &str| FrontState {
            name: name.to_owned(),
            container: None,
            address: Ipv4Addr::LOCALHOST,
            local: None,
            mapped: None,
            dns: false,
            ports: Vec::new(),
        };
        let fronts = vec![front("a"), front("b")];
        Report::Published(Arc::new(Published { fronts, ..Published::empty("cluster.local", generation) }))
    }

    fn with_left(generation: u64, left: &[(Ipv4Addr, u64)]) -> Report {
        let Report::Published(mut published) = published(generation) else { panic!("published") };
        let left = left.iter().map(|(address, generation)| {
            let left = Left { addresses: [*address].into(), generation: *generation, at: Time(0), named: false };
            (address.to_string(), left)
        });
        Arc::make_mut(&mut published).left = left.collect();
        Report::Published(published)
    }

    fn front(name: &str, phase: Phase) -> Report {
        Report::Front(name.to_owned(), phase)
    }

    fn applied(generation: u64) -> Phase {
        Phase::Applied { pid: 7, generation }
    }

    #[test]
    fn a_generation_is_acknowledged_when_every_running_front_has_it() {
        let mut known = known(1);
        known.take(front("a", applied(1)));
        assert_eq!(known.said.generation, 0, "nothing is known of the other front yet");
        known.take(front("b", Phase::Absent("gone".to_owned())));
        assert_eq!(known.said.generation, 1);
        known.take(published(2));
        known.take(front("a", Phase::Failed { pid: 7, error: "no".to_owned() }));
        assert_eq!(known.said.generation, 1, "old rules may still lead to who left");
        assert_eq!(known.said.fronts["a"].error.as_deref(), Some("no"));
        known.take(front("a", applied(2)));
        assert_eq!(known.said.generation, 2);
        known.take(published(3));
        known.take(front("a", Phase::Starting));
        assert_eq!(known.said.generation, 2, "it may run by now, without rules of this generation");
    }

    #[test]
    fn connections_are_said_when_every_running_front_has_counted_them() {
        let (one, two) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut known = known(1);
        known.take(with_left(2, &[(one, 2), (two, 2)]));
        let counted = |front: &str, generation, counts: &[(Ipv4Addr, u64)]| {
            Report::Connections(front.to_owned(), Counted { generation, by_address: counts.iter().copied().collect() })
        };
        known.take(front("a", applied(2)));
        known.take(counted("a", 2, &[(one, 2), (two, 0)]));
        assert!(known.said.connections.is_empty(), "nothing is known of the other front");
        known.take(front("b", applied(2)));
        known.take(counted("b", 2, &[(one, 1)]));
        assert_eq!(known.said.connections, [(one, 3)].into());
        known.take(front("a", Phase::Absent("gone".to_owned())));
        assert_eq!(known.said.connections, [(one, 1)].into());
        known.take(with_left(3, &[]));
        assert!(known.said.connections.is_empty());
        known.take(with_left(4, &[(one, 4)]));
        assert!(known.said.connections.is_empty(), "the count is of who had the address before");
        known.take(counted("b", 4, &[(one, 0)]));
        assert_eq!(known.said.connections, [(one, 0)].into());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_reported_until_a_good_one_comes() {
        let mut known = known(1);
        known.take(Report::FileError("broken".to_owned()));
        assert_eq!(known.said.file_error.as_deref(), Some("broken"));
        known.take(published(2));
        assert_eq!(known.said.file_error, None);
    }
}
