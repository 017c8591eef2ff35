//! All that people read: values on one side, text on the other. Nothing is decided here.

mod status;

pub use status::{ApplicationStatus, StatusReport};
