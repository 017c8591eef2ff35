//! The promises, shown against a host that does not mean well: an engine whose calls fail, an agent
//! that is killed in the middle of any of them.

mod bad;
mod broken;
mod canary;
mod disk;
mod engine;
mod hang;
mod kill;
mod manifest;
mod proxy;
mod world;
