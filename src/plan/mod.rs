//! The plan: pure functions from the spec and the lock to every file, the disk
//! map and the steps of an image. Nothing here touches a disk or a network.

pub(crate) mod agent;
mod common;
pub mod guid;
pub mod layout;
pub mod render;
mod render_context;
mod render_credentials;
mod render_firewall;
mod render_floating;
mod render_generated;
mod render_includes;
mod render_networks;
mod render_units;
pub mod server;
pub mod step;

pub use render_firewall::sockets;
