//! Compose projects on a real engine, kept by the real binary.
//!
//! Tests that need an engine run only with `DRIFTLESS_TEST_DOCKER=1`, because they make containers.

mod change;
mod prune;
mod rollout;
mod tool;
