//! Git is the truth; the Docker host follows.
//!
//! `ARCHITECTURE.md` draws the house. The rooms here are listed from the ground up, and a room names
//! only rooms above it in this list; `tests/it/arrows.rs` holds the table.

// The core: plain values and functions. No clock, no IO, no randomness.
pub mod desired;
pub mod finding;
pub mod hash;
pub mod host;
pub mod manifest;
pub mod name;
pub mod observed;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod review;
pub mod sim;
pub mod time;
pub mod traffic;

// The shell: talks to the world, decides nothing.
#[cfg(feature = "agent")]
pub mod docker;
#[cfg(feature = "agent")]
pub mod git;
#[cfg(feature = "agent")]
pub mod metric;
#[cfg(feature = "agent")]
pub mod policy;
#[cfg(feature = "agent")]
pub mod probe;
#[cfg(feature = "agent")]
pub mod serve;
#[cfg(feature = "agent")]
pub mod store;

#[cfg(feature = "agent")]
pub mod config;

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "agent")]
pub mod cli;
#[cfg(feature = "agent")]
pub mod forge;
#[cfg(feature = "agent")]
pub mod http;
