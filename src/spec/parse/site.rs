//! `site.toml` as it is written: what the user says about the site, laid over the
//! architectures. Every key is optional; `site.schema.json` says the same to editors.

use crate::spec::model::limits;
use crate::spec::model::units::{Prefix, Size};
use crate::spec::parse::architecture::{Named, RawAddresses, RawDiskChange, RawTimers};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use toml::Spanned;

/// `site.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawSite {
    /// The site's name, shown by the demo site.
    pub name: Option<Spanned<String>>,
    /// The DNS names of the site; all of them stand in the certificate.
    #[serde(default)]
    pub domains: Vec<Spanned<String>>,
    /// IMAGE_VERSION of os-release.
    pub version: Option<Spanned<String>>,
    /// The folder with the website, next to this file; else the demo site is served.
    pub content: Option<Spanned<String>>,
    /// The folder below `content` that visitors see; all of it, if not said.
    pub web_root: Option<Spanned<String>>,
    /// The Debian mirror to fetch from.
    pub mirror: Option<Spanned<String>>,
    /// Debian packages on every server.
    #[serde(default)]
    pub packages: Vec<Spanned<String>>,
    /// `.deb` files, or folders with some, next to this file.
    #[serde(default)]
    pub debs: Vec<Spanned<String>>,
    /// `[sources.<name>]`: archives other than Debian's.
    #[serde(default)]
    pub sources: Named<RawSource>,
    /// `[admin]`.
    pub admin: Option<RawAdmin>,
    /// Instead of the architecture's.
    pub dns: Option<Vec<Spanned<IpAddr>>>,
    /// Instead of the architecture's.
    pub ntp: Option<Vec<Spanned<String>>>,
    /// Instead of the architecture's, key by key.
    pub timers: Option<RawTimers>,
    /// `[disk]`: instead of the architecture's, key by key.
    pub disk: Option<Spanned<RawDiskChange>>,
    /// `[database]`: the volume for data, on every server that has one.
    pub database: Option<RawDatabase>,
    /// `[roles.<name>]`.
    #[serde(default)]
    pub roles: Named<RawRoleChange>,
    /// `[architectures.<name>]`: addresses instead of the book's, servers beside them.
    #[serde(default)]
    pub architectures: Named<RawOverride>,
}

/// `[admin]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawAdmin {
    /// The user's name, instead of the architecture's.
    pub user: Option<Spanned<String>>,
    /// Lines as in authorized_keys.
    #[serde(default)]
    pub keys: Vec<Spanned<String>>,
    /// Networks over which SSH is offered, on servers that are attached to them.
    pub ssh: Option<Vec<Spanned<String>>>,
    /// Who may come over them, besides their own addresses.
    #[serde(default)]
    pub from: Vec<Prefix>,
}

/// `[database]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawDatabase {
    /// The least space for data; the smallest disk grows with it.
    #[serde(default, deserialize_with = "limits::some_database")]
    pub size: Option<Size>,
    /// `rest`, or the second disk as a stable name.
    pub disk: Option<Spanned<String>>,
}

/// `[sources.<name>]`: an archive that is signed by a key of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawSource {
    /// The archive's root: below it are `dists/` and `pool/`.
    pub url: Spanned<String>,
    /// The suite, or its code name.
    pub suite: Spanned<String>,
    /// Parts of the suite; `main` if not said.
    pub components: Option<Vec<Spanned<String>>>,
    /// The file with the OpenPGP key that signs it, next to this file.
    pub key: Spanned<String>,
}

/// `[roles.<name>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawRoleChange {
    /// Debian packages on every server that has the role.
    #[serde(default)]
    pub packages: Vec<Spanned<String>>,
}

/// `[architectures.<name>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawOverride {
    /// `[architectures.<name>.networks.<network>]`: replaced key by key.
    #[serde(default)]
    pub networks: Named<RawNetworkChange>,
    /// `[architectures.<name>.addresses.<server>.<network>]`: replaced key by key.
    #[serde(default)]
    pub addresses: Named<Named<RawAddresses>>,
    /// `[architectures.<name>.floating.<floating>]`: replaced key by key.
    #[serde(default)]
    pub floating: Named<RawAddresses>,
    /// `[architectures.<name>.servers.<server>]`: a server changed, or one more.
    #[serde(default)]
    pub servers: Named<RawServerChange>,
    /// `[architectures.<name>.cache]`: the application's cache, on servers that have it.
    pub cache: Option<RawCache>,
    /// Whether servers without a public address get a way out; only where the
    /// architecture has a `[nat]`.
    pub nat: Option<Spanned<bool>>,
}

/// `[architectures.<name>.cache]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawCache {
    /// How long the demo site keeps what it read.
    pub seconds: u32,
}

/// `[architectures.<name>.servers.<server>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawServerChange {
    /// One more server, with all that this one has but its addresses.
    pub like: Option<Spanned<String>>,
    /// One more server, with these roles.
    pub roles: Option<Spanned<Vec<Spanned<String>>>>,
    /// Roles besides those that it has.
    #[serde(default)]
    pub add_roles: Vec<Spanned<String>>,
    /// Debian packages besides those of its roles.
    #[serde(default)]
    pub packages: Vec<Spanned<String>>,
    /// MariaDB's server-id.
    pub server_id: Option<Spanned<u32>>,
    /// Networks over which SSH is offered, instead of `[admin] ssh`.
    pub ssh: Option<Vec<Spanned<String>>>,
    /// Sizes that differ.
    pub disk: Option<Spanned<RawDiskChange>>,
}

/// As `[networks.<name>]`, all optional.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNetworkChange {
    /// The IPv4 network.
    pub v4: Option<Spanned<Prefix>>,
    /// The IPv6 network, or `"none"`: then the network has no IPv6.
    pub v6: Option<Spanned<String>>,
    /// Addresses by DHCP and router advertisements.
    pub dhcp: Option<Spanned<bool>>,
    /// All packets go through the gateway; each server has its address by itself.
    pub routed: Option<Spanned<bool>>,
    /// The IPv4 gateway.
    pub gateway_v4: Option<Spanned<Ipv4Addr>>,
    /// The IPv6 gateway.
    pub gateway_v6: Option<Spanned<Ipv6Addr>>,
    /// The MTU.
    #[serde(default, deserialize_with = "limits::mtu")]
    pub mtu: Option<u16>,
}
