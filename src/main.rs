//! The program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Several libraries speak TLS and none chooses how; this is the first choice, so it counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    driftless::cli::run(std::env::args_os()).into()
}
