//! The port over the Docker API, against a real engine.

mod address;
mod away;
mod change;
mod compose;
mod content;
mod event;
mod failure;
mod fields;
mod foreign;
mod hook;
mod life;
mod registry;
mod timed;
