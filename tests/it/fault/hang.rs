//! An engine that answers too late: nobody waits for it longer than for a few seconds, and what was asked
//! for meanwhile is done once it answers again.

use std::time::{Duration, Instant};

use super::manifest::web;
use super::proxy::{Counted, Fault, Harm};
use super::world::{World, engine_or_skip};

/// How late it answers: longer than the agent waits for a snapshot.
const LATE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_delays_no_answer() {
    let Some(engine) = engine_or_skip().await else { return };
    tokio::task::spawn_blocking(move || {
        let mut world = World::new(&engine, &[]);
        world.commit("application.yaml", &web(1, 1));
        world.start();
        world.apply().unwrap_or_else(|error| panic!("{error}\n{}", world.log()));
        // What the agent has open goes on; only its next look at the host gets no answer.
        world.proxy.set(Some(Fault { harm: Harm::Delay(LATE), counted: Counted::Holding("/containers/json"), at: 1, times: usize::MAX }));
        let asked = Instant::now();
        let output = world.run(&["status"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("the engine has not answered for 5 s"), "{said}\n{}", world.log());
        assert!(asked.elapsed() < Duration::from_secs(45), "it came after {:?}", asked.elapsed());
        assert!(!world.proxy.harmed().is_empty(), "it hangs");

        world.commit("application.yaml", &web(1, 2));
        let mut client = world.begin_to_apply();
        world.wait_for_log("a new revision");
        world.proxy.set(None);
        let ended = client.wait().expect("a child");
        assert!(ended.success(), "it is applied in the end\n{}", world.log());
        world.assert_in_sync("after the engine hung");
    })
    .await
    .expect("no assertion fails");
}
