//! Tests of the whole: one binary, one module per subject.

mod build;
#[cfg(feature = "agent")]
mod cli;
#[cfg(feature = "agent")]
mod docker;
#[cfg(feature = "agent")]
mod engine;
mod life;
#[cfg(feature = "agent")]
mod serve;
