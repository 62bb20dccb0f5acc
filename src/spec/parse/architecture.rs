//! `images/archN.toml` as it is written: keys, types and spans, nothing checked.
//!
//! Every key is documented here. What must be pointed at later (an address outside
//! its network, an unknown role) keeps its span.

use crate::spec::model::architecture::{Boot, Endpoints, Purpose, Via};
use crate::spec::model::limits;
use crate::spec::model::settings::{Replication, StaticFiles};
use crate::spec::model::units::{Prefix, Size};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use toml::Spanned;

/// A table whose keys are names that the author chose.
pub(crate) type Named<T> = BTreeMap<Spanned<String>, T>;

/// One architecture: `images/<name>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawArchitecture {
    /// One line that says what the architecture is.
    pub title: String,
    /// `[networks.<name>]`: the Ethernet segments.
    pub networks: Named<RawNetwork>,
    /// `[servers.<name>]`: the machines.
    pub servers: Named<RawServer>,
    /// `[floating.<name>]`: addresses that move between servers.
    #[serde(default)]
    pub floating: Named<RawFloating>,
    /// `[endpoints]`: how the application reaches its databases and cache.
    pub endpoints: Spanned<Endpoints>,
    /// `[disk]`: sizes of the partitions, for all servers.
    pub disk: Spanned<RawDisk>,
    /// `[access]`: who may log in, and over which networks.
    pub access: RawAccess,
    /// Addresses of DNS servers; with none, names are not resolved.
    #[serde(default)]
    pub dns: Vec<Spanned<IpAddr>>,
    /// Time servers for systemd-timesyncd.
    #[serde(default)]
    pub ntp: Vec<Spanned<String>>,
    /// `[timers]`: how fast faults are seen.
    #[serde(default)]
    pub timers: RawTimers,
    /// `[boot]`: what a server does that cannot start its system.
    #[serde(default)]
    pub boot: Boot,
    /// `[nat]`: a way out for servers without a public address.
    pub nat: Option<RawNat>,
    /// `[replication]`: how two databases follow each other.
    #[serde(default)]
    pub replication: Replication,
    /// `[static-files]`: what is served without asking the application.
    pub static_files: Option<Spanned<StaticFiles>>,
}

/// `[networks.<name>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNetwork {
    /// The interface on every server that is attached: `eth0`.
    pub interface: Spanned<String>,
    /// The IPv4 network; only one with `dhcp` or `routed` may lack it.
    pub v4: Option<Spanned<Prefix>>,
    /// The IPv6 network; with none, the network has no IPv6.
    pub v6: Option<Spanned<Prefix>>,
    /// Whether the servers' addresses come from the network itself: IPv4 by DHCP, IPv6
    /// by router advertisements. Nobody knows them before.
    pub dhcp: Option<Spanned<bool>>,
    /// Whether it is no Ethernet: all packets go through the gateway, which alone is asked for
    /// by ARP and may be outside the network. Each server has its address by itself (a /32).
    pub routed: Option<Spanned<bool>>,
    /// The IPv4 gateway, if this network leads further.
    pub gateway_v4: Option<Spanned<Ipv4Addr>>,
    /// The IPv6 gateway; a link-local address is fine.
    pub gateway_v6: Option<Spanned<Ipv6Addr>>,
    /// The MTU, if it is not 1500.
    #[serde(default, deserialize_with = "limits::mtu")]
    pub mtu: Option<u16>,
}

/// `[servers.<name>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawServer {
    /// The roles, in the order in which the book's diagrams name them.
    pub roles: Vec<Spanned<String>>,
    /// `[servers.<name>.addresses.<network>]`.
    pub addresses: Named<RawAddresses>,
    /// MariaDB's server-id; unique within the architecture.
    pub server_id: Option<Spanned<u32>>,
    /// Networks over which SSH is offered, instead of `[access] ssh`.
    pub ssh: Option<Vec<Spanned<String>>>,
    /// Sizes that differ from the architecture's `[disk]`.
    pub disk: Option<Spanned<RawDiskChange>>,
    /// The volume for data, on servers that have one.
    pub data: Option<Spanned<RawData>>,
    /// Debian packages besides those of its roles.
    #[serde(default)]
    pub packages: Vec<Spanned<String>>,
}

