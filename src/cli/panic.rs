//! A panic is a bug of ours, and is told as one.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use super::error::Error;
use super::exit::Exit;
use super::ui::Ui;

/// Says what a panic is instead of Rust's own words; `RUST_BACKTRACE` shows where it came from.
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        let ui = Ui::from_environment();
        ui.say(&message(info));
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            ui.say(&backtrace.to_string());
        }
    }));
}

/// Runs a command; a panic in it ends it with exit code 70.
pub(super) fn catch(command: impl FnOnce() -> Result<Exit, Error>) -> Result<Exit, Error> {
    // Nothing is looked at any more after a panic, so nothing can be seen half-done.
    panic::catch_unwind(AssertUnwindSafe(command)).unwrap_or(Ok(Exit::Bug))
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let text = info.payload_as_str().unwrap_or("without a message");
    format!(
        "error: this is a bug of driftless {}{place}\ncause: {text}\n\nhint: please report it with these lines; what runs goes on running, and it is safe to try again",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug_of_ours() {
        let exit = catch(|| panic!("invariant"));
        assert_eq!(exit.ok(), Some(Exit::Bug));
    }
}
