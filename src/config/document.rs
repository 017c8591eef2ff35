//! The `Application` document: which folder of which repository is deployed, and how it is kept.
//!
//! It is read as strictly as a manifest: every unknown field, wrong value and duplicate is reported
//! with its place, all in one run. What is not built yet is refused by name rather than ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::desired::{Compose, External, Mode, OnFailure, Settings};
use crate::finding::{Finding, Place};
use crate::git::{Auth, Location};
use crate::manifest::Format;
use crate::manifest::cursor::{Cursor, Fields};
use crate::manifest::load::load;
use crate::manifest::node::{Located, Value};
use crate::manifest::scalar::Schema;
use crate::manifest::sink::Sink;
use crate::name::{Name, dns_label};
use crate::policy::{Enforce, Policy};
use crate::time::parse_duration;

use super::application::{Application, INTERVAL, check_relative};
use super::forge;

const API_VERSION: &str = "driftless.dev/v1";
/// The line by which a document in a repository is known as one for driftless.
pub const API_VERSION_LINE: &str = "apiVersion: driftless.dev/v1";
const KIND: &str = "Application";

/// Reads the applications of some files: their names for messages, and what is in them.
pub fn parse(files: &[(PathBuf, Vec<u8>)]) -> (Vec<Application>, Vec<Finding>) {
    let sink = Sink::new(files.iter().map(|(path, _)| path.display().to_string()).collect());
    let mut applications = Vec::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (index, (path, bytes)) in files.iter().enumerate() {
        let folder = path.parent().unwrap_or(Path::new("."));
        let roots = load(bytes, index as u32, Schema::Yaml12, &sink);
        for root in &roots {
            let Some((name, application)) = Cursor::new(root, &sink).fields(|fields| document(fields, folder)).flatten() else { continue };
            let place = sink.place(name.span);
            if let Some(first) = places.get(&name.value) {
                let message = format!("a second application `{}`; the first is at {}:{}", name.value, first.file, first.line);
                sink.error("duplicate-object", name.span, message);
                continue;
            }
            places.insert(name.value, place);
            applications.extend(application);
        }
    }
    let findings = sink.into_findings();
    (applications, findings)
}

/// Decodes one document; the name is known even if something else is wrong.
fn document(fields: &mut Fields<'_>, folder: &Path) -> Option<(Located<String>, Option<Application>)> {
    expect(fields, "apiVersion", API_VERSION);
    expect(fields, "kind", KIND);
    let name = fields.require("metadata").and_then(|field| field.fields(metadata)).flatten();
    let spec = fields.require("spec").and_then(|field| field.fields(|spec| decode_spec(spec, name.as_ref(), folder)));
    Some((name?.map(String::from), spec.flatten()))
}

fn expect(fields: &mut Fields<'_>, field: &'static str, value: &str) {
    let Some(cursor) = fields.require(field) else { return };
    if cursor.text().is_some_and(|text| text.value != value) {
        cursor.error("unsupported-value", format!("must be `{value}`"));
    }
}

fn metadata(fields: &mut Fields<'_>) -> Option<Located<Name>> {
    name(&fields.require("name")?)
}

fn name(cursor: &Cursor<'_>) -> Option<Located<Name>> {
    let text = cursor.filled()?;
    match Name::try_from(text.value.as_str()) {
        Ok(name) => Some(text.map(|_| name)),
        Err(error) => {
            cursor.error("bad-name", error);
            None
        }
    }
}

fn decode_spec(spec: &mut Fields<'_>, name: Option<&Located<Name>>, folder: &Path) -> Option<Application> {
    let location = spec.require("repo").and_then(|field| location(&field, folder));
    let reference = spec.text("ref").map(|text| text.value).unwrap_or_default();
    let path = spec.get("path").and_then(|field| relative(&field)).unwrap_or_else(|| ".".to_owned());
    let format = format(spec);
    let namespace = match spec.get("namespace") {
        Some(field) => namespace(&field),
        None => name.and_then(|name| name_as_namespace(spec, name)),
    };
    let interval = duration(spec, "interval", INTERVAL);
    let settings = settings(spec);
    let policy = spec.get("policy").and_then(|field| field.fields(|fields| policy(fields, folder))).unwrap_or_default();
    let auth = auth(spec, location.as_ref(), folder);
    let forge = forge::decode(spec, location.as_ref(), folder);
    refuse_unbuilt(spec);
    let (name, location, namespace) = (name?.value.clone(), location?, namespace?);
    Some(Application { name, location, auth: auth?, reference, path, format, namespace, interval, settings, policy, forge })
}

