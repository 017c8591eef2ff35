//! Flags, environment, files and the state folder, turned into values before anything is done.
//!
//! It checks what people wrote and nothing else: no engine is asked, no repository is opened.

mod flag;
pub mod state;

pub use flag::{Flags, LogFormat};
pub use state::State;
