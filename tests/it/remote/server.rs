//! A Git server for one test: `git http-backend` behind a few lines of HTTP, in clear text or over TLS.
//!
//! It checks who asks, counts requests, and ends when it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Who may read.
type Users = Arc<Mutex<Option<(String, String)>>>;

/// A running server.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    users: Users,
    asked: Arc<AtomicU32>,
    ends: Arc<AtomicBool>,
}

impl Server {
    /// Serves the repositories below a folder on a free port of this host.
    pub fn start(root: &Path) -> Server {
        Server::serve(root, "http", |stream, answer| answer(&mut BufReader::new(&stream), &mut &stream))
    }

    /// The same over TLS, with a certificate and key in PEM.
    pub fn start_tls(root: &Path, certificate: &Path, key: &Path) -> Server {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).expect("a pair"));
        Server::serve(root, "https", move |stream, answer| {
            let session = rustls::ServerConnection::new(config.clone()).expect("a configuration");
            let shared = std::cell::RefCell::new(rustls::StreamOwned::new(session, stream));
            answer(&mut BufReader::new(Half(&shared)), &mut Half(&shared));
            shared.borrow_mut().conn.send_close_notify();
            let _ = shared.borrow_mut().flush();
        })
    }

    fn serve<F>(root: &Path, scheme: &'static str, wrap: F) -> Server
    where
        F: Fn(TcpStream, &dyn Fn(&mut dyn BufRead, &mut dyn Write)) + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (users, asked, ends) = (Users::default(), Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (root, wrap) = (root.to_owned(), Arc::new(wrap));
        let server = Server { address, scheme, users: users.clone(), asked: asked.clone(), ends: ends.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (root, users, asked, wrap) = (root.clone(), users.clone(), asked.clone(), wrap.clone());
                std::thread::spawn(move || {
                    wrap(stream, &|reader, writer| {
                        if let Some(request) = Request::read(reader) {
                            asked.fetch_add(u32::from(request.path.ends_with("/info/refs")), Ordering::Relaxed);
                            let _ = writer.write_all(&request.answer(&root, &users));
                        }
                    });
                });
            }
        });
        server
    }

    /// Returns the URL of a repository below the folder.
    pub fn url(&self, path: &str) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}/{path}", self.scheme, self.address.port())
    }

    /// From now on only this user may read.
    pub fn ask(&self, user: &str, password: &str) {
        *self.users.lock().expect("no panic") = Some((user.to_owned(), password.to_owned()));
    }

    /// Returns how often refs were asked for since the last call.
    pub fn asked(&self) -> u32 {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// One direction of a stream that has only one owner.
struct Half<'a, T>(&'a std::cell::RefCell<T>);

impl<T: Read> Read for Half<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl<T: Write> Write for Half<'_, T> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut dyn BufRead) -> Option<Request> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_ascii_whitespace();
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { method, path, query, headers, body: Vec::new() };
        if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
            request.body.resize(length, 0);
            reader.read_exact(&mut request.body).ok()?;
        } else if request.header("transfer-encoding").is_some() {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let length = usize::from_str_radix(line.trim(), 16).ok()?;
                let mut chunk = vec![0; length + 2];
                reader.read_exact(&mut chunk).ok()?;
                request.body.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        }
        Some(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn answer(&self, root: &Path, users: &Users) -> Vec<u8> {
        if let Some((user, password)) = &*users.lock().expect("no panic") {
            let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if self.header("authorization") != Some(&expected) {
                return b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    .to_vec();
            }
        }
        let mut command = Command::new("git");
        command.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
        command.env("REQUEST_METHOD", &self.method).env("PATH_INFO", &self.path).env("QUERY_STRING", &self.query);
        command.env("CONTENT_TYPE", self.header("content-type").unwrap_or_default());
        command.env("HTTP_CONTENT_ENCODING", self.header("content-encoding").unwrap_or_default());
        command.env("CONTENT_LENGTH", self.body.len().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("git is installed");
        let (mut stdin, body) = (child.stdin.take().expect("it is piped"), self.body.clone());
        let writing = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output().expect("it ends").stdout;
        writing.join().expect("no panic");
        let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer of CGI");
        let head = String::from_utf8_lossy(&output[..end]);
        let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
        let mut answer =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n\r\n", output.len() - end - 4).into_bytes();
        answer.extend_from_slice(&output[end + 4..]);
        answer
    }
}

/// Repositories below a folder, and files beside them.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Makes the bare repository `shop.git` with one commit.
    pub fn new() -> World {
        let world = World { folder: tempfile::tempdir().expect("a folder") };
        world.git("", &["init", "--quiet", "--bare", "--initial-branch", "main", "served/shop.git"]);
        world.git("", &["clone", "--quiet", "served/shop.git", "work"]);
        world.git("work", &["checkout", "--quiet", "-B", "main"]);
        world.commit("app.yaml", "one");
        world
    }

    /// Returns the folder that a server serves.
    pub fn served(&self) -> PathBuf {
        self.path("served")
    }

    /// Returns a path in the world's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file beside the repositories that only its owner may read.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner");
        path
    }

    /// Commits a file and pushes it; returns the revision.
    pub fn commit(&self, path: &str, text: &str) -> String {
        let file = self.path("work").join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
        self.git("work", &["add", "--all"]);
        self.git("work", &["commit", "--quiet", "--message", text]);
        self.git("work", &["push", "--quiet", "origin", "main"]);
        self.git("work", &["rev-parse", "HEAD"])
    }

    /// Runs git in a folder of the world.
    pub fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path(folder)).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command.args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]).args(arguments);
        let output = command.output().expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
