//! The port over the Docker API, against a real engine.

mod fields;
mod life;
