//! From the names of packages to verified `.deb`s: the lock and the pool.
//!
//! In the order that data goes: [`mirror`] says where the archives are, [`fetch`]
//! gets files, [`archives`] verifies Release files and indexes, [`universe`] and
//! [`resolver`] choose packages as apt does, [`update`] makes a lock ([`mod@file`])
//! from them, [`pool`] holds the `.deb`s it names, [`deb`] and [`unpack`] read
//! them. Nothing that is fetched is believed before a signature or a digest
//! vouches for it, and no host's name gets into a lock.

pub mod ar;
pub mod archives;
pub mod builtin;
mod cleartext;
pub mod control;
pub mod date;
pub mod deb;
pub mod depends;
mod external;
pub mod fetch;
pub mod file;
mod file_read;
pub mod ids;
pub mod mirror;
pub mod openpgp;
pub mod packages;
mod pins;
pub mod pool;
pub mod proxy;
pub mod release;
pub mod resolver;
mod solver;
mod stale;
pub mod universe;
pub mod unpack;
pub mod update;
pub mod version;
mod whole_urls;
mod why;
pub(crate) mod xz;

pub use archives::{Archives, Suite};
pub use fetch::{Fetcher, Patience};
pub use file::{ESSENTIAL, Lock, LockedPackage, Requests, Set};
pub use ids::{Ids, allocate_ids};
pub use mirror::Mirrors;
pub use openpgp::TrustAnchors;
pub use pool::{Outcome, Pool};
pub use update::{Change, Policy, resolve};
