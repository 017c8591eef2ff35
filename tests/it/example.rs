//! The example's hashes, as a snapshot: a change here means that an upgrade would restart everybody's
//! containers, and is seen in review as just that.

use std::path::Path;

use driftless::desired::{Installation, Layout, Settings};
use driftless::hash::Key;
use driftless::manifest::{Context, Format, Tree, build};
use driftless::name::Name;

fn name(text: &str) -> Name {
    Name::try_from(text).expect("a name")
}

/// Returns the files of the example's Kubernetes folder.
fn tree() -> Tree {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/repo/kubernetes");
    let mut files: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the example is there") {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().expect("files have names").to_string_lossy().into_owned();
        files.push((name, std::fs::read_to_string(path).expect("manifests are text")));
    }
    Tree::of(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}

#[test]
fn hashes_of_the_example_stay_what_they_are() {
    let context = Context {
        application: name("shop"),
        revision: "r1".to_owned(),
        installation: Installation {
            owner: name("me"),
            domain: "cluster.local".to_owned(),
            layout: Layout::new("10.64.0.0/16".parse().expect("a network")).expect("wide enough"),
            key: Key::new([7; 32]),
        },
        settings: Settings::default(),
        namespace: name("shop"),
        format: Format::Kubernetes,
    };
    let desired = build(&tree(), &context).expect("the example has no errors");
    let hashes: Vec<String> = desired.workloads.iter().map(|(id, workload)| format!("{id} {}", workload.hash)).collect();
    insta::assert_snapshot!(hashes.join("\n"), @r"
    shop/Deployment/entry v1:4210804072853855898969e963452fe3cc1dbaca05d94dcee21376d0d9fd0c2a:05d1d88c2e60569b93bdd83d25dcf3a21081abf3
    shop/Deployment/postgres v1:6bdd2cdb1981330339b0e0d6cf2717df60c598fcb05d3b45f32c26e7b78f2d20:05d1d88cfd9f2e536b08d8aee382cc1e944dabdb
    shop/Deployment/rest v1:7f18c744d6ed4dc69e5ac97f52677b7db943295aacc0efbc80ed13967a51dbee:05d1d88ce36866f50ebc4d300710a3caffdc598e
    ");
}
