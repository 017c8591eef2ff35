//! Repositories behind real servers: `git http-backend`, with and without TLS, and sshd.

mod http;
pub mod server;
mod several;
mod ssh;

use driftless::git::{Auth, Error, Location, Source};

use server::World;

/// Returns a source of the world, with a mirror of its own.
fn source(world: &World, url: &str, auth: Auth) -> Source {
    Source::new(&world.path("state"), Location::parse(url).expect("a location"), auth)
}

/// Tells whether tests may use servers that are not part of git.
#[allow(clippy::print_stderr, reason = "whoever reads the test output wants to know what was not tested")]
fn servers_or_skip() -> bool {
    let may = std::env::var("DRIFTLESS_TEST_DOCKER").as_deref() == Ok("1");
    if !may {
        eprintln!("skipped: needs sshd and openssl; set DRIFTLESS_TEST_DOCKER=1");
    }
    may
}

/// Writes an error as people see it, with what changes from run to run replaced.
fn told(what: &str, error: &Error, replaced: &[(&str, &str)]) -> String {
    let mut text = format!("{what}\n  error: {error}\n");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(&format!("  cause: {source}\n"));
        cause = source.source();
    }
    text.push_str(&format!("  hint: {}\n", error.hint().unwrap_or_default()));
    for (from, to) in replaced {
        text = text.replace(from, to);
    }
    text
}
