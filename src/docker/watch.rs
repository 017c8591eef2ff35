//! What is remembered between two reads: answers of the engine that are still true, because no event
//! has said otherwise, and who stopped what.
//!
//! Nothing is remembered while the event stream is down: a remembered answer is only as good as the
//! promise to be told when it changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, ImageConfig, ImageSummary, Network, Volume};

use crate::time::Time;

/// An answer that is kept as long as it is true.
pub(super) type Kept<T> = Option<Arc<T>>;

/// What is remembered between two reads.
#[derive(Default)]
pub(super) struct Watch {
    /// The event stream has been open since this generation.
    connected: Option<u64>,
    /// Grows with every event.
    generation: u64,
    containers: HashMap<String, Arc<ContainerInspectResponse>>,
    /// The generation of the last event about a container.
    touched: HashMap<String, u64>,
    /// What images say; an image id never means anything else.
    image_configs: HashMap<String, Arc<ImageConfig>>,
    pub(super) networks: Slot<Vec<Network>>,
    pub(super) volumes: Slot<Vec<Volume>>,
    pub(super) images: Slot<Vec<ImageSummary>>,
    /// Names that images were pulled by; the engine forgets `name:tag@digest`.
    pulled: BTreeMap<String, String>,
    /// From when until when a stop is our own.
    own_stops: HashMap<String, (Time, Time)>,
    stopped: HashMap<String, Time>,
}

/// One kept answer, and the generation of the last event about it.
pub(super) struct Slot<T> {
    value: Kept<T>,
    touched: u64,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot { value: None, touched: 0 }
    }
}

/// How many entries about containers are kept before those that nothing waits for are dropped.
const MANY: usize = 10_000;

impl Watch {
    /// Returns the generation that an answer asked for now belongs to.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Tells whether every change since a generation was told.
    fn is_told_since(&self, generation: u64) -> bool {
        self.connected.is_some_and(|since| since <= generation)
    }

    /// The stream is open: from now on every change is told.
    pub(super) fn connect(&mut self) {
        self.forget();
        self.connected = Some(self.generation);
    }

    /// The stream is closed: nothing that was remembered may be used.
    pub(super) fn disconnect(&mut self) {
        self.connected = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.generation += 1;
        self.containers.clear();
        self.touched.clear();
        self.networks = Slot { value: None, touched: self.generation };
        self.volumes = Slot { value: None, touched: self.generation };
        self.images = Slot { value: None, touched: self.generation };
    }

    /// Something happened to a container.
    pub(super) fn touch_container(&mut self, id: &str) {
        self.generation += 1;
        self.containers.remove(id);
        if self.touched.len() > MANY {
            let recent = self.generation - MANY as u64 / 2;
            self.touched.retain(|_, generation| *generation > recent);
        }
        self.touched.insert(id.to_owned(), self.generation);
    }

    pub(super) fn touch_networks(&mut self) {
        self.generation += 1;
        self.networks = Slot { value: None, touched: self.generation };
    }

    pub(super) fn touch_volumes(&mut self) {
        self.generation += 1;
        self.volumes = Slot { value: None, touched: self.generation };
    }

    pub(super) fn touch_images(&mut self) {
        self.generation += 1;
        self.images = Slot { value: None, touched: self.generation };
    }

    /// Returns what is known of a container.
    pub(super) fn container(&self, id: &str) -> Kept<ContainerInspectResponse> {
        self.containers.get(id).cloned()
    }

    /// Keeps an answer about a container that was asked for at `generation`.
    pub(super) fn keep_container(&mut self, id: &str, answer: &Arc<ContainerInspectResponse>, generation: u64) {
        let touched = self.touched.get(id).copied().unwrap_or(0);
        if self.is_told_since(generation) && touched <= generation {
            self.containers.insert(id.to_owned(), Arc::clone(answer));
        }
    }

    /// Returns what an image says.
    pub(super) fn image_config(&self, id: &str) -> Kept<ImageConfig> {
        self.image_configs.get(id).cloned()
    }

    pub(super) fn keep_image_config(&mut self, id: &str, config: &Arc<ImageConfig>) {
        self.image_configs.insert(id.to_owned(), Arc::clone(config));
    }

    /// Forgets containers and images that are no more.
    pub(super) fn retain(&mut self, exists: impl Fn(&str) -> bool) {
        self.containers.retain(|id, _| exists(id));
        self.stopped.retain(|id, _| exists(id));
        self.own_stops.retain(|id, _| exists(id));
        let used: std::collections::HashSet<&str> = self.containers.values().filter_map(|container| container.image.as_deref()).collect();
        if self.connected.is_some() {
            self.image_configs.retain(|id, _| used.contains(id.as_str()));
        }
    }