/// Decodes the files with what the repository asks for; a relative path counts from the document's folder.
fn auth(spec: &mut Fields<'_>, location: Option<&Location>, folder: &Path) -> Option<Auth> {
    let decode = |fields: &mut Fields<'_>| {
        let mut file = |name| Some(folder.join(fields.get(name)?.filled()?.value));
        Auth {
            username_file: file("usernameFile"),
            password_file: file("passwordFile"),
            token_file: file("tokenFile"),
            ssh_key_file: file("sshKeyFile"),
            known_hosts_file: file("knownHostsFile"),
        }
    };
    let field = spec.get("auth");
    let auth = match &field {
        Some(field) => field.fields(decode)?,
        None => Auth::default(),
    };
    let Some(error) = location.and_then(|location| auth.check(location).err()) else { return Some(auth) };
    let place = field.as_ref().unwrap_or(spec.cursor());
    place.sink.error_with("bad-auth", place.span(), format!("`spec.auth.{}` {}", error.field, error.reason), error.hint);
    None
}

fn settings(spec: &mut Fields<'_>) -> Settings {
    let default = Settings::default();
    let deadline = spec.get("deadline");
    let settings = Settings {
        mode: spec.choice("mode", &[("auto", Mode::Auto), ("manual", Mode::Manual), ("observe", Mode::Observe)]),
        prune: flag(spec, "prune", default.prune),
        self_heal: flag(spec, "selfHeal", default.self_heal),
        heal_stopped: duration(spec, "healStopped", default.heal_stopped),
        on_failure: spec
            .choice("onFailure", &[("rollback", OnFailure::Rollback), ("pause", OnFailure::Pause), ("continue", OnFailure::Continue)]),
        drain: duration(spec, "drain", default.drain),
        deadline: duration(spec, "deadline", default.deadline),
        hold: duration(spec, "hold", default.hold),
        settle: duration(spec, "settle", default.settle),
        compose: compose(spec),
    };
    if settings.deadline.is_zero()
        && let Some(deadline) = deadline
    {
        deadline.error("out-of-range", "must be longer than 0");
    }
    settings
}

/// Decodes what only Compose files look at.
fn compose(spec: &mut Fields<'_>) -> Compose {
    let variables = spec.get("variables").map(|field| field.entries()).unwrap_or_default();
    let variable = |(key, value): (&Located<String>, Cursor<'_>)| {
        let text = value.text()?;
        Some((key.value.clone(), text.value))
    };
    let external = match folder_of_host(spec, "secretsFolder") {
        Some(path) => External::Folder { path, files: BTreeMap::new() },
        None => External::Unknown,
    };
    Compose {
        fronts: flag(spec, "fronts", true),
        variables: variables.into_iter().filter_map(variable).collect(),
        profiles: spec.items("profiles").iter().filter_map(|profile| Some(profile.filled()?.value)).collect(),
        data_root: folder_of_host(spec, "dataRoot"),
        external,
        exposed: BTreeMap::new(),
    }
}

