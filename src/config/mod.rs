//! Flags, environment, files and the state folder, turned into values before anything is done.
//!
//! It checks what people wrote and nothing else: no engine is asked, no repository is opened.

mod application;
mod compose;
mod document;
mod error;
mod flag;
mod forge;
mod reload;
mod select;
pub mod state;

pub use application::{Application, Forge, ForgeKind, INTERVAL};
pub use document::API_VERSION_LINE;
pub use error::Error;
pub use flag::{Flags, Http, LogFormat};
pub use reload::{Changes, Configured};
pub use select::{ApplicationFlags, AuthFlags, Checked, EnforceFlag, SettingFlags, check, parse_files, read};
pub use state::State;
