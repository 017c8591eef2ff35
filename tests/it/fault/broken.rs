//! An engine that says no to a single call, or answers for one container only with an error: what is about that
//! container waits, and everything else goes on.

use super::manifest::{db, web};
use super::proxy::{Counted, Fault, Harm};
use super::world::{World, beside, docker, engine_or_skip, fill, make_room};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cannot_be_read_stops_only_its_own_workload() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::running(&engine, &(web(2, 1) + &db(1)));
        let (before, other) = (world.ids("web"), world.ids("db"));
        // Only a new agent asks about every container.
        world.kill();
        let call: &'static str = format!("/containers/{}/json", before[0]).leak();
        let harm = Harm::Say(500, "the layer of this container is damaged");
        world.proxy.set(Some(Fault { harm, counted: Counted::Holding(call), at: 1, times: usize::MAX }));
        world.commit("application.yaml", &(web(2, 2) + &db(2)));
        world.start();
        world.wait_for_log("a container cannot be read");
        let output = world.run(&["apply", "fault", "--wait", "1s"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}\n{}", world.log());
        assert!(said.contains("the layer of this container is damaged"), "{said}\n{}", world.log());
        assert_ne!(world.ids("db"), other, "the other workload is updated\n{}", world.log());
        assert_eq!(world.ids("web"), before, "nothing is done about this one");
        let status = world.run(&["status"]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(said.contains("does not tell what") && said.contains("Unknown"), "{said}");
        world.wait_for_answer("web", "page 1");

        // No event tells that it can be read again.
        world.proxy.set(None);
        world.applied("when it can be read again");
        world.wait_for_answer("web", "page 2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_removal_is_waited_for() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::running(&engine, &web(1, 1));
        let old = world.ids("web");
        let harm = Harm::Say(409, "removal of container x is already in progress");
        world.proxy.set(Some(Fault { harm, counted: Counted::Holding("DELETE /containers/"), at: 1, times: 1 }));
        let call = |world: &World| world.proxy.harmed();
        world.commit("application.yaml", &web(1, 2));
        let mut client = world.begin_to_apply();
        while !call(&world).iter().any(|call| call.contains(&old[0])) {
            // The one that was harmed may be of what delivered the files: it is gone when it is removed by hand.
            for harmed in call(&world) {
                let name = harmed.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
                docker(&engine, &["rm", "--force", &name]);
                world.proxy.set(Some(Fault { harm, counted: Counted::Holding("DELETE /containers/"), at: 1, times: 1 }));
            }
            assert!(client.try_wait().expect("a child").is_none(), "it is removed\n{}", world.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        docker(&engine, &["rm", "--force", &old[0]]);
        assert!(client.wait().expect("a child").success(), "{}", world.log());
        world.assert_in_sync("after somebody removed it");
        assert!(!world.log().contains("a step failed"), "{}", world.log());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_just_ends_is_renamed_all_the_same() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::running(&engine, &web(1, 1));
        let harm = Harm::Say(500, "sandbox 0123456789ab not found");
        world.proxy.set(Some(Fault { harm, counted: Counted::Holding("-leaving-"), at: 1, times: 3 }));
        world.commit("application.yaml", &web(1, 2));
        world.applied("renamed");
        assert_eq!(world.proxy.harmed().len(), 3);
        assert!(!world.log().contains("a step failed"), "{}", world.log());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nobody_wants_any_more_are_not_left_half_delivered() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::running(&engine, &web(1, 1));
        world.proxy.set(Some(Fault { harm: Harm::KillBefore, counted: Counted::Holding("/archive?"), at: 1, times: 1 }));
        world.commit("application.yaml", &web(1, 2));
        let _ = world.apply();
        world.has_ended();
        world.proxy.set(None);
        let filling = |world: &World| {
            let containers = world.objects("container", &["ls", "--all", "--quiet", "--no-trunc"]);
            containers.iter().filter(|it| it["Name"].as_str().is_some_and(|name| name.ends_with("-filling"))).count()
        };
        assert_eq!(filling(&world), 1, "{}", world.log());
        world.commit("application.yaml", &web(1, 3));
        world.start();
        world.applied("another revision");
        assert_eq!(filling(&world), 0, "{}", world.log());
        let volumes = world.objects("volume", &["ls", "--quiet"]);
        let contents = volumes.iter().filter(|it| it["Labels"]["dev.driftless.object"].as_str().is_some_and(|it| it.contains("/Content/")));
        assert_eq!(contents.count(), 1, "{volumes:?}\n{}", world.log());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_copy_of_what_is_served_is_written_when_there_is_room() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::new(&engine, &[]);
        let state = world.path("state");
        world.mount(&state, "8m");
        world.commit("application.yaml", &web(1, 1));
        world.start();
        world.applied("with room");
        fill(&state);
        // Who serves is another one then, so something else is published.
        docker(&engine, &["kill", &world.ids("web")[0]]);
        world.wait_for_log("the copy of what is served cannot be written");
        make_room(&state);
        world.wait_for_log("the copy of what is served is written again");
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let copy = read(state.join("published.json"));
        assert!(!copy.is_empty() && copy == read(world.published().join("published.json")), "{copy}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_step_touches_is_no_drift() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::new(&engine, &[]);
        for number in 1..=4 {
            world.commit("application.yaml", &(web(1 + number % 3, number) + &db(number)));
            if !world.is_running() {
                world.start();
            }
            let mut client = world.begin_to_apply();
            while client.try_wait().expect("a child").is_none() {
                let output = world.run(&["drift", "fault"]);
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let drifts = said.lines().any(|line| ["  ~ ", "  + ", "  - "].iter().any(|mark| line.starts_with(mark)));
                assert!(!drifts, "our own step: {said}\n{}", world.log());
            }
            world.assert_in_sync("afterwards");
        }
    })
    .await;
}
