//! Whole containers on virtual time, with answers by a script.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ask::Later;
use super::*;
use crate::desired::{Action, Probe, Probes};

/// The containers of these tests are started at this time.
const START: Time = Time(1_000_000);

/// Answers by what the script says for the question's port and the seconds since the start.
struct Script {
    begin: Instant,
    answer: Box<dyn Fn(u16, f64) -> Answer + Send + Sync>,
    asked: Arc<Mutex<Vec<(u16, f64)>>>,
}

impl Ask for Script {
    fn ask<'a>(&'a self, _: &'a Wanted, action: &'a Action, _: Duration) -> Later<'a, Answer> {
        let Action::Tcp { port, .. } = action else { panic!("scripts answer TCP") };
        let seconds = self.begin.elapsed().as_secs_f64();
        self.asked.lock().unwrap().push((*port, seconds));
        Box::pin(std::future::ready((self.answer)(*port, seconds)))
    }
}

struct World {
    prober: Prober,
    asked: Arc<Mutex<Vec<(u16, f64)>>>,
    pokes: Arc<AtomicUsize>,
}

impl World {
    fn new(answer: impl Fn(u16, f64) -> Answer + Send + Sync + 'static) -> Self {
        let (asked, pokes): (Arc<Mutex<Vec<_>>>, Arc<AtomicUsize>) = Default::default();
        let begin = Instant::now();
        let script = Script { begin, answer: Box::new(answer), asked: asked.clone() };
        let counter = pokes.clone();
        let poke = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        World { prober: Prober::with_clock(script, poke, move || START + begin.elapsed()), asked, pokes }
    }

    fn probing(&self) -> Probing {
        self.prober.results().get("c").cloned().expect("it is asked")
    }

    fn asked(&self, port: u16) -> Vec<f64> {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| *asked == port).map(|(_, at)| *at).collect()
    }

    fn pokes(&self) -> usize {
        self.pokes.load(Ordering::SeqCst)
    }
}

fn bad() -> Answer {
    Answer::Bad("no".into())
}

fn good_if(condition: bool) -> Answer {
    if condition { Answer::Good } else { bad() }
}

fn at(seconds: u64) -> Option<Time> {
    Some(START + Duration::from_secs(seconds))
}

/// Asked at once and every ten seconds; one good or three bad answers decide.
fn probe(port: u16) -> Option<Probe> {
    Some(Probe {
        action: Action::Tcp { host: None, port },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
    })
}

fn wanted(probes: Probes, ports: &[u16]) -> Wanted {
    let care = Care { probes, ports: ports.iter().copied().collect(), ..Care::default() };
    Wanted { container: "c".into(), started: START, address: None, care }
}

