//! The command line as people see it: standard output, standard error and exit code together.
//!
//! None of these tests needs an engine or a network. The agent is played by a thread that says what it
//! was told to say.

mod agentless;
mod answered;
mod help;
mod init;
mod policy;
mod review;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

/// A folder in which commands run, with an environment of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it has a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Returns a command that knows nothing of this machine: no engine, no state but its own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("DRIFTLESS_STATE", self.path("state")).env("DRIFTLESS_HOST", "box").env("DRIFTLESS_OWNER", "tests");
        command.env("DOCKER_HOST", format!("unix://{}", self.path("no/docker.sock").display())).env("COLUMNS", "100");
        command.env("DRIFTLESS_HTTP", "127.0.0.1:0");
        command.env("TMPDIR", self.folder.path());
        command
    }

    /// Runs a command; returns what can be seen of it.
    fn run(&self, arguments: &[&str]) -> String {
        seen(&self.command(arguments).output().expect("it can be run"), self.folder.path())
    }

    /// Lets an agent answer the next request on the usual socket: each line as it is, then the end.
    fn agent(&self, answers: &[&str]) -> thread::JoinHandle<String> {
        fs::create_dir_all(self.path("state")).expect("a folder");
        let listener = UnixListener::bind(self.path("state/agent.sock")).expect("a socket");
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).expect("a request");
            for answer in answers {
                // Who asked may have left; that is what some tests are about.
                let _ = stream.write_all(format!("{answer}\n").as_bytes());
            }
            request.trim().to_owned()
        })
    }
}

fn seen(output: &Output, folder: &Path) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8").replace(&folder.display().to_string(), "$HERE");
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    format!("{}------- stderr -------\n{}[exit status: {code}]", text(&output.stdout), text(&output.stderr))
}
