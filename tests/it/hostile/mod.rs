//! A repository that is meant to hurt, or to reach what is not its own, against the whole program: `check`, `review`
//! and a running agent. Each attack ends in a finding with its place, within seconds and bounded memory; nothing of
//! it reaches a terminal raw; and the other applications go on.
//!
//! None of this needs an engine: one that has nothing is played.

mod attack;
mod command;
mod engine;
mod running;

use std::time::Duration;

/// What a process may have in memory at most, in KiB. The program that is tested is not optimised, which needs more.
const MOST_MEMORY: u64 = 300 << 10;
/// How long an attack may keep anybody busy on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many folders in each other; no disk would have them.
const DEEP: usize = 100_000;

/// A value of the environment of the program, which no repository may learn.
const CANARY: (&str, &str) = ("HOSTILE_CANARY", "hunter2-4711");

/// Returns the most memory that a process has had so far, in KiB; `None` when it has ended.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Returns why a terminal would take any of this for more than text and lines, or what of it nobody may learn.
fn harm(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let raw = said.char_indices().find(|(_, c)| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c));
    if let Some((at, character)) = raw {
        let line = said[..at].rsplit('\n').next().unwrap_or_default();
        return Some(format!("says {character:?} after {line:?}"));
    }
    said.find(CANARY.1).map(|at| format!("tells a value of the agent's environment: {}", &said[at.saturating_sub(200)..at]))
}