/// The addresses of a server in one network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawAddresses {
    /// IPv4.
    pub v4: Option<Spanned<Ipv4Addr>>,
    /// IPv6.
    pub v6: Option<Spanned<Ipv6Addr>>,
}

/// `[floating.<name>]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFloating {
    /// The network it lives in.
    pub network: Spanned<String>,
    /// IPv4.
    pub v4: Option<Spanned<Ipv4Addr>>,
    /// IPv6.
    pub v6: Option<Spanned<Ipv6Addr>>,
    /// Servers that may hold it, the preferred first (it is not taken back, though).
    pub holders: Vec<Spanned<String>>,
    /// What is reached through it: `web`, `database-reads`, `database-writes`.
    pub purpose: Purpose,
    /// VRRP's virtual router number, 1 to 255; LVS marks packets with it, too.
    pub router_id: Spanned<u8>,
    /// `bind`: a program on the holder listens on it; `direct-routing`: LVS hands
    /// connections on to the real servers.
    #[serde(default)]
    pub via: Via,
    /// LVS' real servers, for `direct-routing`.
    #[serde(default)]
    pub real_servers: Vec<Spanned<String>>,
}

/// `[disk]`; it may be smaller than a site's own sizes: tests build tiny images.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawDisk {
    /// EFI system partition: boot loader, kernels.
    pub esp: Size,
    /// One slot's packages layer (there are two slots).
    pub packages: Size,
    /// One slot's configuration layer.
    pub configuration: Size,
    /// Secrets and facts of the machine.
    pub seed: Size,
    /// `/var`, before it grows.
    pub state: Size,
    /// The smallest disk that the image fits on; the image file has this size.
    pub smallest: Size,
}

/// `[servers.<name>.disk]`: as `[disk]`, all optional.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawDiskChange {
    #[serde(default, deserialize_with = "limits::partition")]
    pub esp: Option<Size>,
    #[serde(default, deserialize_with = "limits::partition")]
    pub packages: Option<Size>,
    #[serde(default, deserialize_with = "limits::partition")]
    pub configuration: Option<Size>,
    #[serde(default, deserialize_with = "limits::partition")]
    pub seed: Option<Size>,
    #[serde(default, deserialize_with = "limits::partition")]
    pub state: Option<Size>,
    #[serde(default, deserialize_with = "limits::partition")]
    pub smallest: Option<Size>,
}

/// `[servers.<name>.data]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawData {
    /// `rest`: a partition on the rest of the boot disk; else the second disk, as
    /// a stable name: `/dev/disk/by-id/...` or `/dev/vdb`.
    pub disk: Spanned<String>,
    /// The least space that is worth starting with.
    #[serde(deserialize_with = "limits::database")]
    pub smallest: Size,
}

/// `[access]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawAccess {
    /// The user who logs in by SSH key and may use sudo.
    pub admin: Spanned<String>,
    /// Networks over which SSH is offered.
    pub ssh: Vec<Spanned<String>>,
}

/// `[timers]`, in milliseconds where the name says so.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawTimers {
    /// Time between two VRRP advertisements; a takeover takes about 3.6 of them.
    #[serde(default, deserialize_with = "limits::advert")]
    pub vrrp_advert_ms: Option<u32>,
    /// Time between two checks of a back-end web server.
    #[serde(default, deserialize_with = "limits::some_milliseconds")]
    pub check_ms: Option<u32>,
    /// Failed checks until a server leaves the pool.
    #[serde(default, deserialize_with = "limits::times")]
    pub check_fall: Option<u32>,
    /// Good checks until it returns.
    #[serde(default, deserialize_with = "limits::times")]
    pub check_rise: Option<u32>,
    /// Time until an attempt to reach a back-end or a database is given up.
    #[serde(default, deserialize_with = "limits::some_milliseconds")]
    pub connect_ms: Option<u32>,
}

/// `[nat]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawNat {
    /// The server whose public address the others share.
    pub through: Spanned<String>,
    /// Off until it is asked for, here or with `nat = true` in `site.toml`.
    #[serde(default)]
    pub enabled: bool,
}
