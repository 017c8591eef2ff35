//! DNS, asked with `dig` as people do.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::world::{World, run};

/// Asks with `dig`, of the package bind9-dnsutils.
fn dig(world: &World, front: bool, arguments: &[&str]) -> String {
    let (server, port) = match front {
        true => (format!("@{}", world.layout.front()), "53".to_owned()),
        false => ("@127.0.0.1".to_owned(), world.options.dns.port().to_string()),
    };
    let options = [server.as_str(), "-p", &port, "+tries=1", "+time=3", "+noall", "+answer", "+comments"];
    run("dig", &[&options[..], arguments].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zone_is_answered_in_the_front_and_on_the_host() {
    let Some(mut world) = World::new().await else { return };
    let web = world.service(7);
    world.name("web", Some(web), &[("http", 80)], &[]);
    world.serve();
    let early = dig(&world, false, &["web.shop.svc.cluster.local"]);
    assert!(early.contains("status: SERVFAIL"), "before the first zone: {early}");
    world.publish_and_wait().await;
    for front in [true, false] {
        let answer = dig(&world, front, &["web.shop.svc.cluster.local"]);
        assert!(answer.contains("status: NOERROR") && answer.contains(&web.to_string()), "{answer}");
        assert!(answer.contains("flags: qr aa rd ra"), "{answer}");
        let answer = dig(&world, front, &["+tcp", "_http._tcp.WEB.shop.svc.cluster.local", "SRV"]);
        assert!(answer.contains("0 100 80 web.shop.svc.cluster.local."), "{answer}");
        let answer = dig(&world, front, &["-x", &web.to_string()]);
        assert!(answer.contains("web.shop.svc.cluster.local."), "{answer}");
        let answer = dig(&world, front, &["web.shop.svc.cluster.local", "AAAA", "+authority"]);
        assert!(answer.contains("status: NOERROR") && answer.contains("ANSWER: 0") && answer.contains("SOA"), "{answer}");
        let answer = dig(&world, front, &["none.shop.svc.cluster.local", "+authority"]);
        assert!(answer.contains("status: NXDOMAIN") && answer.contains("SOA"), "{answer}");
    }
    // What a replica's own resolver does: Docker's, which asks the front from the replica's address.
    let front = world.layout.front().to_string();
    let name = "web.shop.svc.cluster.local";
    world.container("client", &["--dns", &front], &["sleep", "1000"]);
    let answer = run("docker", &["exec", &format!("{}-client", world.options.owner), "nslookup", name]);
    assert!(answer.contains(&web.to_string()), "{answer}");
}

/// A name server on the host's loopback that answers every question with one record, and counts them.
fn name_server(address: Ipv4Addr) -> Arc<AtomicU32> {
    let socket = UdpSocket::bind((address, 53)).expect("port 53 of a loopback address; tests run as root");
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 1_024];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            // The question without what follows it (EDNS), and a record that points at its name.
            let end = 12 + buffer[12..length].iter().position(|byte| *byte == 0).expect("a name") + 5;
            let known = buffer[12..end].windows(7).any(|window| window == b"example");
            let mut answer = buffer[..end].to_vec();
            answer[2..12].copy_from_slice(&[0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(known), 0, 0, 0, 0]);
            if known {
                count.fetch_add(1, Ordering::Relaxed);
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 99]);
            }
            let _ = socket.send_to(&answer, client);
        }
    });
    asked
}

/// Returns a loopback address that no other run of the tests has.
fn loopback(last: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_forwarded_and_a_loop_is_found_out() {
    let Some(mut world) = World::new().await else { return };
    let server = loopback(1);
    let asked = name_server(server);
    std::fs::write(&world.options.resolv_conf, format!("nameserver {server}\n")).expect("a file");
    world.serve();
    world.publish_and_wait().await;
    for front in [true, false] {
        let answer = dig(&world, front, &["www.example.org"]);
        assert!(answer.contains("status: NOERROR") && answer.contains("192.0.2.99"), "{answer}");
        let answer = dig(&world, front, &["nothing.test"]);
        assert!(answer.contains("status: NXDOMAIN"), "{answer}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    // The host's server becomes one that asks us.
    let other = loopback(2);
    let (relay, ourselves) = (UdpSocket::bind((other, 53)).expect("a socket"), world.options.dns);
    std::thread::spawn(move || {
        let mut buffer = [0; 1_024];
        while let Ok((length, client)) = relay.recv_from(&mut buffer) {
            let upstream = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            upstream.send_to(&buffer[..length], ourselves).expect("it is sent");
            upstream.set_read_timeout(Some(std::time::Duration::from_secs(1))).expect("a time-out");
            if let Ok(length) = upstream.recv(&mut buffer) {
                let _ = relay.send_to(&buffer[..length], client);
            }
        }
    });
    std::fs::write(&world.options.resolv_conf, format!("nameserver {other}\n# changed\n")).expect("a file");
    let answer = dig(&world, false, &["www.example.org"]);
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_headless_name_answers_replicas() {
    let Some(mut world) = World::new().await else { return };
    let (one, two) = (world.replica("one", 10), world.replica("two", 11));
    world.name("db", None, &[("sql", 5432)], &[one, two]);
    world.name("empty", None, &[("sql", 5432)], &[]);
    world.serve();
    world.publish_and_wait().await;
    let answer = dig(&world, true, &["db.shop.svc.cluster.local"]);
    assert!(answer.contains(&one.to_string()) && answer.contains(&two.to_string()), "{answer}");
    let answer = dig(&world, true, &["_sql._tcp.db.shop.svc.cluster.local", "SRV"]);
    assert!(answer.contains(&format!("0 50 5432 {}.db.shop.svc.cluster.local.", one.to_string().replace('.', "-"))), "{answer}");
    let answer = dig(&world, true, &["empty.shop.svc.cluster.local"]);
    assert!(answer.contains("status: NXDOMAIN"), "{answer}");
}
