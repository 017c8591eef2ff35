//! Against real repositories, made with git itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::*;
use crate::host::Class;
use crate::manifest::Entry;

/// A work tree with one commit, and an empty state folder.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(world.work()).unwrap();
        world.git(&["init", "--quiet", "--initial-branch", "main"]);
        world.commit("deploy/web.yaml", "one");
        world
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.work(), arguments)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&self, path: &str, text: &str) -> String {
        self.write(path, text);
        self.commit_all(text)
    }

    fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn source(&self) -> Source {
        self.source_at(self.work().to_str().unwrap())
    }

    fn source_at(&self, text: &str) -> Source {
        Source::new(&self.state(), Location::parse(text).unwrap(), Auth::default())
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]).args(arguments);
    let output = command.output().expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn text(tree: &Tree, path: &str) -> String {
    match tree.files.get(path) {
        Some(Entry::File { bytes, .. }) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{path} is {other:?}; there are {:?}", tree.files.keys()),
    }
}

fn shop() -> Name {
    Name::try_from("my.shop").unwrap()
}

#[tokio::test]
async fn head_branch_tag_and_commit_are_found() {
    let world = World::new();
    let first = world.git(&["rev-parse", "HEAD"]);
    world.git(&["tag", "--annotate", "v1", "--message", "first"]);
    let second = world.commit("deploy/web.yaml", "two");
    world.git(&["pack-refs", "--all"]);
    let source = world.source();
    for (reference, expected) in
        [("", &second), ("HEAD", &second), ("main", &second), ("refs/heads/main", &second), ("v1", &first), (&first, &first)]
    {
        assert_eq!(&source.fetch(reference).await.unwrap().id, expected, "{reference}");
    }
    assert_eq!(source.fetch(&first[..7]).await.unwrap().id, first);
    let revision = source.fetch("main").await.unwrap();
    assert_eq!(revision.summary, "two");
    assert!(revision.committed.is_some());
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");
    assert_eq!(text(&source.tree(&second, ".").await.unwrap(), "deploy/web.yaml"), "two");
    assert_eq!(text(&source.tree(&second, "./deploy/").await.unwrap(), "web.yaml"), "two");
}

#[tokio::test]
async fn bare_repositories_file_urls_and_work_trees_are_read() {
    let world = World::new();
    let bare = world.folder.path().join("shop.git");
    world.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let linked = world.folder.path().join("linked");
    world.git(&["worktree", "add", "--quiet", "-b", "feature", linked.to_str().unwrap()]);
    fs::write(linked.join("deploy/web.yaml"), "feature").unwrap();
    git(&linked, &["commit", "--quiet", "--all", "--message", "feature"]);
    let head = world.git(&["rev-parse", "HEAD"]);
    assert_eq!(world.source_at(bare.to_str().unwrap()).fetch("").await.unwrap().id, head);
    assert_eq!(world.source_at(&format!("file://{}", bare.display())).fetch("main").await.unwrap().id, head);
    let source = world.source_at(linked.to_str().unwrap());
    let revision = source.fetch("").await.unwrap();
    assert_eq!(revision.id, git(&linked, &["rev-parse", "HEAD"]));
    assert_eq!(text(&source.tree(&revision.id, "deploy").await.unwrap(), "web.yaml"), "feature");
}

#[tokio::test]
async fn an_unknown_ref_names_the_closest() {
    let world = World::new();
    world.git(&["branch", "release"]);
    let error = world.source().fetch("mian").await.unwrap_err();
    assert_eq!(error.class(), Class::User);
    assert_eq!(error.hint().unwrap(), "did you mean `main`?");
    assert_eq!(error.to_string(), format!("failed to find `mian` in repository `{}`", world.work().display()));
    let error = world.source().fetch("xyz").await.unwrap_err();
    assert_eq!(error.hint().unwrap(), "it has `main`, `release`");
}

