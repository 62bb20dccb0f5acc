//! Why: what a build would make again, and what brought a package or a file into an
//! image. Reads the spec, the lock, the plan, and what the last build wrote down;
//! changes nothing but that note.

pub mod changes;
pub mod file;
pub mod package;
pub mod record;
pub mod steps;
