//! The data path as a process of its own: it outlives who started it, ends when told, and says what
//! it has no right to do.

use std::net::SocketAddrV4;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use driftless::desired::Protocol;
use driftless::serve::{self, Options};

use super::world::{World, ask, wait};

const PROGRAM: &str = env!("CARGO_BIN_EXE_driftless");

/// A user that may do nothing.
const NOBODY: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_process_has_a_session_of_its_own_and_ends_when_told() {
    let Some(mut world) = World::new().await else { return };
    let one = world.replica("one", 10);
    let web = SocketAddrV4::new(world.service(7), 80);
    world.set(*web.ip(), Protocol::Tcp, 80, &[SocketAddrV4::new(one, 8080)], Duration::from_secs(10));
    world.options = Options::new(world.options.owner.clone(), &world.options.state, world.options.dns);
    let _folder = Folder(world.options.folder.clone());
    world.publish();
    let pid = serve::start_program(Path::new(PROGRAM), &world.options).expect("it starts");
    wait("it serves", || ask(web).is_ok()).await;
    wait("it says so", || world.acknowledged().is_some_and(|said| (said.generation, said.pid) == (1, pid))).await;
    assert_eq!(serve::start_program(Path::new(PROGRAM), &world.options).expect("it runs"), pid);
    let process = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    assert_eq!(rustix::process::getsid(Some(process)).expect("a session"), process);

    assert!(serve::stop(&world.options).await.expect("it stops"));
    assert_eq!(serve::running(&world.options), None);
    assert!(!serve::stop(&world.options).await.expect("nothing to stop"));
    assert_eq!(ask(web).expect("an answer"), "one", "the front serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_host_without_free_watches_the_published_state_is_looked_at_instead() {
    let Some(mut world) = World::new().await else { return };
    world.options = Options::new(world.options.owner.clone(), &world.options.state, world.options.dns);
    let _folder = Folder(world.options.folder.clone());
    // In a user namespace no front can be entered.
    world.published.fronts.clear();
    world.publish();
    // Watches are counted for each user namespace.
    let serve = format!(
        "echo 0 >/proc/sys/user/max_inotify_instances; exec {PROGRAM} serve --owner {} --dns {} --state {}",
        world.options.owner.as_str(),
        world.options.dns,
        world.options.state.display()
    );
    let mut process = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &serve])
        .spawn()
        .expect("unshare, of the package util-linux");
    world.publish_and_wait().await;
    world.publish_and_wait().await;
    process.kill().and_then(|()| process.wait()).expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_enter_a_front_the_reason_is_said() {
    let Some(mut world) = World::new().await else { return };
    // For other users than root everything is in the state folder.
    world.options.folder = world.options.state.clone();
    world.publish();
    let home = world.options.state.parent().expect("a folder").to_owned();
    let program = home.join("driftless");
    std::fs::copy(PROGRAM, &program).expect("a copy that everybody can run");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).expect("a mode");
    for path in [world.options.state.clone(), world.options.published()] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("an owner");
    }
    let nobody = NOBODY.to_string();
    let mut process = Command::new("setpriv")
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
        .arg(program)
        .args(["serve", "--owner", world.options.owner.as_str(), "--dns", &world.options.dns.to_string(), "--state"])
        .arg(&world.options.state)
        .spawn()
        .expect("setpriv, of the package util-linux");
    let name = world.published.fronts[0].name.clone();
    let error = || world.acknowledged().and_then(|said| said.fronts.get(&name)?.error.clone());
    wait("it says something", || error().is_some()).await;
    let said = error();
    process.kill().and_then(|()| process.wait()).expect("it ends");
    let said = said.expect("an error");
    assert!(said.contains(&format!("no right to enter the network namespace of front `{name}`")), "{said}");
}

/// A folder that is removed in the end.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
