//! An engine that has nothing, played by a few lines on a socket; it is never asked to change anything.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Answers at a socket from now on; returns the calls that would change something.
pub fn play(socket: &Path) -> Receiver<String> {
    let listener = UnixListener::bind(socket).expect("a socket");
    let (sender, changes) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || converse(&stream, &sender));
        }
    });
    changes
}

/// Answers one call after the other until the other side leaves.
fn converse(stream: &UnixStream, changes: &Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let Some(call) = lines.next() else { return };
        lines.for_each(drop);
        if !call.starts_with("GET ") && !call.starts_with("HEAD ") {
            let _ = changes.send(call.clone());
        }
        let path = call.split([' ', '?']).nth(1).unwrap_or_default();
        let body = match path.rsplit('/').next().unwrap_or_default() {
            "version" => r#"{"ApiVersion":"1.41","Version":"20.10.0"}"#,
            "info" => r#"{"Name":"box","SecurityOptions":[]}"#,
            "volumes" => r#"{"Volumes":[],"Warnings":null}"#,
            // They come when something happens, which never is.
            "events" => {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
                lines_until_it_leaves(&mut reader);
                return;
            }
            _ => "[]",
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn lines_until_it_leaves(reader: &mut impl BufRead) {
    reader.lines().map_while(Result::ok).for_each(drop);
}
