//! Tests of the whole: one binary, one module per subject.

mod arrows;
#[cfg(feature = "agent")]
mod browser;
#[cfg(feature = "agent")]
mod cli;
#[cfg(feature = "agent")]
mod compose;
#[cfg(feature = "agent")]
mod damaged;
#[cfg(feature = "agent")]
mod decision;
#[cfg(feature = "agent")]
mod docker;
#[cfg(feature = "agent")]
mod drift;
#[cfg(feature = "agent")]
mod engine;
mod example;
#[cfg(feature = "agent")]
mod fault;
#[cfg(feature = "agent")]
mod forge;
#[cfg(feature = "agent")]
mod hostile;
#[cfg(feature = "agent")]
mod project;
#[cfg(feature = "agent")]
mod registry;
#[cfg(feature = "agent")]
mod reload;
#[cfg(feature = "agent")]
mod remote;
#[cfg(feature = "agent")]
mod serve;
mod simulated;