async fn pass(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

const STARTUP: u16 = 1;
const LIVENESS: u16 = 2;
const READINESS: u16 = 3;

#[tokio::test(start_paused = true)]
async fn startup_is_asked_alone_until_it_succeeds() {
    let mut world = World::new(|port, seconds| good_if(port != STARTUP || seconds > 15.0));
    let probes = Probes { startup: probe(STARTUP), liveness: probe(LIVENESS), readiness: probe(READINESS) };
    world.prober.sync(vec![wanted(probes, &[])]);
    pass(19.0).await;
    assert_eq!((world.probing().startup_passed, world.asked(LIVENESS), world.asked(READINESS)), (None, vec![], vec![]));
    assert_eq!(world.probing().message.unwrap(), "startup probe: no");
    assert_eq!(world.pokes(), 0);
    pass(2.0).await;
    assert_eq!(world.asked(STARTUP), [0.0, 10.0, 20.0]);
    assert_eq!((world.probing().startup_passed, world.probing().ready_since), (at(20), at(20)));
    assert_eq!(world.probing().message, None);
    pass(60.0).await;
    assert_eq!(world.asked(STARTUP).len(), 3);
    assert_eq!(world.asked(LIVENESS).len(), 7);
    assert_eq!(world.pokes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_startup_asks_for_one_restart() {
    let mut world = World::new(|_, _| bad());
    world.prober.sync(vec![wanted(Probes { startup: probe(STARTUP), ..Probes::default() }, &[])]);
    pass(100.0).await;
    assert_eq!(world.asked(STARTUP), [0.0, 10.0, 20.0]);
    assert!(world.probing().must_restart);
    assert_eq!(world.pokes(), 1);
    let again =
        Wanted { started: START + Duration::from_secs(100), ..wanted(Probes { startup: probe(STARTUP), ..Probes::default() }, &[]) };
    world.prober.sync(vec![again]);
    assert!(!world.probing().must_restart);
    pass(25.0).await;
    assert!(world.probing().must_restart);
}

#[tokio::test(start_paused = true)]
async fn liveness_asks_for_a_restart_after_three_bad_answers_in_a_row() {
    // Bad at 20 and 30, good at 40, bad from 50 on.
    let mut world = World::new(|_, seconds| good_if(seconds < 15.0 || (35.0..45.0).contains(&seconds)));
    world.prober.sync(vec![wanted(Probes { liveness: probe(LIVENESS), ..Probes::default() }, &[])]);
    pass(65.0).await;
    assert!(!world.probing().must_restart);
    pass(10.0).await;
    assert!(world.probing().must_restart);
    pass(100.0).await;
    assert_eq!(world.asked(LIVENESS).last(), Some(&70.0));
    assert_eq!(world.pokes(), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_and_goes() {
    let mut world = World::new(|_, seconds| good_if((15.0..45.0).contains(&seconds) || seconds > 85.0));
    world.prober.sync(vec![wanted(Probes { readiness: probe(READINESS), ..Probes::default() }, &[])]);
    pass(5.0).await;
    assert_eq!((world.probing().ready_since, world.probing().unready), (None, false));
    pass(20.0).await;
    assert_eq!((world.probing().ready_since, world.probing().unready), (at(20), false));
    pass(40.0).await;
    // Bad at 50 and 60: not yet often enough.
    assert_eq!((world.probing().ready_since, world.probing().unready), (at(20), false));
    assert_eq!(world.probing().message.unwrap(), "readiness probe: no");
    pass(10.0).await;
    assert_eq!((world.probing().ready_since, world.probing().unready), (None, true));
    pass(20.0).await;
    assert_eq!((world.probing().ready_since, world.probing().unready), (at(90), false));
    assert_eq!(world.probing().message, None);
    assert_eq!(world.pokes(), 3);
    assert_eq!(world.asked(READINESS), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]);
}

#[tokio::test(start_paused = true)]
async fn thresholds_and_the_initial_delay_are_kept() {
    let mut world = World::new(|_, _| Answer::Good);
    let readiness = probe(READINESS).map(|probe| Probe { initial_delay: Duration::from_secs(7), success_threshold: 2, ..probe });
    world.prober.sync(vec![wanted(Probes { readiness, ..Probes::default() }, &[])]);
    pass(16.0).await;
    assert_eq!(world.probing().ready_since, None);
    pass(2.0).await;
    assert_eq!(world.probing().ready_since, at(17));
    assert_eq!(world.asked(READINESS), [7.0, 17.0]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_counts_neither_way() {
    let mut world = World::new(|_, seconds| if seconds < 100.0 && seconds > 5.0 { Answer::None("no engine".into()) } else { Answer::Good });
    world.prober.sync(vec![wanted(Probes { liveness: probe(LIVENESS), readiness: probe(READINESS), startup: None }, &[])]);
    pass(99.0).await;
    assert_eq!((world.probing().ready_since, world.probing().must_restart, world.probing().message), (at(0), false, None));
}

#[tokio::test(start_paused = true)]
async fn without_a_readiness_probe_ports_are_asked_until_they_accept() {
    let mut world = World::new(|port, seconds| good_if(port == 80 && seconds >= 2.0));
    world.prober.sync(vec![wanted(Probes::default(), &[80, 81])]);
    pass(1.0).await;
    assert!(world.probing().accepting.is_empty());
    pass(1.1).await;
    assert_eq!(world.probing().accepting, BTreeMap::from([(80, START + Duration::from_secs(2))]));
    assert_eq!(world.asked(80), [0.0, 0.5, 1.0, 1.5, 2.0]);
    pass(600.0).await;
    assert_eq!((world.asked(80).len(), world.pokes()), (5, 1));
    // Twice a second for a minute, then every five seconds.
    assert!((225..235).contains(&world.asked(81).len()), "{}", world.asked(81).len());
}

#[tokio::test(start_paused = true)]
async fn with_a_readiness_probe_ports_are_not_asked() {
    let mut world = World::new(|_, _| Answer::Good);
    world.prober.sync(vec![wanted(Probes { readiness: probe(READINESS), ..Probes::default() }, &[80])]);
    pass(5.0).await;
    assert_eq!(world.asked(80), [] as [f64; 0]);
    assert_eq!(world.probing().startup_passed, Some(START));
}

#[tokio::test(start_paused = true)]
async fn changed_questions_keep_what_is_known() {
    let mut world = World::new(|port, _| good_if(port != LIVENESS));
    world.prober.sync(vec![wanted(Probes { readiness: probe(READINESS), liveness: probe(LIVENESS), startup: None }, &[])]);
    pass(25.0).await;
    assert_eq!((world.probing().ready_since, world.probing().must_restart), (at(0), true));
    let slower = probe(READINESS).map(|probe| Probe { period: Duration::from_secs(20), ..probe });
    world.prober.sync(vec![wanted(Probes { readiness: slower, ..Probes::default() }, &[])]);
    assert_eq!((world.probing().ready_since, world.probing().must_restart), (at(0), false));
    pass(50.0).await;
    assert_eq!(world.probing().ready_since, at(0));
    world.prober.sync(Vec::new());
    let asked = world.asked(READINESS).len();
    pass(50.0).await;
    assert_eq!((world.asked(READINESS).len(), world.prober.results().len()), (asked, 0));
}
