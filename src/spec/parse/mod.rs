//! The files as they are written: keys, types and spans.

pub(crate) mod architecture;
pub(crate) mod role;
pub(crate) mod site;
