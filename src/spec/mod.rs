//! The spec: what the project's TOML files say, checked.
//!
//! Files -> `Tree` -> raw serde types -> `Spec`. Only `tree.rs` touches the disk;
//! all else is a pure function of the tree, and every error points at a line.

mod additions;
mod addresses;
mod admin;
mod beside;
mod dhcp;
mod embedded;
mod includes;
mod limits;
mod load;
mod model;
mod outside;
mod overrides;
mod pairs;
mod prefixes;
mod raw;
mod raw_site;
mod role;
mod role_checks;
mod settings;
mod site;
pub(crate) mod source;
mod ssh_key;
mod tree;
mod units;
mod validate;
mod validate_server;

pub use model::{
    Addresses, Architecture, Boot, Cache, Data, DataDisk, Disk, Endpoints, Floating, Network,
    OnFailure, Order, Purpose, Server, Spec, Target, Targets, Timers, Via,
};
pub use role::{
    Bind, Check, Credential, From, Install, IpVersion, Kind, Port, Protocol, Role, Scope, Unit,
    Validator,
};
pub use settings::{Nat, Replication, StaticFiles};
pub use site::{AptSource, Site};
pub use tree::{Tree, TreeFile};
pub use units::{Mode, Prefix, Size};

/// The role in which credentials, the firewall and the network configuration live.
pub const BASE_ROLE: &str = "base";
/// The role that brings munin-node; other roles' plugins count where it is.
pub const MONITORED_ROLE: &str = "monitored";
/// The role that serves the static files of the site, and nothing else of it.
pub const STATIC_ROLE: &str = "static-web";
/// The role of two databases that follow each other.
pub const REPLICATION_ROLE: &str = "replication";
/// The role of servers that end TLS for visitors.
pub const HTTPS_ROLE: &str = "https";
/// Where the site lies in the project; its static files are chosen from here.
pub const SITE_FOLDER: &str = "overlays/web/var/www/site";
/// The file that balancers ask every web server for.
pub const SERVERCHECK: &str = "overlays/web/usr/share/imagebuild/www/servercheck.txt";
