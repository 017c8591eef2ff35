//! Compose files that are meant to hurt, or to reach what is not theirs: each ends in a finding with its
//! place, soon, and nothing panics.
//!
//! Where a file could ask for more memory or time than anybody has, the bound is a number of bytes or of
//! values in the code; these tests ask for what lies just beyond it.

use proptest::prelude::*;

use crate::manifest::Entry;
use crate::manifest::load::MAX_BYTES;

use super::*;

fn found(files: &[(&str, &str)]) -> String {
    lines(&findings(&Tree::of(files.iter().copied())))
}

/// Returns the first line of what is found in a Compose file of its own.
fn first(text: &str) -> String {
    found(&[("compose.yaml", text)]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn files_outside_of_the_repository_are_not_reached() {
    let text = "services:
  web:
    image: a
    env_file: [/etc/shadow, ../../etc/shadow, link.env]
    volumes: ['../../etc:/etc', './link:/link', './dir:/dir', '~/x:/x']
    configs: [one, two, three]
configs:
  one: { file: ../../etc/shadow }
  two: { file: /etc/shadow }
  three: { file: ./link }
";
    let mut tree = Tree::of([("compose.yaml", text), ("dir/a", "x")]);
    for (path, target) in [("link", "/etc/shadow"), ("link.env", "../../etc/shadow"), ("dir/b", "/etc")] {
        tree.files.insert(path.to_owned(), Entry::Outside { target: target.to_owned() });
    }
    let found = lines(&findings(&tree));
    for line in [
        "compose.yaml:4:16: `services.web.env_file[0]`: `/etc/shadow` is outside of the application's folder",
        "compose.yaml:4:29: `services.web.env_file[1]`: `../../etc/shadow` is outside of the application's folder",
        "compose.yaml:4:47: `services.web.env_file[2]`: `link.env` is a symbolic link to `../../etc/shadow`, which is outside of the repository",
        "compose.yaml:5:15: `services.web.volumes[0]`: `../../etc` is outside of the application's folder",
        "compose.yaml:5:33: `services.web.volumes[1]`: `link` is a symbolic link to `/etc/shadow`, which is outside of the repository",
        "compose.yaml:5:49: `services.web.volumes[2]`: `dir/b` is a symbolic link to `/etc`, which is outside of the repository",
        "compose.yaml:5:63: `services.web.volumes[3]`: `~/x` is a home folder, and nobody's is meant here",
        "compose.yaml:8:16: `configs.one.file`: `../../etc/shadow` is outside of the application's folder",
        "compose.yaml:9:16: `configs.two.file`: `/etc/shadow` is outside of the application's folder",
        "compose.yaml:10:18: `configs.three.file`: `link` is a symbolic link to `/etc/shadow`, which is outside of the repository",
    ] {
        assert!(found.contains(line), "{line}\n\n{found}");
    }
}

#[test]
fn the_environment_of_the_agent_is_not_seen_by_any_way_in() {
    for text in [
        "services: { web: { image: 'a:$PATH' } }",
        "services: { web: { image: a, environment: { P: '${HOME:?}' } } }",
        "services: { web: { image: a, environment: ['P=${PATH:+seen}', PATH] } }",
        "name: $HOME\nservices: { web: { image: a } }",
    ] {
        for name in ["PATH", "HOME"] {
            let value = std::env::var(name).expect("every process has it");
            assert!(!format!("{:?}", build(&Tree::of([("compose.yaml", text)]), &context())).contains(&value), "{text}");
        }
    }
    let desired = good(&[("compose.yaml", "services: { web: { image: a, environment: ['P=${PATH:+seen}', PATH] } }")]);
    let env = &desired.workloads.values().next().expect("web").template.containers[0].env;
    assert_eq!(env.keys().collect::<Vec<_>>(), ["P"], "a name alone has no value where nothing was granted");
}

#[test]
fn bombs_stop() {
    let mut bomb = "x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("x-a{level}: &a{level} [{items}]\n"));
    }
    assert_eq!(
        first(&bomb),
        "compose.yaml:6:22: aliases copy too much: written out, this document would be huge -> write out what is meant, with fewer aliases within one another"
    );

    let big = format!("BIG={}\n", "x".repeat(100_000));
    let many = format!("services: {{ web: {{ image: a, command: ['{}'] }} }}", "$BIG".repeat(1_000));
    let line = found(&[("compose.yaml", &many), (".env", &big)]);
    assert!(
        line.contains("compose.yaml:1:40: `services.web.command[0]`: with its variables put in, the file has more than 16 MiB"),
        "{line}"
    );

    let doubling: String = (1..60).map(|level| format!("A{level}=$A{0}$A{0}\n", level - 1)).collect();
    let line = found(&[("compose.yaml", "services: { web: { image: a } }"), (".env", &format!("A0=xxxxxxxxxx\n{doubling}"))]);
    assert!(line.starts_with(".env:15:1: the value of `A14` has more than 128 KiB"), "{line}");
    let copies: String = (0..3_000).map(|index| format!("C{index}=$BIG\n")).collect();
    let line = found(&[("compose.yaml", "services: { web: { image: a } }"), (".env", &format!("{big}{copies}"))]);
    assert!(line.contains("with its variables put in, the file has more than 16 MiB"), "{}", &line[..200]);
    // A quote that is never closed is looked for once.
    let open = format!("A=\"\n{}", "x\n".repeat(500_000));
    let line = found(&[("compose.yaml", "services: { web: { image: a } }"), (".env", &open)]);
    assert!(line.starts_with(".env:1:1: the value of `A` cannot be read: a quote is not closed"), "{line}");
}

#[test]
fn what_many_services_share_is_not_copied_without_end() {
    let services = |count: usize, rest: &str| {
        let each: String = (0..count).map(|index| format!("  s{index}: {{ image: a, {rest} }}\n")).collect();
        format!("services:\n{each}")
    };
    let env: String = (0..20).map(|index| format!("V{index}={}\n", "x".repeat(100_000))).collect();
    let line = found(&[("compose.yaml", &services(60, "env_file: big.env")), ("big.env", &env)]);
    assert!(line.contains("the variables of all services have more than 64 MiB together"), "{line}");
    let shared = services(3_000, "volumes: ['./f:/f:ro'], configs: [c]");
    let text = "x".repeat(4 << 20);
    let desired = good(&[("compose.yaml", &format!("{shared}configs: {{ c: {{ file: ./f/a }} }}\n")), ("f/a", &text)]);
    assert_eq!((desired.workloads.len(), desired.contents.len()), (3_000, 2));
    let folders: Vec<(String, String)> = (0..9).map(|index| (format!("f{index}/a"), "x".repeat(8 << 20))).collect();
    let volumes: Vec<String> = (0..9).map(|index| format!("'./f{index}:/f{index}:ro'")).collect();
    let compose = services(1, &format!("volumes: [{}]", volumes.join(", ")));
    let files: Vec<(&str, &str)> =
        folders.iter().map(|(path, text)| (path.as_str(), text.as_str())).chain([("compose.yaml", compose.as_str())]).collect();
    assert!(found(&files).contains("all delivered files have more than 64 MiB together"));
}

#[test]
fn long_chains_and_many_mistakes_take_no_time_that_counts() {
    // Each service waits for the one whose name comes after its own.
    let chain: String = (0..20_000).map(|index| format!("  s{index:05}: {{ image: a, depends_on: [s{:05}] }}\n", index + 1)).collect();
    let desired = good(&[("compose.yaml", &format!("services:\n{chain}  s20000: {{ image: a }}\n"))]);
    assert_eq!(desired.workloads.len(), 20_001);
    let names: String = (0..20_000).map(|index| format!("  volume-of-nobody-{index}:\n")).collect();
    let mounts: String = (0..20_000).map(|index| format!("      - volume-of-somebody-{index}:/data{index}\n")).collect();
    let text = format!("services:\n  web:\n    image: a\n    volumes:\n{mounts}volumes:\n{names}");
    assert!(first(&text).starts_with("compose.yaml: the file has 100 errors or more"), "{}", first(&text));
    let keys: String = (0..20_000).map(|index| format!("      K{index}: x\n")).collect();
    let text = format!("services:\n  web:\n    image: a\n    environment:\n{keys}");
    let desired = good(&[("compose.yaml", &text), ("compose.override.yaml", &text)]);
    assert_eq!(desired.workloads.values().next().expect("web").template.containers[0].env.len(), 20_000);
    let long = "k".repeat(1 << 20);
    assert!(first(&format!("services:\n  web:\n    image: a\n    ? {long}\n    : 1\n")).contains("unknown field"));
}

#[test]
fn what_is_too_large_or_too_long_is_refused_with_its_place() {
    let mut tree = Tree::of([("compose.yaml", "services: { web: { image: a, env_file: big.env, volumes: ['./big:/big'] } }")]);
    tree.files.insert("big.env".to_owned(), Entry::TooLarge { size: 50_000_000 });
    tree.files.insert("big".to_owned(), Entry::TooLarge { size: 50_000_000 });
    assert_eq!(
        lines(&findings(&tree)),
        "compose.yaml:1:40: `services.web.env_file`: `big.env` has 50000000 bytes, more than are read -> put large files into an image, or into a folder of the host\n\
         compose.yaml:1:59: `services.web.volumes[0]`: `big` has 50000000 bytes, more than are read -> put large files into an image, or into a folder of the host\n"
    );
    let mut tree = Tree::default();
    tree.files.insert("compose.yaml".to_owned(), Entry::TooLarge { size: 50_000_000 });
    assert!(lines(&findings(&tree)).starts_with("compose.yaml: `compose.yaml` has 50000000 bytes, more than are read"));
    assert!(first(&"# remark\n".repeat(MAX_BYTES / 9 + 1)).contains("more than the 8388608 that a manifest may have"));

    let path = "/a".repeat(5_000);
    for volume in [format!(".{path}:/a"), format!("{path}:/a"), format!("data:{path}")] {
        let line = first(&format!("services: {{ web: {{ image: a, volumes: ['{volume}'] }} }}"));
        assert!(line.starts_with("compose.yaml:1:40: `services.web.volumes[0]` has a path of 1000"), "{line}");
    }
    for text in [
        format!("services: {{ web: {{ image: a, env_file: .{path} }} }}"),
        format!("services: {{ web: {{ image: a, configs: [c] }} }}\nconfigs: {{ c: {{ file: .{path} }} }}"),
    ] {
        assert!(first(&text).contains("there is no file `a/a/a"), "{}", &first(&text)[..100]);
    }
    let nested = format!("services: {{ web: {{ image: '{}a{}' }} }}", "${A:-".repeat(5_000), "}".repeat(5_000));
    let line = found(&[("compose.yaml", &nested)]);
    assert!(line.contains("variables are nested more than 20 deep") && line.len() < 5_000, "{line}");
    let deep: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(first(&deep).ends_with("lists and maps are nested more than 100 deep"), "{}", first(&deep));
}

/// A project with a bit of everything, to be damaged.
const VICTIM: &str = include_str!("../../../examples/repo/compose/compose.yaml");

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_around_a_secret_never_shows_it(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..16_usize, any::<bool>()), 1..6),
    ) {
        const PIECES: [&str; 15] =
            ["\n", "  ", ": ", "- ", "&a ", "*a", "<<: ", "{", "]", "\"", "---\n", "|", "}", "'", "\t"];
        let (before, after) = VICTIM.split_at(VICTIM.find("    expose").expect("the first service"));
        let (mut before, mut after) = (before.to_owned(), after.to_owned());
        for (index, piece, in_front) in edits {
            let part = if in_front { &mut before } else { &mut after };
            let at = part.floor_char_boundary(index.index(part.len()));
            part.insert_str(at, PIECES.get(piece).unwrap_or(&"x"));
        }
        let text = format!("{before}\n    environment:\n      password: hunter2\n      - hunter2\n{after}");
        let shown = crate::report::findings_text(&findings(&Tree::of([("compose.yaml", text.as_str())])), &|_| Some(text.as_str()), crate::report::Paint::Plain);
        prop_assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn damaged_projects_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..16_usize, any::<char>()), 1..6),
        in_override in any::<bool>(),
    ) {
        const PIECES: [&str; 15] =
            ["\n", "  ", ": ", "- ", "&a ", "*a", "<<: ", "{", "]", "\"", "---\n", "${", "}", "$", ":-"];
        let mut text: Vec<char> = VICTIM.chars().collect();
        for (index, piece, character) in edits {
            let at = index.index(text.len());
            match PIECES.get(piece) {
                Some(piece) => { text.splice(at..at, piece.chars()); }
                None => text[at] = character,
            }
        }
        let text: String = text.into_iter().collect();
        let files = match in_override {
            true => vec![("compose.yaml", VICTIM), ("compose.override.yaml", text.as_str()), (".env", "A=hunter2\n")],
            false => vec![("compose.yaml", text.as_str()), (".env", text.as_str())],
        };
        let found = findings(&Tree::of(files));
        let source = |_: &str| Some(text.as_str());
        let shown = crate::report::findings_text(&found, &source, crate::report::Paint::Plain);
        prop_assert!(!shown.contains("hunter2"), "{shown}");
    }
}