/// Decodes an absolute path.
fn folder_of_host(spec: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let field = spec.get(name)?;
    let text = field.filled()?.value;
    if !text.starts_with('/') {
        field.error("bad-path", format!("must be an absolute path, but is `{}`", text.escape_debug()));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// Decodes what manifests are judged by; folders of rules are below the folder of the file, unless they
/// are absolute.
fn policy(fields: &mut Fields<'_>, folder: &Path) -> Policy {
    const LEVELS: [(&str, Enforce); 4] = [
        ("default", Enforce::Default),
        ("baseline", Enforce::Baseline),
        ("restricted", Enforce::Restricted),
        ("privileged", Enforce::Privileged),
    ];
    let enforce = fields.choice("enforce", &LEVELS);
    let folders = fields.items("folders").iter().filter_map(|field| Some(folder.join(field.filled()?.value))).collect();
    let host_paths = fields.get("hostPaths").map(|field| {
        let absolute = |field: &Cursor<'_>| {
            let text = field.filled()?.value;
            if !text.starts_with('/') {
                field.error("bad-path", format!("must be an absolute path of the host, but is `{}`", text.escape_debug()));
            }
            Some(text)
        };
        field.items().iter().filter_map(absolute).collect()
    });
    Policy { enforce, folders, host_paths, ..Policy::default() }
}

/// Refuses what the contract has and this version does not, unless it asks for nothing but the default.
fn refuse_unbuilt(spec: &mut Fields<'_>) {
    const LATER: &str = "not supported yet";
    spec.refuse(&[("dependsOn", LATER)]);
    if let Some(cursor) = spec.get("verify") {
        cursor.fields(|fields| fields.only("mode", &Value::Text("none".to_owned()), LATER));
    }
}

fn format(spec: &mut Fields<'_>) -> Format {
    let Some(field) = spec.get("format") else { return Format::Auto };
    match field.text().as_ref().map(|text| text.value.as_str()) {
        Some("kubernetes") => return Format::Kubernetes,
        Some("compose") => return Format::Compose,
        Some("auto") | None => {}
        Some(other) => {
            field.error("unsupported-value", format!("cannot be `{}`; supported: `auto`, `compose`, `kubernetes`", other.escape_debug()))
        }
    }
    Format::Auto
}

fn location(cursor: &Cursor<'_>, folder: &Path) -> Option<Location> {
    let text = cursor.filled()?;
    match Location::parse_in(folder, &text.value) {
        Ok(location) => Some(location),
        Err(error) => {
            cursor.error("bad-repository", error);
            None
        }
    }
}

fn relative(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.filled()?.value;
    match check_relative(&text) {
        Ok(()) => Some(text),
        Err(reason) => {
            cursor.error("bad-path", reason);
            None
        }
    }
}

fn namespace(cursor: &Cursor<'_>) -> Option<Name> {
    let name = name(cursor)?.value;
    match dns_label(name.as_str()) {
        Ok(()) => Some(name),
        Err(error) => {
            cursor.error("bad-name", error);
            None
        }
    }
}

fn name_as_namespace(spec: &Fields<'_>, name: &Located<Name>) -> Option<Name> {
    if let Err(error) = dns_label(name.value.as_str()) {
        let message = format!("`{}` cannot be the namespace: it {error}", name.value);
        spec.cursor().sink.error_with("bad-name", name.span, message, "give another one as `spec.namespace`");
        return None;
    }
    Some(name.value.clone())
}

fn flag(spec: &mut Fields<'_>, name: &'static str, default: bool) -> bool {
    spec.get(name).and_then(|field| field.flag()).unwrap_or(default)
}

fn duration(spec: &mut Fields<'_>, name: &'static str, default: Duration) -> Duration {
    let Some(field) = spec.get(name) else { return default };
    // A bare `0` is as clear as `0s`.
    if field.node().value == Value::Integer(0) {
        return Duration::ZERO;
    }
    let text = match &field.node().value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Decimal(number) => number.clone(),
        _ => {
            field.text();
            return default;
        }
    };
    parse_duration(&text).unwrap_or_else(|| {
        let hint = match text.parse::<u64>() {
            Ok(number) => format!("did you mean `{number}s`?"),
            Err(_) => "write it as in `90s`, `1m30s` or `500ms`".to_owned(),
        };
        field.error_with("bad-duration", format!("is no duration: `{}`", text.escape_debug()), hint);
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Forge, ForgeKind};

    fn read(text: &str) -> (Vec<Application>, Vec<String>) {
        let (applications, findings) = parse(&[(PathBuf::from("/etc/driftless/shop.yaml"), text.as_bytes().to_vec())]);
        let line = |finding: &Finding| {
            let Finding { place, message, hint, .. } = finding;
            let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}:{} {message}{hint}", place.line, place.column)
        };
        (applications, findings.iter().map(line).collect())
    }

    const HEAD: &str = "apiVersion: driftless.dev/v1\nkind: Application\nmetadata: { name: shop }\n";

    #[test]
    fn what_is_left_out_has_its_default() {
        let (applications, findings) = read(&format!("{HEAD}spec: {{ repo: /srv/shop.git }}"));
        assert_eq!(findings, [] as [&str; 0]);
        let expected = Application::new("shop", Location::parse("/srv/shop.git").unwrap()).unwrap();
        assert_eq!(applications, [expected]);
    }

    #[test]
    fn everything_can_be_written() {
        let spec = "spec:\n  repo: ../shop\n  ref: v1\n  path: deploy/web\n  format: kubernetes\n  namespace: store\n  mode: manual\n  prune: false\n  \
                    selfHeal: false\n  interval: 0\n  drain: 5s\n  deadline: 2m\n  onFailure: pause\n  hold: 1s\n  healStopped: 1h\n  settle: 500ms\n  \
                    fronts: false\n  policy: { enforce: baseline, folders: [rules, /etc/rules], hostPaths: [/srv/shop] }\n  verify: { mode: none }\n  profiles: [debug]\n  variables: { A: b }\n  dataRoot: /srv/shop/\n  \
                    secretsFolder: /etc/driftless/secrets/shop\n  dependsOn: []\n  \
                    forge: { kind: forgejo, url: \"https://git.example/\", repository: Acme/shop, tokenFile: token }\n";
        let (applications, findings) = read(&format!("{HEAD}{spec}"));
        assert_eq!(findings, [] as [&str; 0]);
        let expected = Application {
            name: Name::try_from("shop").unwrap(),
            location: Location::parse("/etc/shop").unwrap(),
            auth: Auth::default(),
            reference: "v1".into(),
            path: "deploy/web".into(),
            format: Format::Kubernetes,
            namespace: Name::try_from("store").unwrap(),
            interval: Duration::ZERO,
            settings: Settings {
                mode: Mode::Manual,
                prune: false,
                self_heal: false,
                heal_stopped: Duration::from_secs(3600),
                on_failure: OnFailure::Pause,
                drain: Duration::from_secs(5),
                deadline: Duration::from_secs(120),
                hold: Duration::from_secs(1),
                settle: Duration::from_millis(500),
                compose: Compose {
                    fronts: false,
                    variables: [("A".to_owned(), "b".to_owned())].into(),
                    profiles: ["debug".to_owned()].into(),
                    data_root: Some("/srv/shop".to_owned()),
                    external: External::Folder { path: "/etc/driftless/secrets/shop".to_owned(), files: BTreeMap::new() },
                    exposed: BTreeMap::new(),
                },
            },
            policy: Policy {
                enforce: Enforce::Baseline,
                folders: vec!["/etc/driftless/rules".into(), "/etc/rules".into()],
                host_paths: Some(vec!["/srv/shop".to_owned()]),
                ..Policy::default()
            },
            forge: Some(Forge {
                kind: ForgeKind::Gitea,
                url: "https://git.example".into(),
                repository: "Acme/shop".into(),
                token_file: "/etc/driftless/token".into(),
            }),
        };
        assert_eq!(applications, [expected]);
    }

    #[test]
    fn every_error_is_reported_with_its_place() {
        let spec = "spec:\n  rpo: x\n  path: ../x\n  mode: automatic\n  prune: maybe\n  interval: 60\n  deadline: 0s\n  hold: soon\n  namespace: Store\n  \
                    format: swarm\n  fronts: maybe\n  auth: { token: t }\n  policy: { enforce: base, hostPaths: [srv], roots: [] }\n  variables: { A: 1 }\n  \
                    forge: { kind: gitlab, url: git.example, repository: shop }\n";
        let (applications, findings) = read(&format!("{HEAD}{spec}"));
        assert_eq!(applications, []);
        assert_eq!(
            findings,
            [
                "5:3 unknown field `spec.rpo` (did you mean `repo`?)",
                "6:9 `spec.path` leaves the repository",
                "7:9 `spec.mode` cannot be `automatic`; supported: `auto`, `manual`, `observe`",
                "8:10 `spec.prune` must be true or false, but is the text `maybe`",
                "9:13 `spec.interval` is no duration: `60` (did you mean `60s`?)",
                "10:13 `spec.deadline` must be longer than 0",
                "11:9 `spec.hold` is no duration: `soon` (write it as in `90s`, `1m30s` or `500ms`)",
                "12:14 `spec.namespace` has `S` at position 1; only lower-case letters, digits and `-` are allowed, with a letter or digit at both ends",
                "13:11 `spec.format` cannot be `swarm`; supported: `auto`, `compose`, `kubernetes`",
                "14:11 `spec.fronts` must be true or false, but is the text `maybe`",
                "15:11 unknown field `spec.auth.token`",
                "16:22 `spec.policy.enforce` cannot be `base`; supported: `default`, `baseline`, `restricted`, `privileged`",
                "16:40 `spec.policy.hostPaths[0]` must be an absolute path of the host, but is `srv`",
                "16:46 unknown field `spec.policy.roots`",
                "17:19 `spec.variables.A` must be a text, but is the number 1 (put it in quotes)",
                "18:3 `spec.forge.tokenFile` is missing",
                "18:18 `spec.forge.kind` cannot be `gitlab`; supported: `github`, `gitea`, `forgejo`",
                "18:31 `spec.forge.url` must be the forge's web address (write it as in `https://git.example`, without a token)",
                "18:56 `spec.forge.repository` must be owner and name, as in `acme/shop`, but is `shop`",
            ]
        );
    }

    #[test]
    fn credentials_are_files_that_fit_the_repository() {
        let (applications, findings) =
            read(&format!("{HEAD}spec:\n  repo: https://git.example/shop.git\n  auth: {{ tokenFile: token }}\n"));
        assert_eq!(findings, [] as [&str; 0]);
        assert_eq!(applications[0].auth, Auth { token_file: Some(PathBuf::from("/etc/driftless/token")), ..Auth::default() });
        let (_, findings) = read(&format!("{HEAD}spec:\n  repo: http://git.example/shop.git\n  auth: {{ tokenFile: token }}\n"));
        assert_eq!(
            findings,
            ["6:3 `spec.auth.tokenFile` would be sent over plain http, where everybody on the way can read it (use an https URL)"]
        );
        let (_, findings) = read(&format!("{HEAD}spec:\n  repo: git@git.example:shop.git\n"));
        assert_eq!(
            findings,
            ["4:1 `spec.auth.sshKeyFile` is missing: ssh needs a private key (neither an ssh agent nor the user's own keys are tried)"]
        );
        let (_, findings) = read(&format!("{HEAD}spec:\n  repo: https://me:canary@git.example/shop.git\n"));
        assert_eq!(findings, ["5:9 `spec.repo` holds a user or a password; write it without them, and the files that hold them as `auth`"]);
    }

    #[test]
    fn a_document_of_another_kind_and_a_second_of_one_name_are_refused() {
        let one = format!("{HEAD}spec: {{ repo: /srv/shop }}\n");
        let (applications, findings) =
            read(&format!("{one}---\n{one}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: a }}\nspec: {{ repo: x }}\n"));
        assert_eq!(applications.len(), 2);
        assert_eq!(
            findings,
            [
                "8:19 a second application `shop`; the first is at /etc/driftless/shop.yaml:3",
                "11:13 `apiVersion` must be `driftless.dev/v1`",
                "12:7 `kind` must be `Application`",
            ]
        );
        let (_, findings) = read("kind: Application\nmetadata: { name: My_Shop }\nspec: { repo: svn://x }\n");
        assert_eq!(
            findings,
            [
                "1:1 `apiVersion` is missing",
                "2:19 `My_Shop` cannot be the namespace: it has `M` at position 1; only lower-case letters, digits and `-` are allowed, with a letter or \
                 digit at both ends (give another one as `spec.namespace`)",
                "3:15 `spec.repo` has the unknown scheme `svn`; https, ssh, git and file URLs and local paths are understood",
            ]
        );
    }
}
