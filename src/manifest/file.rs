//! Which files of a folder are read, and how those that cannot be are reported.

use super::load;
use super::node::Span;
use super::sink::Sink;
use super::{Entry, Format, Tree};

const COMPOSE: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Returns the folders of a tree that could be an application's: each that holds a Compose file, and the
/// topmost of those that hold Kubernetes objects; the tree itself is `.`.
pub fn folders(tree: &Tree) -> Vec<String> {
    let visible = tree.files.iter().filter(|(path, _)| !path.split('/').any(|part| part.starts_with('.')));
    let (mut compose, mut kubernetes): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (path, entry) in visible {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let Entry::File { bytes, .. } = entry else { continue };
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let has = |key: &str| text.lines().any(|line| line.starts_with(key));
        if COMPOSE.contains(&name) {
            compose.push(folder.to_owned());
        } else if (name.ends_with(".yaml") || name.ends_with(".yml")) && has("apiVersion:") && has("kind:") {
            kubernetes.push(folder.to_owned());
        }
    }
    let below = |folder: &str, top: &str| top == "." || folder == top || folder.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
    kubernetes.sort_by_key(|folder| (folder.matches('/').count(), folder.clone()));
    let mut found: Vec<String> = Vec::new();
    for folder in kubernetes {
        if !found.iter().any(|top| below(&folder, top)) {
            found.push(folder);
        }
    }
    found.extend(compose);
    found.sort();
    found.dedup();
    found
}

/// Returns the numbers of the Compose files of a folder, the base before its `.override`; `None` if the
/// folder is read as Kubernetes manifests.
pub fn compose(tree: &Tree, format: Format, sink: &Sink) -> Option<Vec<u32>> {
    let number = |path: &str| tree.files.keys().position(|known| known == path).and_then(|at| u32::try_from(at).ok());
    let base = COMPOSE.iter().find_map(|path| Some((*path, number(path)?)));
    let (path, base) = match (format, base) {
        (Format::Kubernetes, _) | (Format::Auto, None) => return None,
        (Format::Compose, None) => {
            let hint = format!("one of {} is read", COMPOSE.join(", "));
            sink.error_with("no-manifest", Span { file: u32::MAX, ..Span::default() }, "there is no Compose file in the folder", hint);
            return Some(Vec::new());
        }
        (_, Some(base)) => base,
    };
    let (stem, _) = path.rsplit_once('.').unwrap_or((path, ""));
    let over = ["yaml", "yml"].iter().find_map(|ending| number(&format!("{stem}.override.{ending}")));
    two_formats(tree, sink);
    Some([Some(base), over].into_iter().flatten().collect())
}

/// Reports Kubernetes manifests beside a Compose file.
fn two_formats(tree: &Tree, sink: &Sink) {
    for (number, (path, entry)) in (0_u32..).zip(&tree.files) {
        let manifest = !path.contains('/') && !path.starts_with('.') && (path.ends_with(".yaml") || path.ends_with(".yml"));
        let Entry::File { bytes, .. } = entry else { continue };
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let has = |key: &str| text.lines().any(|line| line.starts_with(key));
        if manifest && has("apiVersion:") && has("kind:") {
            let hint = "keep the two formats in folders of their own, or write `format` in the Application";
            sink.error_with(
                "two-formats",
                Span { file: number, ..Span::default() },
                "a Kubernetes manifest stands beside a Compose file",
                hint,
            );
        }
    }
}

/// Returns the manifests of a folder in the order of their paths, with their numbers in the tree.
pub fn manifests<'a>(tree: &'a Tree, sink: &Sink) -> Vec<(u32, &'a [u8])> {
    let entries = || (0_u32..).zip(&tree.files).filter(|(_, (path, _))| !path.split('/').any(|part| part.starts_with('.')));
    let whole = |file| Span { file, ..Span::default() };
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
