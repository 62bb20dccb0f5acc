//! From what is written to the model: the first thing that is wrong, with its place.

pub(crate) mod addresses;
pub(crate) mod admin;
pub(crate) mod architecture;
pub(crate) mod context;
pub(crate) mod dhcp;
pub(crate) mod includes;
pub(crate) mod outside;
pub(crate) mod pairs;
pub(crate) mod prefixes;
pub(crate) mod role;
pub(crate) mod routed;
pub(crate) mod server;
pub(crate) mod settings;
