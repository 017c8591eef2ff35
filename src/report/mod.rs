//! All that people read: values on one side, text on the other. Nothing is decided here.
//!
//! One value, four looks: `text` for terminals, `json` for programs, `markdown` for reviews; `word` holds
//! the sentences that they share. Whatever comes from a manifest or a host is cleaned of control
//! characters before it is shown.

mod badge;
mod finding;
mod history;
mod json;
mod markdown;
mod paint;
mod plan;
mod review;
mod status;
mod text;
pub mod word;

pub use badge::{Badge, badge_json, badge_markdown, badge_svg};
pub use finding::findings_text;
pub use history::{HistoryEvent, HistoryReport, history_markdown, history_text};
pub use json::{VERSION, check_json, drift_json, history_json, plan_json, status_json};
pub use markdown::{check_markdown, drift_markdown, plan_markdown, status_markdown};
pub use paint::{Ink, Paint};
pub use plan::{Healed, PlanAnswer, PlanRound};
pub use review::{ApplicationReview, Interruption, LONGEST, LiveReview, ReviewReport, review_json, review_markdown, review_text};
pub use status::{ApplicationStatus, StatusReport};
pub use text::{drift_text, plan_text, status_text};

#[cfg(test)]
mod tests;
