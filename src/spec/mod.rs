//! The spec: what the project's TOML files say, checked.
//!
//! Files -> `Tree` -> `parse` -> `check` -> `model`, with `site` laid over what was parsed. Only
//! `tree.rs` and `site/external.rs` touch the disk; all else is a pure function of the tree, and
//! every error points at a line.

mod check;
mod embedded;
mod load;
mod model;
mod parse;
mod site;
pub(crate) mod source;
mod tree;

pub use model::architecture::{
    Addresses, Architecture, Boot, Cache, Data, DataDisk, Disk, Endpoints, Floating, Network,
    OnFailure, Order, Purpose, Server, Spec, Target, Targets, Timers, Via,
};
pub use model::role::{
    Bind, Check, Credential, From, Install, IpVersion, Kind, Port, Protocol, Role, Scope, Unit,
    Validator,
};
pub use model::settings::{Nat, Replication, StaticFiles};
pub use model::site::{AptSource, Site};
pub use model::units::{Mode, Prefix, Size};
pub use site::ssh_key::wrong as wrong_ssh_key;
pub use tree::{Tree, TreeFile};

/// The role in which credentials, the firewall and the network configuration live.
pub const BASE_ROLE: &str = "base";
/// The role that brings munin-node; other roles' plugins count where it is.
pub const MONITORED_ROLE: &str = "monitored";
/// The role that serves the static files of the site, and nothing else of it.
pub const STATIC_ROLE: &str = "static-web";
/// The role of two databases that follow each other.
pub const REPLICATION_ROLE: &str = "replication";
/// The role of a server that votes on which of the two takes writes, and has no data.
pub const WITNESS_ROLE: &str = "witness";
/// The role of servers that end TLS for visitors.
pub const HTTPS_ROLE: &str = "https";
/// Where the site lies in the project; its static files are chosen from here.
pub const SITE_FOLDER: &str = "overlays/web/var/www/site";
/// The file that balancers ask every web server for.
pub const SERVERCHECK: &str = "overlays/web/usr/share/imagebuild/www/servercheck.txt";
