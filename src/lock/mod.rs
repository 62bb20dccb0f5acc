//! lock

pub mod ar;
pub mod archives;
pub mod builtin;
pub mod control;
pub mod date;
pub mod deb;
pub mod depends;
pub mod fetch;
pub mod file;
mod file_read;
pub mod ids;
pub mod mirror;
pub mod openpgp;
pub mod packages;
pub mod pool;
pub mod release;
pub mod resolver;
mod solver;
pub mod universe;
pub mod unpack;
pub mod update;
pub mod version;
