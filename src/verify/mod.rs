//! Same bytes, proven: the same images are built again from empty stores in other
//! surroundings, and compared step by step and byte by byte.
//!
//! The builds are runs of this very program, as a user would start it. What surrounds
//! them is in `surroundings.rs`, what is compared in `compare.rs`.

pub mod compare;
mod copy;
pub mod surroundings;

pub use compare::Difference;
pub use surroundings::{Surroundings, Where};
