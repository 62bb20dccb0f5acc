//! Same bytes, proven: the same images are built again from empty stores in other
//! environments, and compared step by step and byte by byte.
//!
//! The builds are runs of this very program, as a user would start it. What surrounds
//! them is in `environment.rs`, what is compared in `compare.rs`.

pub mod compare;
mod copy;
pub mod environment;

pub use compare::Difference;
pub use environment::{Environment, Where};
