//! Fronts: translated and held connections, restarts, draining.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use driftless::desired::Protocol;
use driftless::observed::Left;
use driftless::serve;
use driftless::time::Time;

use super::world::{World, ask, run, wait};

/// Longer than a loaded engine takes to replace a container.
const HOLD: Duration = Duration::from_secs(60);

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

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_before_its_successor_starts_loses_no_request() {
    let Some(mut world) = World::new().await else { return };
    let web = SocketAddrV4::new(world.service(7), 80);
    let mut replica = world.replica("v0", 10);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(replica, 8080)], HOLD);
    world.serve();
    world.publish_and_wait().await;
    let over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicU32::new(0));
    let client = move |over: &AtomicBool, served: &AtomicU32| {
        let (mut failed, mut longest) = (Vec::new(), Duration::ZERO);
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            match ask(web) {
                Ok(_) => drop(served.fetch_add(1, Ordering::Relaxed)),
                Err(error) => failed.push(error.to_string()),
            }
            longest = longest.max(began.elapsed());
        }
        (failed, longest)
    };
    let start = |_| {
        let (over, served) = (over.clone(), served.clone());
        std::thread::spawn(move || client(&over, &served))
    };
    let clients: Vec<_> = (0..8).map(start).collect();
    for version in 1..4 {
        let (old, container) = (replica, format!("v{}", version - 1));
        let enough = served.load(Ordering::Relaxed) + 100;
        wait("every version serves", || served.load(Ordering::Relaxed) >= enough).await;
        world.set(*web.ip(), Protocol::Tcp, 80, &[], HOLD);
        let left = Left { addresses: [old].into(), generation: world.published.generation + 1, at: Time(0), named: false };
        world.published.left.insert(container.clone(), left);
        world.publish_and_wait().await;
        wait("the old replica has no connection", || world.connections().get(&old) == Some(&0)).await;
        world.kill(&container);
        world.published.left.clear();
        replica = world.replica(&format!("v{version}"), 10 + version);
        world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(replica, 8080)], HOLD);
        world.publish_and_wait().await;
    }
    over.store(true, Ordering::Relaxed);
    let results: Vec<_> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    let failed: Vec<&String> = results.iter().flat_map(|(failed, _)| failed).collect();
    let longest = results.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
    let served = served.load(Ordering::Relaxed);
    println!("{} requests failed and {served} did not, over 3 stop-first updates under 8 clients; longest wait {longest:?}", failed.len());
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_replica_that_left_go_on_and_are_counted() {
    let Some(mut world) = World::new().await else { return };
    let echo = world.replica("echo", 10);
    world.container("other", &[], &["sleep", "1000"]);
    run("docker", &["exec", "-d", &format!("{}-echo", world.options.owner), "nc", "-ll", "-p", "9000", "-e", "cat"]);
    let service = SocketAddrV4::new(world.service(7), 9000);
    let (target, idle) = (SocketAddrV4::new(echo, 9000), world.replica("idle", 11));
    world.set(*service.ip(), Protocol::Tcp, 9000, &[], HOLD);
    world.serve();
    world.publish_and_wait().await;
    let mut held = TcpStream::connect(service).expect("it is held");
    world.set(*service.ip(), Protocol::Tcp, 9000, &[target], HOLD);
    world.publish_and_wait().await;
    let mut translated = TcpStream::connect(service).expect("it is translated");
    let say = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        stream.write_all(b"hello").expect("it goes on");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("an echo");
        assert_eq!(&answer, b"hello");
    };
    say(&mut held);
    say(&mut translated);
    world.set(*service.ip(), Protocol::Tcp, 9000, &[], HOLD);
    for (container, address) in [("c1", echo), ("c2", idle)] {
        let left = Left { addresses: [address].into(), generation: world.published.generation + 1, at: Time(0), named: false };
        world.published.left.insert(container.to_owned(), left);
    }
    world.publish_and_wait().await;
    wait("both are counted", || world.connections() == [(echo, 2), (idle, 0)].into()).await;
    say(&mut held);
    say(&mut translated);
    drop(translated);
    wait("the relayed one is left", || world.connections().get(&echo) == Some(&1)).await;
    drop(held);
    wait("none is left", || world.connections().get(&echo) == Some(&0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_follows_its_replicas_without_a_pause_of_the_client() {
    let Some(mut world) = World::new().await else { return };
    // The bridge's own address stands for replicas: the host's sockets answer there.
    let gateway = world.layout.gateway();
    let bind = || UdpSocket::bind((gateway, 0)).expect("a socket");
    let (one, two) = (bind(), bind());
    let target = |socket: &UdpSocket| SocketAddrV4::new(gateway, socket.local_addr().expect("an address").port());
    let service = SocketAddrV4::new(world.service(7), 514);
    let client = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    client.connect(service).expect("a route");
    let arrives = |socket: &UdpSocket| {
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
        // What an earlier datagram met is reported on the next.
        let _ = client.send(b"hello");
        socket.recv_from(&mut [0; 16]).is_ok()
    };
    world.set(*service.ip(), Protocol::Udp, 514, &[], HOLD);
    world.serve();
    world.publish_and_wait().await;
    assert!(!arrives(&one) && !arrives(&two));
    for socket in [&one, &two, &one] {
        world.set(*service.ip(), Protocol::Udp, 514, &[target(socket)], HOLD);
        world.publish_and_wait().await;
        wait("the datagram arrives at the only replica", || arrives(socket)).await;
    }
    world.set(*service.ip(), Protocol::Udp, 514, &[], HOLD);
    world.publish_and_wait().await;
    while one.recv_from(&mut [0; 16]).is_ok() {}
    assert!(!arrives(&one), "no replica, no traffic");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_the_same_before_during_and_after() {
    let Some(mut world) = World::new().await else { return };
    let one = world.replica("one", 10);
    let octets = world.layout.network.addr().octets();
    let prefix = format!("{}.{}.", octets[0], octets[1]);
    // Other tests and Docker change the rest of the host at the same time.
    let host = || {
        let routes = run("ip", &["route", "show", "table", "all"]);
        let routes: Vec<String> = routes.lines().filter(|line| line.contains(&prefix)).map(str::to_owned).collect();
        let settings = run("sysctl", &["-a", "-e", "-r", r"^net\.ipv4\.(ip_|conf\.(all|default)\.|neigh\.default)"]);
        (routes, settings, run("nft", &["list", "tables"]), run("ip", &["rule"]))
    };
    let before = host();
    let web = SocketAddrV4::new(world.service(7), 80);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.serve();
    world.publish_and_wait().await;
    assert_eq!(ask(web).expect("an answer"), "one");
    assert_eq!(host(), before, "during");
    world.end().await;
    assert_eq!(host(), before, "after");
    assert_eq!(ask(web).expect("an answer"), "one", "the front serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_published_state_is_served_at_once_and_a_broken_file_changes_nothing() {
    let Some(mut world) = World::new().await else { return };
    let one = world.replica("one", 10);
    let web = SocketAddrV4::new(world.service(7), 80);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.publish();
    // After a restart of the host only the copy is there.
    std::fs::remove_file(world.options.published()).expect("it was written");
    let began = Instant::now();
    world.serve();
    wait("the first generation", || world.acknowledged().is_some_and(|said| said.generation == 1)).await;
    println!("from start to serving the last published state: {:?}", began.elapsed());
    assert_eq!(ask(web).expect("an answer"), "one");

    std::fs::write(world.options.published(), "{").expect("a broken file");
    wait("the broken file is reported", || world.acknowledged().is_some_and(|said| said.file_error.is_some())).await;
    assert_eq!(ask(web).expect("an answer"), "one");
    assert_eq!(world.acknowledged().expect("it says").generation, 1);
    world.publish_and_wait().await;
    assert_eq!(world.acknowledged().expect("it says").file_error, None);

    let second = serve::run(world.options.clone()).await.expect_err("one per owner");
    assert!(matches!(second, serve::Error::Running { pid } if pid == std::process::id()), "{second}");
    assert_eq!(serve::running(&world.options), Some(std::process::id()));
    world.end().await;
    assert_eq!(serve::running(&world.options), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_that_is_not_there_holds_nobody_up_and_is_served_when_it_comes() {
    let Some(mut world) = World::new().await else { return };
    let one = world.replica("one", 10);
    let web = SocketAddrV4::new(world.service(7), 80);
    run("docker", &["stop", "-t", "1", &world.front]);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.serve();
    world.publish_and_wait().await;
    let name = world.published.fronts[0].name.clone();
    let status = world.acknowledged().expect("it says").fronts[&name].clone();
    assert_eq!((status.pid, status.error.as_deref()), (None, Some("its container does not run")));
    run("docker", &["start", &world.front]);
    wait("the front serves", || ask(web).is_ok()).await;
    wait("its process is known", || world.acknowledged().is_some_and(|said| said.fronts[&name].pid.is_some())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_somebody_changed_are_back_at_once_and_connections_go_on() {
    let Some(mut world) = World::new().await else { return };
    let one = world.replica("one", 10);
    let web = SocketAddrV4::new(world.service(7), 80);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.serve();
    world.publish_and_wait().await;
    let name = world.published.fronts[0].name.clone();
    let mended = |world: &World| world.acknowledged().map_or(0, |said| said.fronts[&name].mended);
    let pid = world.acknowledged().and_then(|said| said.fronts[&name].pid).expect("it runs").to_string();
    let nft = |arguments: &[&str]| run("nsenter", &[&["-t", &pid, "-n", "nft"], arguments].concat());
    for (times, harm) in [
        (1, &["flush", "ruleset"][..]),
        (2, &["flush", "table", "ip", "driftless"]),
        (3, &["flush", "map", "ip", "driftless", "services"]),
        (4, &["insert", "rule", "ip", "driftless", "nat_pre", "tcp", "dport", "80", "drop"]),
    ] {
        let mut open = TcpStream::connect(web).expect("it is served");
        nft(harm);
        wait(&format!("{harm:?} is mended"), || mended(&world) == times).await;
        assert_eq!(ask(web).expect("it is served again"), "one");
        open.write_all(b"GET /name HTTP/1.0\r\n\r\n").expect("it is still there");
        let mut answer = String::new();
        open.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("one\n"), "{answer}");
    }
    // What is not ours is left alone, and our own changes are none of somebody else's.
    nft(&["add", "table", "ip", "other"]);
    world.publish_and_wait().await;
    world.set(*web.ip(), Protocol::Tcp, 81, &[SocketAddrV4::new(one, 8080)], HOLD);
    world.publish_and_wait().await;
    assert_eq!(mended(&world), 4);
    assert!(nft(&["list", "tables"]).contains("table ip other"));
}
