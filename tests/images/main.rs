//! Images of Debian's real packages, without booting them: equal to what apt and dpkg make,
//! the same bytes in other environments, and judged by the validators of each format, which
//! come from the lock as all tools do. The archive must be reachable.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../project/mod.rs"]
mod project;
#[path = "../reference/mod.rs"]
mod reference;
#[path = "../tools/mod.rs"]
mod tools;

mod diff;
mod equality;
mod flake;
mod hidden_tools;
mod image_tools;
mod interrupt;
mod refused;
mod reproducible;
mod resolver;
mod sbom;
mod seed;
mod shell;
