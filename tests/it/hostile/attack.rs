//! What the repository holds: a folder for each attack.

use std::fs;
use std::path::Path;

use git2::{Index, IndexEntry, IndexTime, Oid, Repository, Signature};

/// A file of the repository.
pub enum What {
    Text(String),
    /// So many bytes that nothing compresses to its own size but that are the same.
    Zeros(usize),
    Link(&'static str),
}

/// A folder that is meant to hurt.
pub struct Attack {
    pub name: &'static str,
    pub files: Vec<(String, What)>,
    /// What is said of it, in one line each, with its place; `…` stands for what does not matter. Nothing if it
    /// is no error.
    pub said: &'static [&'static str],
}

fn attack(name: &'static str, files: Vec<(&str, What)>, said: &'static [&'static str]) -> Attack {
    Attack { name, files: files.into_iter().map(|(path, what)| (path.to_owned(), what)).collect(), said }
}

fn text(text: impl Into<String>) -> What {
    What::Text(text.into())
}

/// An application that is right, to which nothing happens.
pub fn good(number: u32) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  replicas: {number}\n  selector: {{ matchLabels: {{ app: web }} }}\n  \
         template:\n    metadata: {{ labels: {{ app: web }} }}\n    spec: {{ containers: [{{ name: web, image: \"example/web:1\" }}] }}\n"
    )
}

/// Returns what is meant to hurt.
pub fn attacks() -> Vec<Attack> {
    vec![
        links(),
        attack(
            "shadow",
            vec![("compose.yaml", text("services: { web: { image: a, env_file: /etc/shadow, volumes: ['../../etc:/etc:ro'] } }\n"))],
            &[
                "shadow/compose.yaml:1:40: … `/etc/shadow` is outside of the application's folder",
                "shadow/compose.yaml:1:63: … `../../etc` is outside of the application's folder",
            ],
        ),
        attack(
            "environment",
            vec![(
                "compose.yaml",
                text("services: { web: { image: 'a:${HOSTILE_CANARY:?is not granted}', environment: [HOSTILE_CANARY] } }\n"),
            )],
            &["environment/compose.yaml:1:27: ", "is not granted"],
        ),
        attack("bomb", vec![("compose.yaml", text(bomb(12)))], &["bomb/compose.yaml:6:22: … aliases copy too much"]),
        attack(
            "bombs",
            vec![("bombs.yaml", text(format!("{}---\n", bomb(5)).repeat(300)))],
            &["bombs/bombs.yaml:", "aliases copy too much"],
        ),
        attack(
            "values",
            (0..9)
                .map(|file| (["a", "b", "c", "d", "e", "f", "g", "h", "i"][file], text(format!("- [{}]\n", "a,".repeat(400_000)))))
                .collect(),
            &["values or more; what follows is not read"],
        )
        .with_ending(".yaml"),
        attack(
            "large",
            vec![("large.yaml", text("# remark\n".repeat(50_000_000 / 9)))],
            &["large/large.yaml: the file has 49999995 bytes"],
        ),
        attack(
            "parts",
            vec![(
                "compose.yaml",
                text(format!("services: {{ web: {{ image: a, env_file: .{0}, volumes: ['.{0}:/a'] }} }}\n", "/a".repeat(5_000))),
            )],
            &[
                "parts/compose.yaml:1:40: … there is no file `a/a/",
                "parts/compose.yaml:1:10053: … `services.web.volumes[0]` has a path of 10",
            ],
        ),
        Attack { name: "many", files: (0..100_001).map(|number| (format!("{number}.txt"), text(""))).collect(), said: &["100000 files"] },
        Attack {
            name: "maps",
            files: (0..5_000)
                .map(|number| {
                    (format!("{number}.yaml"), text(format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: m{number} }}\n")))
                })
                .collect(),
            said: &[],
        },
        Attack { name: "huge", files: (0..9).map(|number| (format!("{number}.bin"), What::Zeros(15 << 20))).collect(), said: &["128 MiB"] },
        Attack {
            name: "heavy",
            files: (0..8)
                .map(|number| (format!("files/{number}.bin"), What::Zeros(15 << 20)))
                .chain([("compose.yaml".to_owned(), text("services: { web: { image: a, volumes: ['./files:/files:ro'] } }\n"))])
                .collect(),
            said: &["heavy/compose.yaml:1:40: "],
        },
        escapes(),
        attack("escapes-yaml", vec![("a.yaml", text(ESCAPES))], &["escapes-yaml/a.yaml:"]),
        attack("raw", vec![("compose.yaml", text("services:\n  \"web\": { image: 'a\u{1b}[31m' }\n"))], &["raw/compose.yaml:2:"]),
    ]
}

impl Attack {
    /// Returns the formats in which it is looked at: in which what is large is said makes no difference.
    pub fn formats(&self) -> &'static [&'static str] {
        if self.files.len() > 100 { &["json"] } else { &["json", "text", "markdown"] }
    }

    /// Returns what is not said, of all that should be.
    pub fn unsaid<'a>(&'a self, found: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        let is_said = |wanted: &&str| found.lines().any(|line| wanted.split(" … ").all(|part| line.contains(part)));
        self.said.iter().copied().filter(move |wanted| !is_said(wanted))
    }

    fn with_ending(mut self, ending: &str) -> Attack {
        self.files.iter_mut().for_each(|(path, _)| path.push_str(ending));
        self
    }
}

fn links() -> Attack {
    let compose = "services:
  web:
    image: a
    env_file: [link.env]
    volumes: ['./link:/link:ro', './folder:/folder:ro', './self:/self:ro']
    configs: [one]
configs:
  one: { file: ./link }
";
    attack(
        "links",
        vec![
            ("compose.yaml", text(compose)),
            ("link", What::Link("/etc/shadow")),
            ("link.env", What::Link("../../../../../../../../etc/shadow")),
            ("folder/etc", What::Link("/etc")),
            ("self/self", What::Link(".")),
        ],
        &[
            "links/compose.yaml:4:16: … `link.env` is a symbolic link to `../../../../../../../../etc/shadow`, which is outside of the repository",
            "links/compose.yaml:5:15: … `link` is a symbolic link to `/etc/shadow`, which is outside of the repository",
            "links/compose.yaml:5:34: … `folder/etc` is a symbolic link to `/etc`, which is outside of the repository",
            "links/compose.yaml:8:16: … `link` is a symbolic link to `/etc/shadow`, which is outside of the repository",
        ],
    )
}

/// Aliases within aliases: ten to the power of `levels` values.
fn bomb(levels: usize) -> String {
    let mut bomb = "x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..levels {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("x-a{level}: &a{level} [{items}]\n"));
    }
    bomb
}

/// Names that would clear a screen, set a title, or write over a line.
fn escapes() -> Attack {
    let compose = r#"name: "a\e]0;owned\a"
"x-\e[2J": 1
services:
  "web\e[31m":
    image: "a\r\e[1Aok"
    "opt\bion": 1
  web:
    image: "ghcr.io/\e[2Ja"
    hostname: "a\e[2J"
    container_name: "\e[2J"
    env_file: ["\e[2J.env"]
    environment: { "A\e[2J": "\e[2J", B: "${\e[2J}", C: "${D:?\e[2J}" }
    labels: { "driftless.dev/\e[2J": "\e[2J", driftless.dev/wave: "\e[2J" }
    volumes: ["\e[2J:/a", "./a:/\e[2J", "/a:/b:\e[2J", "./\u202eexe:/a"]
    ports: ["\e[2J:80", "80/\e[2J"]
    networks: ["\e[2J"]
    depends_on: ["\e[2J"]
    configs: ["\e[2J"]
    secrets: ["\e[2J"]
    command: "a '\e[2J"
    user: "\e[2J"
    restart: "\e[2J"
    stop_signal: "\e[2J"
    mem_limit: "\e[2J"
    cpus: "\e[2J"
    healthcheck: { test: "\e[2J", interval: "\e[2J" }
    sysctls: { "\e[2J": "\e[2J" }
    ulimits: { "\e[2J": "\e[2J" }
    devices: ["\e[2J"]
    extra_hosts: ["\e[2J"]
    cap_add: ["\e[2J"]
    pull_policy: "\e[2J"
    profiles: ["\e[2J"]
    extends: "\e[2J"
    logging: { driver: "\e[2J" }
volumes: { "\e[2J": { driver: "\e[2J" } }
networks: { "\e[2J": { driver: "\e[2J" } }
configs: { "\e[2J": { file: "\e[2J" } }
"#;
    attack(
        "escapes",
        vec![
            ("compose.yaml", text(compose)),
            (".env", text("A\u{1b}[2J=\u{1b}[2J\n")),
            ("\u{1b}[2J.txt", text("")),
            ("\u{1b}]0;owned\u{7}/compose.yaml", text("")),
            ("\u{202e}.env", What::Link("\u{1b}[2J")),
        ],
        &["escapes/compose.yaml:"],
    )
}

/// The same for Kubernetes manifests, and for a file that no parser takes.
const ESCAPES: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: { name: "web\e[2J", labels: { "a\e[2J": "\e[2J" }, annotations: { "driftless.dev/wave": "\e[2J", "driftless.dev/\e[2J": "1" } }
spec:
  replicas: "\e[2J"
  "opt\e[2Jion": 1
  strategy: { type: "\e[2J" }
  selector: { matchLabels: { app: "\e[2J" } }
  template:
    metadata: { labels: { app: "\e[2J" } }
    spec:
      restartPolicy: "\e[2J"
      containers:
        - name: "\e[2J"
          image: "a\e[2J"
          imagePullPolicy: "\e[2J"
          env: [{ name: "\e[2J", value: "$(\e[2J)" }, { name: A, valueFrom: { secretKeyRef: { name: "\e[2J", key: "\e[2J" } } }]
          ports: [{ containerPort: "\e[2J", protocol: "\e[2J" }]
          volumeMounts: [{ name: "\e[2J", mountPath: "\e[2J" }]
          resources: { limits: { memory: "\e[2J", "\e[2J": 1 } }
          readinessProbe: { httpGet: { path: "\e[2J", port: "\e[2J" } }
      volumes: [{ name: "\e[2J", configMap: { name: "\e[2J" } }]
---
apiVersion: "v1\e[2J"
kind: "Secret\e[2J"
metadata: { name: a }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: "\e[2J", namespace: "\e[2J" }
data: { "\e[2J": "\e[2J" }
binaryData: { a: "\e[2J" }
---
"\e[2J": &a !<\e[2J> [
"#;

/// Writes a folder to the disk.
pub fn write(folder: &Path, files: &[(String, What)]) {
    for (path, what) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
        match what {
            What::Text(text) => fs::write(path, text).expect("a file"),
            What::Zeros(count) => fs::write(path, vec![0; *count]).expect("a file"),
            What::Link(target) => std::os::unix::fs::symlink(target, path).expect("a link"),
        }
    }
}

/// Commits folders, and one that is so deep that no disk would have it, to a branch; returns the commit.
pub fn commit<'a>(repository: &Path, folders: impl Iterator<Item = (&'a str, &'a [(String, What)])>, deep: usize) -> String {
    let repository = Repository::open(repository).unwrap_or_else(|_| Repository::init_bare(repository).expect("a repository"));
    let mut index = Index::new().expect("memory");
    for (folder, files) in folders {
        for (path, what) in files {
            let (bytes, mode) = match what {
                What::Text(text) => (text.as_bytes().to_vec(), 0o100_644),
                What::Zeros(count) => (vec![0; *count], 0o100_644),
                What::Link(target) => (target.as_bytes().to_vec(), 0o120_000),
            };
            let id = repository.blob(&bytes).expect("a blob");
            index.add(&entry(format!("{folder}/{path}"), mode, id)).expect("an entry");
        }
    }
    let root = index.write_tree_to(&repository).expect("a tree");
    let mut builder = repository.treebuilder(Some(&repository.find_tree(root).expect("a tree"))).expect("a tree");
    if deep > 0 {
        builder.insert("deep", folders_in_each_other(&repository, deep), 0o040_000).expect("an entry");
    }
    let tree = repository.find_tree(builder.write().expect("a tree")).expect("a tree");
    let who = Signature::now("\u{1b}[2Jtest", "test@example.org").expect("somebody");
    let parent = repository.refname_to_id("refs/heads/main").ok().map(|id| repository.find_commit(id).expect("a commit"));
    let parents: Vec<_> = parent.iter().collect();
    let id = repository.commit(Some("refs/heads/main"), &who, &who, "\u{1b}[2J\u{1b}]0;owned\u{7} a commit\r\n", &tree, &parents);
    id.expect("a commit").to_string()
}

fn folders_in_each_other(repository: &Repository, deep: usize) -> Oid {
    let blob = repository.blob(good(1).as_bytes()).expect("a blob");
    let mut inner = (blob, "a.yaml", 0o100_644);
    for _ in 0..deep {
        let mut builder = repository.treebuilder(None).expect("a tree");
        builder.insert(inner.1, inner.0, inner.2).expect("an entry");
        inner = (builder.write().expect("a tree"), "a", 0o040_000);
    }
    inner.0
}

fn entry(path: String, mode: u32, id: Oid) -> IndexEntry {
    let time = IndexTime::new(0, 0);
    let path = path.into_bytes();
    IndexEntry { ctime: time, mtime: time, dev: 0, ino: 0, mode, uid: 0, gid: 0, file_size: 0, id, flags: 0, flags_extended: 0, path }
}
