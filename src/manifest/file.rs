//! Which files of a folder are read, and how those that cannot be are reported.

use super::load;
use super::node::Span;
use super::sink::Sink;
use super::{Entry, Format, Tree};

const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Returns the manifests of a folder in the order of their paths, with their numbers in the tree.
pub fn manifests<'a>(tree: &'a Tree, format: Format, sink: &Sink) -> Vec<(u32, &'a [u8])> {
    let entries = || (0_u32..).zip(&tree.files).filter(|(_, (path, _))| !path.split('/').any(|part| part.starts_with('.')));
    let whole = |file| Span { file, ..Span::default() };
    let compose = entries().find(|(_, (path, _))| COMPOSE.contains(&path.as_str()));
    match (format, compose) {
        (Format::Kubernetes, _) | (Format::Auto, None) => {}
        (_, compose) => {
            let file = compose.map_or(u32::MAX, |(number, _)| number);
            sink.error_with("compose", whole(file), "Compose files are not supported yet", "write Kubernetes manifests");
            return Vec::new();
        }
    }
    let mut folders = Vec::new();
    for (number, (path, _)) in entries() {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (what, command) = match name {
            "kustomization.yaml" | "kustomization.yml" | "Kustomization" => ("a kustomization", "kustomize build"),
            "Chart.yaml" => ("a Helm chart", "helm template NAME"),
            _ => continue,
        };
        let shown = if folder.is_empty() { "." } else { folder };
        let hint = format!("render it and commit the result: `{command} {shown} > rendered.yaml`");
        sink.error_with("not-rendered", whole(number), format!("this is {what}, which is not rendered here"), hint);
        folders.push(folder);
    }
    // What such a folder holds are pieces, not manifests: reading them would only add noise.
    let piece =
        |path: &str| folders.iter().any(|folder| folder.is_empty() || path.strip_prefix(folder).is_some_and(|p| p.starts_with('/')));
    let mut found = Vec::new();
    let mut any = false;
    for (number, (path, entry)) in entries().filter(|(_, (path, _))| !piece(path)) {
        let manifest = path.ends_with(".yaml") || path.ends_with(".yml");
        any |= manifest;
        match (entry, manifest) {
            (Entry::File { bytes, .. }, true) => found.push((number, bytes.as_slice())),
            (Entry::TooLarge { size }, true) => load::too_large(*size, number, sink),
            (Entry::Lfs, true) => {
                let hint = "fetch it with `git lfs pull`, or keep manifests out of Git LFS";
                sink.error_with("git-lfs", whole(number), "this is the placeholder of a file that is kept in Git LFS", hint);
            }
            (Entry::Outside { target }, _) => outside(target, whole(number), manifest, sink),
            (Entry::Dangling { target }, true) => {
                sink.error("dangling-link", whole(number), format!("this is a symbolic link to `{target}`, which does not exist"));
            }
            _ => {}
        }
    }
    if !any && folders.is_empty() {
        let hint = "check the application's `path`; hidden files are not read";
        sink.error_with("no-manifest", whole(u32::MAX), "there is no `*.yaml` or `*.yml` file in the folder", hint);
    }
    found
}

fn outside(target: &str, span: Span, manifest: bool, sink: &Sink) {
    let message = format!("this is a symbolic link to `{target}`, which is outside of the repository");
    match manifest {
        true => sink.error_with("outside-link", span, message, "put the file itself into the repository"),
        // It may be a folder of manifests, or have nothing to do with them.
        false => sink.warning("outside-link", span, message, "it is not read"),
    }
}
