//! lock

pub mod control;
pub mod date;
pub mod depends;
pub mod openpgp;
pub mod packages;
pub mod release;
pub mod version;
