//! All that people read: values on one side, text on the other. Nothing is decided here.

mod plan;
mod status;

pub use plan::{PlanAnswer, PlanRound};
pub use status::{ApplicationStatus, StatusReport};
