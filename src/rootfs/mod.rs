//! From `.deb`s to the packages tree: the real dpkg and the real maintainer
//! scripts, in a sandbox that has nothing of the host.
//!
//! What comes out equals what apt and dpkg make of the same packages, but for
//! the list in `exceptions.rs`; `tests/images/equality.rs` holds it to that.

pub mod exceptions;
pub mod ids;
pub mod order;
mod tree;

pub use tree::{Deb, Tree, finish};
