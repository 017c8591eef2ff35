//! DNS, asked with `dig` as people do.

use std::process::Command;

use super::world::{World, run};

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
    if Command::new("dig").arg("-v").output().is_err() {
        panic!("needs the package bind9-dnsutils");
    }
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
}