#[tokio::test]
async fn a_missing_or_empty_repository_is_waited_for() {
    let world = World::new();
    let error = world.source_at("/nonexistent/shop.git").fetch("").await.unwrap_err();
    assert_eq!((error.class(), error.hint().is_some()), (Class::Waiting, true));
    let empty = world.folder.path().join("empty.git");
    world.git(&["init", "--quiet", "--bare", empty.to_str().unwrap()]);
    let error = world.source_at(empty.to_str().unwrap()).fetch("").await.unwrap_err();
    assert!(matches!(error, Error::Empty { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Waiting);
    let error = world.source().tree(&world.source().fetch("").await.unwrap().id, "nowhere").await.unwrap_err();
    assert!(matches!(error, Error::NoFolder { .. }), "{error:?}");
}

#[tokio::test]
async fn a_revision_outlives_its_repository() {
    let world = World::new();
    let source = world.source();
    let first = source.fetch("main").await.unwrap().id;
    source.keep(&shop(), &first).await.unwrap();
    world.git(&["commit", "--quiet", "--amend", "--message", "rewritten"]);
    world.git(&["reflog", "expire", "--expire=now", "--all"]);
    world.git(&["gc", "--quiet", "--prune=now"]);
    let second = source.fetch("main").await.unwrap().id;
    assert_ne!(first, second);
    fs::remove_dir_all(world.work()).unwrap();
    assert!(source.fetch("main").await.is_err());
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");
    source.keep(&shop(), &second).await.unwrap();
    assert_eq!(source.kept(&shop()).await.unwrap(), BTreeSet::from([first, second.clone()]));
    source.retain(&shop(), BTreeSet::from([second.clone()])).await.unwrap();
    assert_eq!(source.kept(&shop()).await.unwrap(), BTreeSet::from([second]));
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let world = World::new();
    let source = world.source();
    let first = source.fetch("main").await.unwrap().id;
    source.keep(&shop(), &first).await.unwrap();
    let mirror = source.shared.mirror.clone();

    // Every object is overwritten: nothing can be saved from the mirror.
    for folder in fs::read_dir(mirror.join("objects")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            fs::remove_file(&path).unwrap();
            fs::write(path, "garbage").unwrap();
        }
    }
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");
    assert_eq!(source.kept(&shop()).await.unwrap(), BTreeSet::from([first.clone()]));

    // It is no repository at all.
    fs::remove_dir_all(&mirror).unwrap();
    fs::write(&mirror, "garbage").unwrap();
    assert_eq!(source.fetch("main").await.unwrap().id, first);

    // It is gone.
    fs::remove_dir_all(&mirror).unwrap();
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");

    // One object is damaged while the source is away: what can be read is saved.
    let second = world.commit("deploy/web.yaml", "two");
    source.fetch("main").await.unwrap();
    source.keep(&shop(), &first).await.unwrap();
    source.keep(&shop(), &second).await.unwrap();
    fs::rename(world.work(), world.folder.path().join("away")).unwrap();
    let blob = git(&world.folder.path().join("away"), &["rev-parse", "HEAD:deploy/web.yaml"]);
    let object = mirror.join("objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(&object).unwrap();
    assert!(source.tree(&second, "deploy").await.is_err());
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");
    assert_eq!(source.kept(&shop()).await.unwrap(), BTreeSet::from([first]));
}

#[tokio::test]
async fn many_may_fetch_and_repair_at_once() {
    let world = World::new();
    let expected = world.git(&["rev-parse", "HEAD"]);
    world.source().fetch("").await.unwrap();
    fs::remove_dir_all(world.source().shared.mirror.join("objects")).unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let source = world.source();
            tokio::spawn(async move {
                let revision = source.fetch("").await.unwrap().id;
                source.tree(&revision, "deploy").await.map(|tree| (revision, text(&tree, "web.yaml")))
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), (expected.clone(), "one".to_owned()));
    }
}

#[tokio::test]
async fn a_revision_that_is_nowhere_is_lost() {
    let world = World::new();
    let error = world.source().tree(&"a".repeat(40), ".").await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
    let error = world.source().keep(&shop(), &"a".repeat(40)).await.unwrap_err();
    assert!(matches!(error, Error::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn links_are_followed_inside_the_repository_only() {
    let world = World::new();
    world.write("shared/db.yaml", "db");
    world.write("deploy/tool", "#!/bin/sh");
    let link = |target: &str, path: &str| std::os::unix::fs::symlink(target, world.work().join(path)).unwrap();
    link("../shared/db.yaml", "deploy/db.yaml");
    link("../shared", "deploy/all");
    link("../alias/db.yaml", "deploy/twice.yaml");
    link("shared", "alias");
    link("../../etc/passwd", "deploy/out");
    link("/etc/passwd", "deploy/absolute");
    link("missing", "deploy/dangling");
    link("self", "deploy/self");
    link("..", "deploy/loop");
    git(&world.work(), &["update-index", "--add", "deploy/tool"]);
    git(&world.work(), &["update-index", "--chmod=+x", "deploy/tool"]);
    world.git(&["commit", "--quiet", "--message", "tool"]);
    let head = world.commit_all("links");
    let source = world.source();
    source.fetch("").await.unwrap();
    let tree = source.tree(&head, "deploy").await.unwrap();
    for path in ["db.yaml", "all/db.yaml", "twice.yaml", "loop/shared/db.yaml"] {
        assert_eq!(text(&tree, path), "db", "{path}");
    }
    let entry = |path: &str| tree.files.get(path).cloned();
    assert_eq!(entry("out"), Some(Entry::Outside { target: "../../etc/passwd".into() }));
    assert_eq!(entry("absolute"), Some(Entry::Outside { target: "/etc/passwd".into() }));
    assert_eq!(entry("dangling"), Some(Entry::Dangling { target: "missing".into() }));
    assert_eq!(entry("self"), Some(Entry::Dangling { target: "self".into() }));
    assert_eq!(entry("loop/deploy/loop"), Some(Entry::Dangling { target: "..".into() }));
    assert!(source.tree(&head, "alias").await.is_ok());
    assert!(matches!(source.tree(&head, "../..").await.unwrap_err(), Error::NoFolder { .. }));
}

#[tokio::test]
async fn what_is_not_in_the_repository_is_marked() {
    let world = World::new();
    world.write("deploy/logo.png", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    world.write("deploy/large", &"x".repeat((16 << 20) + 1));
    world.git(&["add", "--all"]);
    let head = world.git(&["rev-parse", "HEAD"]);
    world.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},deploy/module")]);
    world.git(&["commit", "--quiet", "--message", "marked"]);
    let source = world.source();
    let revision = source.fetch("").await.unwrap().id;
    let tree = source.tree(&revision, "deploy").await.unwrap();
    assert_eq!(tree.files.get("logo.png"), Some(&Entry::Lfs));
    assert_eq!(tree.files.get("module"), Some(&Entry::Submodule));
    assert_eq!(tree.files.get("large"), Some(&Entry::TooLarge { size: (16 << 20) + 1 }));
}

#[tokio::test]
async fn links_that_multiply_are_refused() {
    let world = World::new();
    for level in 0..20 {
        let folder = world.work().join(format!("bomb/{level}"));
        fs::create_dir_all(&folder).unwrap();
        for name in ["a", "b"] {
            std::os::unix::fs::symlink(format!("../{}", level + 1), folder.join(name)).unwrap();
        }
    }
    world.write("bomb/20/x", "x");
    world.commit_all("bomb");
    let source = world.source();
    let revision = source.fetch("").await.unwrap().id;
    let error = source.tree(&revision, "bomb/0").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    assert_eq!(error.class(), Class::User);
}

#[tokio::test]
async fn a_plain_folder_is_a_revision_that_can_be_read_later() {
    let world = World::new();
    fs::remove_dir_all(world.work().join(".git")).unwrap();
    world.write(".env", "A=1");
    let source = world.source();
    let first = source.fetch("").await.unwrap().id;
    assert!(first.starts_with("folder-") && first.len() == 19, "{first}");
    assert_eq!(source.fetch("HEAD").await.unwrap().id, first);
    source.keep(&shop(), &first).await.unwrap();
    world.write("deploy/web.yaml", "two");
    let second = source.fetch("").await.unwrap().id;
    assert_ne!(first, second);
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");
    assert_eq!(text(&source.tree(&second, ".").await.unwrap(), ".env"), "A=1");
    assert_eq!(source.kept(&shop()).await.unwrap(), BTreeSet::from([first.clone()]));
    let error = source.fetch("main").await.unwrap_err();
    assert!(matches!(error, Error::NoRefs { .. }), "{error:?}");
    fs::remove_dir_all(&source.shared.mirror).unwrap();
    assert!(matches!(source.tree(&first, ".").await.unwrap_err(), Error::Lost { .. }));
    assert_eq!(text(&source.tree(&second, "deploy").await.unwrap(), "web.yaml"), "two");
}

#[tokio::test]
async fn the_state_folder_is_no_part_of_a_plain_folder() {
    let world = World::new();
    let source = Source::new(&world.work().join("state"), Location::folder(&world.work()), Auth::default());
    let first = source.fetch("").await.unwrap().id;
    let (_watching, notify) = watch(&source);
    let mut number = 0;
    until_watching(&notify, || {
        number += 1;
        world.write("deploy/web.yaml", &number.to_string());
    })
    .await;
    world.write("deploy/web.yaml", "one");
    poked(&notify).await;
    assert_eq!(source.fetch("").await.unwrap().id, first);
    world.write("state/driftless.db", "changes all the time");
    assert_eq!(source.fetch("").await.unwrap().id, first);
    world.git(&["tag", "t"]);
    assert!(tokio::time::timeout(Duration::from_millis(300), notify.notified()).await.is_err());
    assert_eq!(source.tree(&first, ".").await.unwrap().files.len(), 1);
}

#[tokio::test]
async fn a_folder_is_read_as_it_is_now_without_any_state() {
    let world = World::new();
    world.write("deploy/web.yaml", "not committed");
    let (revision, tree) = read(&world.work()).await.unwrap();
    assert_eq!(text(&tree, "deploy/web.yaml"), "not committed");
    assert_eq!(tree.files.len(), 1);
    let source = Source::new(&world.state(), Location::folder(&world.work()), Auth::default());
    assert_eq!(source.fetch("").await.unwrap().id, revision.id);
    let (_, tree) = read(&world.work().join("deploy/web.yaml")).await.unwrap();
    assert_eq!(text(&tree, "web.yaml"), "not committed");
    let error = read(&world.work().join("nowhere")).await.unwrap_err();
    assert_eq!(error.to_string(), format!("failed to read `{}`", world.work().join("nowhere").display()));
}

/// A `git daemon` on a port of the loopback that ends with the test.
struct Daemon(std::process::Child, u16);

impl Daemon {
    fn start(base: &Path) -> Self {
        // The port is free a moment before the daemon takes it; nothing else here asks for ports.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("git");
        command.args(["daemon", "--export-all", "--listen=127.0.0.1", "--reuseaddr", &format!("--port={port}")]);
        command.arg(format!("--base-path={}", base.display())).stderr(Stdio::null());
        let daemon = Daemon(command.spawn().unwrap(), port);
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "git daemon does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // `git daemon` starts a child that holds the port, and passes this signal on.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_repository_far_away_is_fetched() {
    let world = World::new();
    let first = world.git(&["rev-parse", "HEAD"]);
    world.git(&["tag", "--annotate", "v1", "--message", "first"]);
    let daemon = Daemon::start(world.folder.path());
    let source = world.source_at(&format!("git://127.0.0.1:{}/work", daemon.1));
    assert_eq!(source.fetch("").await.unwrap().id, first);
    assert_eq!(text(&source.tree(&first, "deploy").await.unwrap(), "web.yaml"), "one");
    let second = world.commit("deploy/web.yaml", "two");
    assert_eq!(source.fetch("main").await.unwrap().id, second);
    assert_eq!(source.fetch("v1").await.unwrap().id, first);
    assert_eq!(source.fetch(&first).await.unwrap().id, first);
    let error = source.fetch("mian").await.unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `main`?");
    world.git(&["commit", "--quiet", "--amend", "--message", "rewritten"]);
    let rewritten = source.fetch("main").await.unwrap();
    assert_eq!(rewritten.summary, "rewritten");
    assert_eq!(text(&source.tree(&second, "deploy").await.unwrap(), "web.yaml"), "two");
    drop(daemon);
    let error = source.fetch("main").await.unwrap_err();
    assert!(matches!(error, Error::Fetch { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Waiting);
    assert_eq!(text(&source.tree(&rewritten.id, "deploy").await.unwrap(), "web.yaml"), "two");
}

async fn poked(notify: &Notify) -> Duration {
    let start = Instant::now();
    tokio::time::timeout(Duration::from_secs(10), notify.notified()).await.expect("a poke");
    start.elapsed()
}

fn watch(source: &Source) -> (Watching, Arc<Notify>) {
    let notify = Arc::new(Notify::new());
    let poke = notify.clone();
    (source.watch(Duration::ZERO, move || poke.notify_one()), notify)
}

/// Changes something until the watch, which starts in the background, has noticed it once.
async fn until_watching(notify: &Notify, mut change: impl FnMut()) {
    for _ in 0..100 {
        change();
        if tokio::time::timeout(Duration::from_millis(100), notify.notified()).await.is_ok() {
            while tokio::time::timeout(Duration::from_millis(600), notify.notified()).await.is_ok() {}
            return;
        }
    }
    panic!("never watching");
}

#[tokio::test]
async fn a_push_is_noticed_at_once() {
    let world = World::new();
    let bare = world.folder.path().join("shop.git");
    world.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let (_watching, notify) = watch(&world.source_at(bare.to_str().unwrap()));
    let mut number = 0;
    until_watching(&notify, || {
        number += 1;
        git(&bare, &["tag", &format!("t{number}")]);
    })
    .await;
    world.commit("deploy/web.yaml", "two");
    world.git(&["push", "--quiet", bare.to_str().unwrap(), "main"]);
    let elapsed = poked(&notify).await;
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
    git(&bare, &["branch", "deep/er/branch"]);
    poked(&notify).await;
}

#[tokio::test]
async fn a_repository_that_was_replaced_is_watched_again() {
    let world = World::new();
    let (bare, away) = (world.folder.path().join("shop.git"), world.folder.path().join("away.git"));
    world.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    let (_watching, notify) = watch(&world.source_at(bare.to_str().unwrap()));
    let mut number = 0;
    let mut tag = || {
        number += 1;
        git(&bare, &["tag", &format!("t{number}")]);
    };
    until_watching(&notify, &mut tag).await;
    fs::rename(&bare, &away).unwrap();
    world.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    poked(&notify).await;
    until_watching(&notify, &mut tag).await;
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_so_is_a_folder_that_comes_later() {
    let world = World::new();
    fs::remove_dir_all(world.work().join(".git")).unwrap();
    let away = world.folder.path().join("away");
    fs::rename(world.work(), &away).unwrap();
    let (_watching, notify) = watch(&world.source());
    tokio::task::yield_now().await;
    fs::rename(&away, world.work()).unwrap();
    poked(&notify).await;
    let mut number = 0;
    until_watching(&notify, || {
        number += 1;
        world.write("deploy/web.yaml", &number.to_string());
    })
    .await;
    world.write("deploy/new.yaml", "new");
    poked(&notify).await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_far_away_is_asked_at_intervals() {
    let state = tempfile::tempdir().unwrap();
    let source = Source::new(state.path(), Location::parse("https://git.example/shop.git").unwrap(), Auth::default());
    let notify = Arc::new(Notify::new());
    let poke = notify.clone();
    let start = tokio::time::Instant::now();
    let _watching = source.watch(Duration::from_secs(60), move || poke.notify_one());
    for _ in 0..10 {
        notify.notified().await;
    }
    let elapsed = start.elapsed();
    assert!((540..=666).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[tokio::test]
async fn a_folders_print_changes_with_the_folder_alone() {
    let world = World::new();
    world.write("other/db.yaml", "one");
    std::os::unix::fs::symlink("../other/db.yaml", world.work().join("deploy/db.yaml")).unwrap();
    std::os::unix::fs::symlink("web.yaml", world.work().join("deploy/also.yaml")).unwrap();
    let first = world.commit_all("a link that leads out");
    let source = world.source();
    source.fetch("main").await.unwrap();
    let (tree, print) = source.folder(&first, "deploy").await.unwrap();
    assert_eq!((text(&tree, "db.yaml").as_str(), print), ("one", None), "its print would not tell of the other folder");

    fs::remove_file(world.work().join("deploy/db.yaml")).unwrap();
    let second = world.commit_all("no link leads out");
    source.fetch("main").await.unwrap();
    let (_, print) = source.folder(&second, "./deploy/").await.unwrap();
    assert!(print.is_some());
    let paths = || BTreeSet::from(["deploy".to_owned(), "other".to_owned(), "nowhere".to_owned()]);
    let before = source.prints(&second, paths()).await;
    assert_eq!((before.len(), before.get("deploy")), (2, print.as_ref()));

    let third = world.commit("other/db.yaml", "two");
    source.fetch("main").await.unwrap();
    let after = source.prints(&third, paths()).await;
    assert_eq!(after.get("deploy"), before.get("deploy"));
    assert_ne!(after.get("other"), before.get("other"));
}

#[tokio::test]
async fn one_wrong_ref_keeps_no_other_from_being_found() {
    let world = World::new();
    let head = world.git(&["rev-parse", "HEAD"]);
    let found = world.source().fetch_all(["main", "mian", &head[..8]].map(str::to_owned).into()).await.unwrap();
    assert_eq!(found["main"].as_ref().unwrap().id, head);
    assert_eq!(found[&head[..8]].as_ref().unwrap().id, head);
    assert!(matches!(found["mian"], Err(Error::UnknownRef { .. })));
}
