//! `site.toml`, laid over the architectures before any check, and what it says about itself.

pub(crate) mod additions;
pub(crate) mod check;
pub(crate) mod external;
pub(crate) mod overrides;
pub(crate) mod ssh_key;