    /// Remembers the name that an image was pulled by.
    pub(super) fn pulled(&mut self, name: &str, id: String) {
        self.pulled.insert(name.to_owned(), id);
    }

    pub(super) fn pulled_names(&self) -> &BTreeMap<String, String> {
        &self.pulled
    }

    /// Says that stops of a container from now until then are our own.
    pub(super) fn stop_ourselves(&mut self, id: &str, now: Time, until: Time) {
        self.own_stops.insert(id.to_owned(), (now, until));
    }

    /// Our stop of a container is over; the engine may tell of it until then.
    pub(super) fn stopped_ourselves(&mut self, id: &str, until: Time) {
        if let Some((_, end)) = self.own_stops.get_mut(id) {
            *end = until;
        }
    }

    /// A container was stopped or paused through the API.
    pub(super) fn saw_stop(&mut self, id: &str, at: Time) {
        if self.own_stops.get(id).is_none_or(|(from, until)| at < *from || at > *until) {
            self.stopped.insert(id.to_owned(), at);
        }
    }

    /// A container was started or resumed.
    pub(super) fn saw_start(&mut self, id: &str, at: Time) {
        self.stopped.remove(id);
        if self.own_stops.get(id).is_some_and(|(from, _)| at >= *from) {
            self.own_stops.remove(id);
        }
    }

    /// Returns when somebody else stopped or paused a container, if it has not been started since.
    pub(super) fn stopped_by_hand(&self, id: &str) -> Option<Time> {
        self.stopped.get(id).copied()
    }
}

impl<T> Slot<T> {
    pub(super) fn get(&self) -> Kept<T> {
        self.value.clone()
    }
}

/// Keeps an answer that was asked for at `generation`, unless something happened meanwhile.
pub(super) fn keep<T>(watch: &mut Watch, slot: impl Fn(&mut Watch) -> &mut Slot<T>, answer: &Arc<T>, generation: u64) {
    let told = watch.is_told_since(generation);
    let slot = slot(watch);
    if told && slot.touched <= generation {
        slot.value = Some(Arc::clone(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Arc<ContainerInspectResponse> {
        Arc::new(ContainerInspectResponse::default())
    }

    #[test]
    fn an_answer_that_an_event_overtook_is_not_kept() {
        let mut watch = Watch::default();
        watch.connect();
        let asked = watch.generation();
        watch.touch_container("a");
        watch.keep_container("a", &answer(), asked);
        watch.keep_container("b", &answer(), asked);
        assert!(watch.container("a").is_none());
        assert!(watch.container("b").is_some());
    }

    #[test]
    fn nothing_is_remembered_without_events() {
        let mut watch = Watch::default();
        watch.keep_container("a", &answer(), watch.generation());
        assert!(watch.container("a").is_none());
        let asked = watch.generation();
        watch.connect();
        watch.keep_container("a", &answer(), asked);
        assert!(watch.container("a").is_none(), "it was asked for before anything was told");
        watch.keep_container("a", &answer(), watch.generation());
        assert!(watch.container("a").is_some());
        watch.disconnect();
        assert!(watch.container("a").is_none());
    }

    #[test]
    fn our_own_stop_is_not_somebody_elses() {
        let mut watch = Watch::default();
        watch.stop_ourselves("a", Time(50), Time(100));
        watch.saw_stop("a", Time(99));
        assert_eq!(watch.stopped_by_hand("a"), None);
        watch.saw_stop("a", Time(101));
        assert_eq!(watch.stopped_by_hand("a"), Some(Time(101)));
        watch.saw_start("a", Time(102));
        assert_eq!(watch.stopped_by_hand("a"), None);
    }

    #[test]
    fn a_stop_right_after_our_own_restart_is_somebody_elses() {
        let mut watch = Watch::default();
        watch.stop_ourselves("a", Time(50), Time(100));
        watch.saw_start("a", Time(40));
        watch.saw_stop("a", Time(60));
        assert_eq!(watch.stopped_by_hand("a"), None, "a start that is told late does not end our stop");
        watch.saw_start("a", Time(70));
        watch.saw_stop("a", Time(80));
        assert_eq!(watch.stopped_by_hand("a"), Some(Time(80)));
    }
}
