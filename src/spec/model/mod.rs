//! The checked spec: what everything else uses. Names resolve, addresses are in their networks,
//! ports and files have one owner.

pub(crate) mod architecture;
pub(crate) mod limits;
pub(crate) mod role;
pub(crate) mod settings;
pub(crate) mod site;
pub(crate) mod units;
