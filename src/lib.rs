//! imagebuild: compiles one server of a small web architecture into a bootable,
//! immutable, reproducible Debian image.
//!
//! Data flows one way: spec -> lock -> plan -> rootfs -> image -> build -> project ->
//! qemu -> netsim -> client -> runner | flash.
//! A module uses only earlier ones and the shared modules error, exec, fs, names, threads,
//! progress; `tests/basic/imports.rs` holds it to that.

pub mod build;
pub mod cli;
pub mod client;
pub mod diff;
pub mod error;
pub mod exec;
pub mod explain;
pub mod flash;
pub mod fs;
#[cfg(test)]
#[path = "../tests/fuzzer/mod.rs"]
mod fuzzer;
pub mod graph;
pub mod image;
pub mod lock;
pub mod names;
pub mod netsim;
pub mod plan;
pub mod progress;
pub mod project;
pub mod qemu;
pub mod remote;
pub mod rootfs;
pub mod runner;
pub mod sandbox;
pub mod scenario;
pub mod seed;
pub mod spec;
pub mod status;
pub mod store;
pub mod threads;
pub mod verify;
