//! A disk without room, or that cannot be written: what runs goes on, updates are carried out as far as they
//! are safe, it is said what could not be written, and it is written as soon as it can be.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::{Connection, OpenFlags};

use super::manifest::web;
use super::world::{World, beside, engine_or_skip, fill, make_room};

/// Returns the healthy revisions of the record on disk.
fn healthy(state: &Path) -> String {
    let connection = Connection::open_with_flags(state.join("driftless.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a database");
    let json: String = connection.query_row("SELECT json FROM record", [], |row| row.get(0)).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    record["healthy"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_record_an_update_is_carried_out_and_written_down_later() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::new(&engine, &[]);
        let state = world.path("state");
        world.mount(&state, "8m");
        world.commit("application.yaml", &web(2, 1));
        world.start();
        world.applied("with room");
        world.commit("application.yaml", &web(2, 2));
        let revision = world.revision();
        let mut client = world.begin_to_apply();
        // The revision is in the mirror, and the update has just begun.
        world.wait_for_log(&format!("revision=\"{}\"", &revision[..7]));
        fill(&state);
        let ended = client.wait().expect("a child");
        assert!(ended.success(), "without room\n{}", world.log());
        world.wait_for_log("the record cannot be written; the agent goes on");
        let status = world.run(&["status"]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(said.contains("what is remembered cannot be written"), "{said}\n{}", world.log());
        assert!(!healthy(&state).contains(&revision), "there was no room for it");

        // Nothing changes any more: it is written because there is room.
        make_room(&state);
        world.wait_for_log("the record is written again");
        assert!(healthy(&state).contains(&revision));
        fill(&state);
        world.kill();
        world.start();
        world.applied("an agent that begins without room");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_what_is_published_nobody_leaves_before_there_is() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::new(&engine, &[]);
        let published = world.published();
        world.mount(&published, "256k");
        world.commit("application.yaml", &web(1, 1));
        world.start();
        world.applied("with room");
        let before = replicas(&world);
        fill(&published);
        world.commit("application.yaml", &web(1, 2));
        let mut client = world.begin_to_apply();
        world.wait_for_log("what is served cannot be published; the last state is served on");
        let status = world.run(&["status"]);
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(said.contains("what is served cannot be published"), "{said}\n{}", world.log());
        let now = replicas(&world);
        assert!(before.iter().all(|replica| now.contains(replica)), "who serves stays: {before:?}, {now:?}");
        make_room(&published);
        let ended = client.wait().expect("a child");
        assert!(ended.success(), "it is applied in the end\n{}", world.log());
        world.assert_in_sync("with room again");
        assert!(before.iter().all(|replica| !replicas(&world).contains(replica)), "who left is gone");
    })
    .await;
}

/// Returns the ids of the replicas that run.
fn replicas(world: &World) -> Vec<String> {
    let containers = world.objects("container", &["ls", "--quiet", "--no-trunc"]);
    let replicas = containers.iter().filter(|it| it["Config"]["Labels"]["dev.driftless.replica"].is_string());
    replicas.map(|it| it["Id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_written_is_refused_and_what_runs_goes_on() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::running(&engine, &web(1, 1));
        world.kill();
        let (state, shown) = (world.path("state"), world.path("shown"));
        world.show_read_only(&state, &shown);
        let mut command = world.command(&["agent", "--config"]);
        let output = command.arg(world.path("application.yaml")).env("DRIFTLESS_STATE", &shown).output().expect("a command");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("failed to write") && said.contains("Read-only file system") && said.contains("--state"), "{said}");
        assert_eq!(replicas(&world).len(), 1, "what runs goes on");
        world.start();
        world.applied("with its own folder");
    })
    .await;
}

/// A Git server for one repository; it ends when this is dropped.
struct GitServer(Child);

impl GitServer {
    fn new(folder: &Path, port: u16) -> GitServer {
        let mut command = Command::new("git");
        command.args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"]).arg(format!("--port={port}"));
        command.arg(format!("--base-path={}", folder.display())).stdout(Stdio::null()).stderr(Stdio::null());
        let server = GitServer(command.spawn().expect("git"));
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        server
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        // It is a child of `git`, which passes the end on only when it is asked to end.
        if let Some(process) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_the_mirror_the_last_good_revision_runs_on() {
    let Some(engine) = engine_or_skip().await else { return };
    beside(move || {
        let mut world = World::new(&engine, &[]);
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let _server = GitServer::new(&world.path(""), port);
        world.fetch_from(&format!("git://127.0.0.1:{port}/repository"));
        let state = world.path("state");
        world.mount(&state, "8m");
        world.commit("application.yaml", &web(1, 1));
        world.start();
        world.applied("with room");
        let before = replicas(&world);
        fill(&state);
        // More than fits into a block that is there already.
        let noise: String = (0..20_000_u32).map(|number| format!("# {:x}\n", number.wrapping_mul(2_654_435_761))).collect();
        world.commit("application.yaml", &(web(1, 2) + &noise));
        let error = world.apply().expect_err("it cannot be fetched");
        assert!(error.contains("No space left on device"), "{error}\n{}", world.log());
        assert_eq!(replicas(&world), before, "the last good revision runs on");
        make_room(&state);
        world.applied("with room again");
        assert_ne!(replicas(&world), before);
    })
    .await;
}
