//! Damaged input of every kind that comes from outside and is not a manifest: it is read or refused, and
//! nothing panics. Manifests have a test of their own beside their parser.

use std::path::{Path, PathBuf};

use driftless::agent::protocol::{Answer, Request};
use driftless::config::parse_files;
use driftless::observed::Record;
use driftless::traffic::{Acknowledged, Published};
use proptest::prelude::*;
use proptest::sample::Index;

const APPLICATION: &str = "apiVersion: driftless.dev/v1
kind: Application
metadata: { name: shop }
spec:
  repo: https://git.example/shop.git
  ref: main
  path: deploy
  mode: manual
  interval: 60s
  drain: 10s
  variables: { KEY: value }
  profiles: [a, b]
";

const PUBLISHED: &str = r#"{"version":1,"generation":7,"zone":{"domain":"cluster.local","network":"10.64.0.0/16","services":{},"pointers":{}},"fronts":[
{"name":"f","container":"c0ffee","address":"10.64.0.2","local":"10.64.128.0/17","mapped":["10.64.64.0/18","10.64.192.0/18"],"dns":true,
"ports":[{"address":"10.64.128.1","protocol":"tcp","port":80,"targets":["10.64.64.1:8080"],"hold":{"secs":10,"nanos":0}}]}],
"joined":{"shop/Deployment/web/x7k2p":{"container":"c1","started":"2026-01-02T03:04:05Z","address":"10.64.64.1","generation":7}},
"left":{"c2":{"address":"10.64.64.2","generation":6,"at":"2026-01-02T03:04:05Z","named":false}}}"#;

const RECORD: &str = r#"{"applied":{"shop/Deployment/web":{"revision":"r1","fields":{}}},"begun":{"shop/Deployment/web":{"wanted":"d",
"at":"2026-01-02T03:04:05Z","first":true,"earliest":"2026-01-02T03:04:05Z"}},"failed":{},"healthy":["r1"],
"addresses":{"shop/Service/web":"10.64.128.1"},"accepted":{"shop/Deployment/web":[8080]},
"heals":{"shop/Deployment/web":{"count":2,"at":"2026-01-02T03:04:05Z"}},"approved":null,"prune_all":null}"#;

const REQUEST: &str = r#"{"command":"apply","application":"shop","plan":"0a1b2c","prune_all":false,"wait":300}"#;
const ANSWER: &str = r#"{"answer":"error","class":"user","messages":["there is no application `shpo`"],"hint":"known are: shop"}"#;

/// Returns a text with bytes removed, doubled, or replaced by what means something to a parser.
fn damage(text: &str, edits: &[(Index, usize, u8)]) -> Vec<u8> {
    const PIECES: [&[u8]; 12] =
        [b"\n", b"  ", b": ", b"- ", b"&a ", b"*a", b"{", b"]", b"\"", b"-1", b"99999999999999999999", b"\xff\xfe\x00"];
    let mut bytes = text.as_bytes().to_vec();
    for (index, what, byte) in edits {
        let at = index.index(bytes.len().max(1)).min(bytes.len());
        match PIECES.get(*what) {
            Some(piece) => drop(bytes.splice(at..at, piece.iter().copied())),
            None if *what == 12 => bytes.truncate(at),
            None if *what == 13 => bytes.extend_from_within(at..),
            None => {
                if let Some(known) = bytes.get_mut(at) {
                    *known = *byte;
                }
            }
        }
    }
    bytes
}

#[test]
fn undamaged_they_are_read() {
    let read = parse_files(Path::new("."), &[(PathBuf::from("a.yaml"), APPLICATION.as_bytes().to_vec())]);
    assert_eq!(read.expect("it is right").len(), 1);
    Published::parse(PUBLISHED.as_bytes()).expect("it is right");
    serde_json::from_str::<Record>(RECORD).expect("it is right");
    serde_json::from_str::<Request>(REQUEST).expect("it is right");
    serde_json::from_str::<Answer>(ANSWER).expect("it is right");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_they_are_read_or_refused(edits in prop::collection::vec((any::<Index>(), 0..16_usize, any::<u8>()), 1..6)) {
        let files = [(PathBuf::from("a.yaml"), damage(APPLICATION, &edits))];
        if let Err(error) = parse_files(Path::new("."), &files) {
            prop_assert!(!error.to_string().is_empty());
        }
        let _ = Published::parse(&damage(PUBLISHED, &edits));
        let _ = serde_json::from_slice::<Acknowledged>(&damage(PUBLISHED, &edits));
        let _ = serde_json::from_slice::<Record>(&damage(RECORD, &edits));
        let _ = serde_json::from_slice::<Request>(&damage(REQUEST, &edits));
        let _ = serde_json::from_slice::<Answer>(&damage(ANSWER, &edits));
    }
}
