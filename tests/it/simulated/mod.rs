//! Tests on the simulated host: the real planner and reconciler, and no Docker.

pub mod build;
mod life;
mod property;
mod rest;
mod round;
mod script;
mod world;
