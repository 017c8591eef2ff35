//! Bad Compose files, and what a stranger reads about each: `line:column: message -> hint`.
//!
//! Each says which file, line and field, what is wrong and why, and what to do about it.

use crate::report::{Paint, findings_text};

use super::*;

/// A file, and what is found in it, with `~` before it if its line is not shown.
type Case<'a> = (&'a str, &'a [&'a str]);

fn found(text: &str) -> Vec<String> {
    let mut found = findings(&Tree::of([("compose.yaml", text)]));
    found.retain(|finding| finding.severity > Severity::Note);
    let shown = findings_text(&found, &|_| Some(text), Paint::Plain);
    assert!(!shown.contains("hunter2"), "{shown}");
    let line = |finding: &Finding| {
        let line = lines(std::slice::from_ref(finding)).trim_end().replace("compose.yaml:", "");
        if finding.place.length > 0 { line } else { format!("~{line}") }
    };
    found.iter().map(line).collect()
}

#[test]
#[rustfmt::skip] // One case a line.
fn every_bad_file_says_where_why_and_what_to_do() {
    let cases: &[Case<'_>] = &[
        ("services:\n  web:\n    image: a\n    enviroment: { A: b }\n", &["4:5: unknown field `services.web.enviroment` -> did you mean `environment`?"]),
        ("services:\n  web:\n    image: a\n    foo: b\n", &["4:5: unknown field `services.web.foo` -> the Compose specification has no such attribute here; names that begin with `x-` are yours"]),
        ("services:\n  web:\n    image: [a]\n", &["3:12: `services.web.image` must be a text, but is a list"]),
        ("services:\n  web: a\n", &["2:8: `services.web` must be a map, but is the text `a`"]),
        ("services: [web]\n", &["1:11: `services` must be a map, but is a list"]),
        ("services: {}\n", &["1:11: `services` is empty -> write a service, or take the application out"]),
        ("networks: {}\n", &["1:1: `services` is missing"]),
        ("service:\n  web: { image: a }\n", &["1:1: unknown field `service` -> did you mean `services`?"]),
        ("- web\n", &["1:1: a document must be a map, but is a list"]),
        ("services:\n  web:\n    image: a\n    environment: { A: [b] }\n", &["~4:23: `services.web.environment.A` must be a text, but is a list"]),
        ("services:\n  web:\n    image: a\n    environment:\n      PASSWORD: { hunter2: hunter2 }\n", &["~5:17: `services.web.environment.PASSWORD` must be a text, but is a map"]),
        ("services:\n  web:\n    image: a\n    ports: 80\n", &["4:12: `services.web.ports` must be a list, but is the number 80"]),
        ("services:\n  web:\n    image: a\n    ports: ['http:80', 70000]\n", &["4:13: `services.web.ports[0]` has no port from 1 to 65535: `http`", "4:24: `services.web.ports[1]` has no port from 1 to 65535: `70000`"]),
        ("services:\n  web:\n    image: a\n    deploy: { replicas: two }\n", &["4:25: `services.web.deploy.replicas` must be a whole number, but is the text `two`"]),
        ("services:\n  web:\n    image: a\n    deploy: { replicas: -1 }\n", &["4:25: `services.web.deploy.replicas` is -1, but cannot be negative"]),
        ("services:\n  web:\n    image: a\n    mem_limit: lots\n", &["4:16: `services.web.mem_limit` is not a size: `lots` -> write it as `64m`, `1.5g` or `4096`"]),
        ("services:\n  web:\n    image: a\n    cpus: many\n", &["4:11: `services.web.cpus` is not a number of cores: `many` -> write it as `0.5` or `2`"]),
        ("services:\n  web:\n    image: a\n    stop_grace_period: 5\n", &["4:24: `services.web.stop_grace_period` is not a duration: `5` -> write it as `10s`, `1m30s` or `500ms`"]),
        ("services:\n  web:\n    image: a\n    privileged: sometimes\n", &["4:17: `services.web.privileged` must be true or false, but is the text `sometimes`"]),
        ("services:\n  web:\n    image: a\n    restart: sometimes\n", &["4:14: `services.web.restart` cannot be `sometimes`; supported: `no`, `always`, `unless-stopped`, `on-failure[:N]`"]),
        ("services:\n  web:\n    image: a\n    pull_policy: alway\n", &["4:18: `services.web.pull_policy` cannot be `alway`; supported: `missing`, `if_not_present`, `always`, `never` -> did you mean `always`?"]),
        ("services:\n  web:\n    image: A B\n", &["3:12: `services.web.image` is no image reference: `A B` -> the name must be lower case"]),
        ("services:\n  web:\n    build: .\n", &["3:12: `services.web.build` is not supported without `image`: images are built elsewhere -> push the image to a registry, and name it as `image`"]),
        ("services:\n  web: {}\n", &["2:3: `services.web.image` is missing"]),
        ("services:\n  'a b': { image: a }\n", &["2:3: `services.a b`: `a b` is no name of a service -> use up to 63 letters, digits, `-`, `_` and `.`, and begin with a letter or digit"]),
        ("name: Shop\nservices:\n  web: { image: a }\n", &["1:7: `name` is no project name: `Shop` -> use lower-case letters, digits, `-` and `_`, and begin with a letter or digit"]),
        ("services:\n  web:\n    image: a:$TAG\n", &["3:12: `services.web.image` is no image reference: `a:` -> the tag after `:` may have up to 128 letters, digits, `_`, `.` and `-`, and begins with a letter, digit or `_`", "3:12: warning: `services.web.image`: the variable `TAG` is not set; it is replaced by nothing -> set it in the repository's `.env` or in the Application's `variables`, or give a default: `${NAME:-default}`"]),
        ("services:\n  web:\n    image: a:${TAG:?say which}\n", &["3:12: `services.web.image`: the variable `TAG` is required: say which -> set it in the repository's `.env` or in the Application's `variables`"]),
        ("services:\n  web:\n    image: a:${TAG\n", &["3:12: `services.web.image`: a `${` is not closed -> write `$$` for a dollar sign"]),
        ("services:\n  web:\n    image: a\n    environment: { A: 'cost: 5$' }\n", &["~4:23: `services.web.environment.A`: a `$` is followed by no name -> write `$$` for a dollar sign"]),
        ("services:\n  web:\n    image: a\n    depends_on: [db]\n", &["4:18: `services.web.depends_on[0]`: depends on `db`, and there is no such service -> add it, or correct the name"]),
        ("services:\n  web:\n    image: a\n    depends_on: [dbb]\n  db: { image: a }\n", &["4:18: `services.web.depends_on[0]`: depends on `dbb`, and there is no such service -> did you mean `db`?"]),
        ("services:\n  web: { image: a, depends_on: { db: { condition: healthy } } }\n  db: { image: a }\n", &["2:51: `services.web.depends_on.db.condition` cannot be `healthy`; supported: `service_started`, `service_healthy`, `service_completed_successfully`"]),
        ("services:\n  a: { image: a, depends_on: [b] }\n  b: { image: a, depends_on: [c] }\n  c: { image: a, depends_on: [a] }\n  d: { image: a, depends_on: [a] }\n", &["4:31: `services.c.depends_on[0]`: these services wait for each other, so that none can start: `a` -> `b` -> `c` -> `a` -> take one of them out of the other's `depends_on` or `network_mode`"]),
        ("services:\n  a: { image: a, depends_on: [a] }\n", &["2:31: `services.a.depends_on[0]`: `a` waits for itself, so that it can never start -> take one of them out of the other's `depends_on` or `network_mode`"]),
        ("services:\n  a: { image: a, depends_on: [b] }\n  b: { image: a, network_mode: 'service:a' }\n", &["3:3: `services.b`: these services wait for each other, so that none can start: `a` -> `b` -> `a` -> take one of them out of the other's `depends_on` or `network_mode`"]),
        ("services:\n  web:\n    image: a\n    image: b\n", &["4:5: duplicate key `services.web.image` -> it is already at line 3"]),
        ("services:\n  web:\n    image: a\n    volumes:\n      - { type: volume, source: d, target: /d, target: /e }\nvolumes: { d: }\n", &["5:48: duplicate key `services.web.volumes[0].target` -> it is already at line 5"]),
        ("services:\n  web: { image: a }\n  web: { image: b }\n", &["3:3: duplicate key `services.web` -> it is already at line 2"]),
        ("services:\n  a: { image: a, container_name: one }\n  b: { image: a, container_name: one }\n", &["3:3: `services.b`: the container name `one` can be had once, and `a` has it, too -> give each service a `container_name` of its own, or none"]),
        ("services:\n  a: { image: a, container_name: shop-b }\n  b: { image: a, expose: [80] }\n", &["2:3: `services.a`: the container name `shop-b` can be had once, and the front of `b` is called so -> give each service a `container_name` of its own, or none"]),
        ("services:\n  a: { image: a, container_name: one, deploy: { replicas: 2 } }\n", &["2:59: `services.a.deploy.replicas`: several replicas cannot have one `container_name`, one `mac_address`, or one port of the host -> leave that out, or run one replica"]),
        ("services:\n  a: { image: a, ports: ['80:80'], deploy: { replicas: 2 } }\n", &["2:56: `services.a.deploy.replicas`: several replicas cannot have one `container_name`, one `mac_address`, or one port of the host -> leave that out, or run one replica"]),
        ("services:\n  a: { image: a, ports: ['8080:80'] }\n  b: { image: a, ports: ['127.0.0.1:8080:80'] }\n", &["3:26: `services.b.ports[0]`: port 8080/tcp of the host can be had once, and `a` has it, too -> publish another port, or leave it out: services of one network reach each other by name"]),
        ("services:\n  a: { image: a, ports: ['8080:80', '8080:81'] }\n", &["2:37: `services.a.ports[1]`: port 8080/tcp of the host can be had once, and `a` has it, too -> publish another port, or leave it out: services of one network reach each other by name"]),
        ("services:\n  a: { image: a, ports: ['127.0.0.1:8080:80'] }\n  b: { image: a, ports: ['127.0.0.2:8080:80', '8080:80/udp'] }\n", &["3:26: `services.b.ports[0]`: port 8080/tcp of the host can be had once, and `a` has it, too -> publish another port, or leave it out: services of one network reach each other by name"]),
        ("services:\n  web:\n    image: a\n    env_file: no.env\n", &["4:15: `services.web.env_file`: there is no file `no.env` in the application's folder -> commit it, or correct the path: only files of the repository are read"]),
        ("services:\n  web:\n    image: a\n    env_file: [{ path: ../no.env }]\n", &["4:24: `services.web.env_file[0].path`: `../no.env` is outside of the application's folder -> put the file into the folder"]),
        ("services:\n  web: { image: a, secrets: [db] }\nsecrets:\n  db: { file: ./db.txt }\n", &["4:15: `secrets.db.file`: there is no file `db.txt` in the application's folder -> commit it, or keep it on the host: `external: true`, and `secretsFolder` in the Application"]),
        ("services:\n  web: { image: a, secrets: [bd] }\nsecrets:\n  db: { content: x }\n", &["2:30: `services.web.secrets[0]`: there is no secret `bd` in `secrets` at the top -> did you mean `db`?"]),
        ("services:\n  web: { image: a, configs: [c] }\n", &["2:30: `services.web.configs[0]`: there is no config `c` in `configs` at the top -> add it, or correct the name"]),
        ("services:\n  web: { image: a }\nsecrets:\n  db: { environment: DB }\n", &["~4:9: `secrets.db.environment` is not supported -> it would be a variable of whoever deploys; use `content` or `file`"]),
        ("services:\n  web: { image: a }\nsecrets:\n  db: {}\n", &["4:3: `secrets.db` has neither `file` nor `content` -> write one of them, or `external: true`"]),
        ("services:\n  web: { image: a, secrets: [db] }\nsecrets:\n  db: { external: true }\n", &[]),
        ("services:\n  web: { image: a, networks: [bak] }\nnetworks: { back: }\n", &["2:31: `services.web.networks[0]`: there is no network `bak` in `networks` at the top -> did you mean `back`?"]),
        ("services:\n  web: { image: a, network_mode: host, networks: [back] }\nnetworks: { back: }\n", &["2:51: `services.web.networks[0]`: `networks` contradicts `network_mode` -> leave one of them out"]),
        ("services:\n  web: { image: a, network_mode: bridge }\n", &["2:34: warning: `services.web.network_mode`: the service is on the project's own network, not on the engine's `bridge` -> leave it out: on `bridge` nobody finds a service by its name"]),
        ("services:\n  web: { image: a, volumes: [data:/d] }\n", &["2:30: `services.web.volumes[0]`: there is no volume `data` in `volumes` at the top -> add it, or correct the name"]),
        ("services:\n  web: { image: a, volumes: [d:/d, e:/d] }\nvolumes: { d: , e: }\n", &["2:3: `services.web`: two things are mounted at `/d` -> leave one of them out, or mount it elsewhere"]),
        ("services:\n  web: { image: a, volumes: ['d:data'] }\nvolumes: { d: }\n", &["2:30: `services.web.volumes[0]` must be mounted at an absolute path other than `/`, but has `data`"]),
        ("services:\n  web: { image: a, volumes: ['./a:/a:rw,q'] }\n", &["2:30: `services.web.volumes[0]` has the option `q`; supported: `ro`, `rw`, `nocopy`, `z`, `Z`"]),
        ("services:\n  web: { image: a, healthcheck: { test: curl, interval: soon } }\n", &["~2:57: `services.web.healthcheck.interval` is not a duration: `soon` -> write it as `10s`, `1m30s` or `500ms`"]),
        ("services:\n  web: { image: a, healthcheck: { test: [curl, -f] } }\n", &["~2:41: `services.web.healthcheck.test` must begin with `CMD`, `CMD-SHELL` or `NONE` -> put `CMD` before a command and its arguments, or `CMD-SHELL` before a line for a shell"]),
        ("services:\n  web:\n    image: a\n    command: 'sh -c \"hunter2'\n", &["~4:14: `services.web.command` cannot be split into words: a quote `\"` is not closed -> write it as a list of words"]),
        ("services:\n  web: { image: a, labels: { driftless.dev/drian: 5s } }\n", &["2:30: `services.web.labels.driftless.dev/drian`: unknown label `driftless.dev/drian` -> did you mean `driftless.dev/drain`?"]),
        ("services:\n  web: { image: a, labels: { driftless.dev/drain: soon } }\n", &["2:30: `services.web.labels.driftless.dev/drain`: `driftless.dev/drain` is not a duration: `soon` -> write it with units, such as `10s`, `1m30s` or `500ms`"]),
        ("services:\n  web:\n    image: a\n   expose: [80]\n", &["4:4: this is not valid YAML: while parsing a block mapping, did not find expected key -> indent what belongs together alike"]),
        ("services:\n  web:\n\timage: a\n", &["3:2: this is not valid YAML: tabs disallowed within this context (block indentation) -> indent with spaces"]),
        ("services:\n  web:\n    image: a: b\n", &["3:13: this is not valid YAML: mapping values are not allowed in this context -> put a text that has `: ` in it in quotes"]),
        ("services:\n  web:\n    image: \"a\n    environment:\n      PASSWORD: \"hunter2\"\n", &["3:12: this is not valid YAML: invalid indentation in quoted scalar -> close the quote"]),
        ("services:\n  web: { image: a }\n---\nservices:\n  db: { image: a }\n", &["~4:1: a Compose file has one document -> put each project into a folder of its own"]),
        ("services:\n  web: { image: a, <<: b }\n", &["2:24: `<<` takes a map, or a list of maps"]),
        ("services:\n  web: *a\n", &["2:8: this is not valid YAML: while parsing node, found unknown anchor -> name what it stands for with `&` before"]),
        ("services:\n  web: { image: !env a }\n", &["2:17: `services.web.image`: the tag `!env` is not supported here"]),
        ("x-a: &a [x, x, x, x, x, x, x, x, x]\nx-b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nx-c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nx-d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\nx-e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nx-f: [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n", &["~6:27: aliases copy too much: written out, this document would be huge -> write out what is meant, with fewer aliases within one another"]),
        ("services:\n  web: { image: a, deploy: { mode: global } }\n", &["2:36: `services.web.deploy.mode` is not supported with a value other than `replicated` -> on one host every mode comes to a number: write `replicas`"]),
        ("services:\n  web: { image: a, deploy: { placement: { constraints: [a] } } }\n", &["2:30: `services.web.deploy.placement` is not supported -> services are kept by driftless, not by Swarm"]),
        ("services:\n  web: { image: a, deploy: { update_config: { order: start-frist } } }\n", &["2:54: `services.web.deploy.update_config.order` cannot be `start-frist`; supported: `stop-first`, `start-first` -> did you mean `start-first`?"]),
        ("services:\n  web: { image: a, ports: ['80:80'], deploy: { update_config: { order: start-first } } }\n", &["2:3: warning: `services.web`: an update of this service stops the old replica first, although `order` says `start-first` -> a container name, a hardware address, a port of the host, a network namespace and a volume with one writer can be had once"]),
        ("services:\n  web: { image: a, links: [db] }\n", &["2:20: `services.web.links` is not supported -> it is a leftover of links; services of one network find each other by name"]),
        ("services:\n  web: { image: a, profiles: [debug] }\n", &["2:3: warning: `services.web`: no service is enabled -> enable a profile of theirs with `profiles`"]),
        ("services:\n  web: { image: a, depends_on: [db] }\n  db: { image: a, profiles: [debug] }\n", &["2:33: `services.web.depends_on[0]`: depends on `db`, whose profile is not enabled -> enable the profile, or write `required: false`"]),
        ("services:\n  web: { image: a }\nnetworks:\n  back: { ipam: { config: [{ subnet: 10.0.0.0/99 }] } }\n", &["4:38: `networks.back.ipam.config[0].subnet` is not an IPv4 network: `10.0.0.0/99` -> write it as `10.1.2.0/24`"]),
        ("services:\n  web: { image: a }\nnetworks:\n  back: { ipam: { config: [{ subnet: 10.0.0.0/24, gateway: 10.0.1.1, ip_range: 10.0.0.0/16 }] } }\n", &["4:60: `networks.back.ipam.config[0].gateway` is not an IPv4 address within the subnet: `10.0.1.1` -> write it as `10.1.2.1`", "4:80: `networks.back.ipam.config[0].ip_range` is not an IPv4 network within the subnet: `10.0.0.0/16` -> write it as `10.1.2.128/25`"]),
    ];
    let mut left = String::new();
    for (file, expected) in cases {
        let found = found(file);
        if found != *expected {
            left.push_str(&format!("        ({file:?}, &{found:?}),\n"));
        }
    }
    assert!(left.is_empty(), "{left}");
}
