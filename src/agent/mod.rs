//! The loop: wake, read, plan, audit, start steps, publish. It decides nothing that the core can decide.

pub mod protocol;
