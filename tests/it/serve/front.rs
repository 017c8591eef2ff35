//! Fronts: translated and held connections, restarts, draining.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use driftless::desired::Protocol;

use super::world::{World, ask, run, wait};

const HOLD: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_service_address_leads_to_its_replicas_from_host_container_and_itself() {
    let Some(mut world) = World::new().await else { return };
    let (one, two) = (world.replica("one", 10), world.replica("two", 11));
    let web = world.service(7);
    world.set(web, Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080), SocketAddrV4::new(two, 8080)], HOLD);
    world.name("web", Some(web), &[("http", 80)], &[]);
    world.serve();
    println!("published and acknowledged in {:?}", world.publish_and_wait().await);
    let answers: Vec<String> = (0..40).map(|_| ask(SocketAddrV4::new(web, 80)).expect("an answer")).collect();
    for name in ["one", "two"] {
        assert!(answers.iter().any(|answer| answer == name), "{answers:?}");
    }
    let url = format!("http://{web}/name");
    for _ in 0..8 {
        let replica = run("docker", &["exec", &format!("{}-one", world.options.owner), "wget", "-qO-", &url]);
        assert!(["one", "two"].contains(&replica.as_str()), "{replica}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_replica_connections_wait_and_are_then_refused() {
    let Some(mut world) = World::new().await else { return };
    let (web, gone) = (world.service(7), world.service(8));
    world.set(web, Protocol::Tcp, 80, &[], HOLD);
    world.set(gone, Protocol::Tcp, 80, &[], Duration::ZERO);
    world.serve();
    world.publish_and_wait().await;
    let began = Instant::now();
    for nobody in [SocketAddrV4::new(gone, 80), SocketAddrV4::new(web, 81), SocketAddrV4::new(world.service(99), 80)] {
        let error = ask(nobody).expect_err("nobody serves");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{nobody}");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "refused at once");

    let client = std::thread::spawn(move || ask(SocketAddrV4::new(web, 80)));
    let one = world.replica("one", 10);
    world.set(web, Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.publish_and_wait().await;
    assert_eq!(client.join().expect("a client").expect("an answer"), "one");

    world.set(web, Protocol::Tcp, 80, &[], Duration::from_millis(300));
    world.publish_and_wait().await;
    let began = Instant::now();
    let error = ask(SocketAddrV4::new(web, 80)).expect_err("nobody serves");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(began.elapsed() >= Duration::from_millis(300), "held for {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_front_has_its_rules_back() {
    let Some(mut world) = World::new().await else { return };
    let one = world.replica("one", 10);
    let web = SocketAddrV4::new(world.service(7), 80);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.serve();
    world.publish_and_wait().await;
    assert_eq!(ask(web).expect("an answer"), "one");
    run("docker", &["restart", "-t", "1", &world.front]);
    let began = Instant::now();
    wait("the front serves again", || ask(web).is_ok()).await;
    println!("rules were back {:?} after the restart", began.elapsed());
}
