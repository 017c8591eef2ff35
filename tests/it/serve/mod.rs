//! The data path against real network namespaces: fronts and replicas are containers of a bridge
//! network, `serve` runs in this process, and clients ask from the host and from containers.

mod dns;
mod front;
mod process;
mod world;
