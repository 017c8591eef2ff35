//! ssh: keys and host keys, against sshd with a configuration, a port and keys of its own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use driftless::git::Auth;
use driftless::host::Class;

use super::server::World;
use super::{servers_or_skip, source, told};

/// A running sshd.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    /// Starts one that lets in who has the key `user`, and shows the host key `host`.
    fn start(world: &World) -> Sshd {
        for name in ["host", "other-host", "user", "other-user", "locked-user"] {
            let passphrase = if name.starts_with("locked") { "canary-pass" } else { "" };
            run("ssh-keygen", &["-q", "-t", "ed25519", "-C", "", "-N", passphrase, "-f", text(&world.path(name))]);
        }
        let authorized = ["user.pub", "locked-user.pub"].map(|name| std::fs::read_to_string(world.path(name)).expect("a key")).concat();
        let authorized = world.file("authorized", &authorized);
        // sshd wants this folder when root starts it.
        let _ = std::fs::create_dir("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel QUIET\n",
            world.path("host").display(),
            authorized.display()
        );
        let config = world.file("sshd_config", &config);
        let child =
            Command::new("/usr/sbin/sshd").args(["-D", "-f", text(&config)]).stderr(Stdio::inherit()).spawn().expect("openssh-server");
        let sshd = Sshd { child, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "sshd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    fn url(&self, world: &World) -> String {
        let user = run("id", &["-un"]);
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, world.path("served/shop.git").display())
    }

    /// Writes known hosts in which this server has a key.
    fn known(&self, world: &World, name: &str, key: &str) -> PathBuf {
        world.file(name, &format!("[127.0.0.1]:{} {key}", self.port))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("openssh-client");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

#[tokio::test]
async fn a_host_is_talked_to_only_if_its_key_is_known() {
    if !servers_or_skip() {
        return;
    }
    let world = World::new();
    let sshd = Sshd::start(&world);
    let url = sshd.url(&world);
    let head = world.git("work", &["rev-parse", "HEAD"]);
    let public = |name: &str| std::fs::read_to_string(world.path(&format!("{name}.pub"))).unwrap();
    let auth = |known: PathBuf| Auth { ssh_key_file: Some(world.path("user")), known_hosts_file: Some(known), ..Auth::default() };
    let fingerprint = |name: &str| run("ssh-keygen", &["-l", "-f", text(&world.path(name))]).split(' ').nth(1).unwrap().to_owned();
    let shown = fingerprint("host.pub");
    let told = |what: &str, error: &driftless::git::Error| {
        let folder = text(&world.path("")).trim_end_matches('/').to_owned();
        let shown_url = url.replace(&format!("{}@", url["ssh://".len()..].split('@').next().unwrap()), "");
        told(what, error, &[(&shown_url, "URL"), (&folder, "FOLDER"), (&sshd.port.to_string(), "PORT"), (&shown, "SHA256:SHOWN")])
    };

    let known = sshd.known(&world, "known", &public("host"));
    assert_eq!(source(&world, &url, auth(known.clone())).fetch("main").await.unwrap().id, head);
    run("ssh-keygen", &["-q", "-H", "-f", text(&known)]);
    assert!(std::fs::read_to_string(&known).unwrap().starts_with("|1|"));
    assert_eq!(source(&world, &url, auth(known)).fetch("main").await.unwrap().id, head);

    let error = source(&world, &url, auth(world.file("unknown", "# nobody\n"))).fetch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::User);
    let mut texts = vec![told("unknown", &error)];
    let revoked = format!("{0}@revoked * {0}", public("host"));
    for (what, known) in [
        ("no file", world.path("missing")),
        ("changed", sshd.known(&world, "changed", &public("other-host"))),
        ("revoked", sshd.known(&world, "revoked", &revoked)),
    ] {
        let error = source(&world, &url, auth(known)).fetch("main").await.unwrap_err();
        texts.push(told(what, &error));
    }
    insta::assert_snapshot!("host-keys", texts.join("\n"));
}

#[tokio::test]
async fn only_the_key_that_is_named_is_shown() {
    if !servers_or_skip() {
        return;
    }
    let world = World::new();
    let sshd = Sshd::start(&world);
    let url = sshd.url(&world);
    let known = sshd.known(&world, "known", &std::fs::read_to_string(world.path("host.pub")).unwrap());
    let auth =
        |key: Option<&str>| Auth { ssh_key_file: key.map(|key| world.path(key)), known_hosts_file: Some(known.clone()), ..Auth::default() };
    let shown_url = url.replace(&format!("{}@", url["ssh://".len()..].split('@').next().unwrap()), "");
    let user = url["ssh://".len()..].split('@').next().unwrap().to_owned();
    let folder = text(&world.path("")).trim_end_matches('/').to_owned();
    let told = |what: &str, error: &driftless::git::Error| {
        told(what, error, &[(&shown_url, "URL"), (&folder, "FOLDER"), (&format!("`{user}`"), "`USER`")])
    };

    let error = source(&world, &url, auth(Some("other-user"))).fetch("main").await.unwrap_err();
    assert_eq!(error.class(), Class::User);
    let refused = told("refused", &error);
    let error = source(&world, &url, auth(None)).fetch("main").await.unwrap_err();
    insta::assert_snapshot!("keys", format!("{refused}\n{}", told("no key", &error)));

    let locked = |passphrase: &str| Auth { password_file: Some(world.file("passphrase", passphrase)), ..auth(Some("locked-user")) };
    assert!(source(&world, &url, locked("wrong")).fetch("main").await.is_err());
    assert!(source(&world, &url, locked("canary-pass\n")).fetch("main").await.is_ok());
}
