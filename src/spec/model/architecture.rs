//! The validated spec: architectures, servers, networks, floating addresses.
//!
//! A value of these types has passed every check of `validate.rs`: names resolve,
//! addresses are in their networks, ports and files have one owner.

use crate::error::{Error, Place, Result};
use crate::names;
use crate::spec::model::role::Role;
use crate::spec::model::settings::{Nat, Replication, StaticFiles};
use crate::spec::model::site::Site;
use crate::spec::model::units::{Prefix, Size};
use crate::spec::tree::Tree;
use crate::spec::{REPLICATION_ROLE, WITNESS_ROLE};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everything the project says.
#[derive(Debug, Clone)]
pub struct Spec {
    /// By name.
    pub architectures: BTreeMap<String, Architecture>,
    /// By name, those that no server uses as well.
    pub roles: BTreeMap<String, Role>,
    /// The user's own facts.
    pub site: Site,
    /// The project's files: overlays are rendered from here.
    pub tree: Tree,
    /// Where each package is asked for first.
    pub asked: BTreeMap<String, Place>,
    /// Packages of the user's own, as paths below the project, sorted.
    pub debs: Vec<String>,
}

impl Spec {
    /// The architecture `name`.
    ///
    /// # Errors
    /// With the nearest names.
    pub fn architecture(&self, name: &str) -> Result<&Architecture> {
        self.architectures.get(name).ok_or_else(|| {
            let known = self.architectures.keys().map(String::as_str);
            let with_server = |one: &&Architecture| one.servers.contains_key(name);
            let of: Vec<&str> =
                self.architectures.values().filter(with_server).map(|one| &*one.name).collect();
            let hint = match of.first() {
                None => names::suggest(name, known),
                Some(first) => {
                    let of = of.join(", ");
                    format!("`{name}` is a server of {of}: `imagebuild {first} --server {name}`")
                }
            };
            Error::input(format!("there is no architecture `{name}`")).hint(hint)
        })
    }

    /// The roles of a server, in its order.
    pub fn roles_of<'a>(&'a self, server: &'a Server) -> impl Iterator<Item = &'a Role> + Clone {
        server.roles.iter().filter_map(|role| self.roles.get(role))
    }

    /// The packages that a server asks for, sorted, each once.
    pub fn packages<'a>(&'a self, server: &'a Server) -> BTreeSet<&'a str> {
        let of_roles = self.roles_of(server).flat_map(|role| &role.packages);
        of_roles.chain(&server.packages).map(String::as_str).collect()
    }
}

/// One architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Architecture {
    /// `arch4`.
    pub name: String,
    /// One line.
    pub title: String,
    /// By name.
    pub networks: BTreeMap<String, Network>,
    /// By name.
    pub servers: BTreeMap<String, Server>,
    /// By name.
    pub floating: BTreeMap<String, Floating>,
    /// How the application reaches its databases.
    pub endpoints: Endpoints,
    /// The user who may log in.
    pub admin: String,
    /// DNS servers.
    pub dns: Vec<IpAddr>,
    /// Time servers.
    pub ntp: Vec<String>,
    /// How fast faults are seen.
    pub timers: Timers,
    /// What a server does that cannot start its system.
    pub boot: Boot,
    /// A way out for servers without a public address.
    pub nat: Option<Nat>,
    /// How two databases follow each other.
    pub replication: Replication,
    /// What is served without asking the application.
    pub static_files: StaticFiles,
}

/// What the initramfs does after it has said why it cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Boot {
    /// Try again, or wait for a person.
    pub on_failure: OnFailure,
    /// How long the message stays before a reboot.
    pub reboot_after_seconds: u32,
}

impl Default for Boot {
    /// Servers are far away: they try again, after time to read the message.
    fn default() -> Boot {
        Boot { on_failure: OnFailure::Reboot, reboot_after_seconds: 60 }
    }
}

impl Boot {
    /// As the initramfs reads it: `imagebuild.failure=`.
    pub fn argument(&self) -> String {
        match self.on_failure {
            OnFailure::Reboot => format!("imagebuild.failure=reboot:{}", self.reboot_after_seconds),
            OnFailure::Stop => "imagebuild.failure=stop".to_owned(),
        }
    }
}

/// See [`Boot`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Reboot after a while.
    Reboot,
    /// Stop until someone resets the machine.
    Stop,
}

impl Architecture {
    /// The server `name`.
    ///
    /// # Errors
    /// With the nearest names.
    pub fn server(&self, name: &str) -> Result<&Server> {
        self.servers.get(name).ok_or_else(|| {
            Error::input(format!("{} has no server `{name}`", self.name))
                .hint(names::suggest(name, self.servers.keys().map(String::as_str)))
        })
    }

    /// The servers that have a role.
    pub fn with_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Server> {
        self.servers.values().filter(move |server| server.has_role(role))
    }

    /// The floating addresses with a purpose.
    pub fn floating_for(&self, purpose: Purpose) -> impl Iterator<Item = &Floating> {
        self.floating.values().filter(move |floating| floating.purpose == purpose)
    }
}

/// An Ethernet segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// `public`, `private`.
    pub name: String,
    /// `eth0`.
    pub interface: String,
    /// The IPv4 network; unknown with `dhcp`, perhaps none with `routed`.
    pub v4: Option<Prefix>,
    /// The IPv6 network, if it has IPv6; unknown with `dhcp`, perhaps none with `routed`.
    pub v6: Option<Prefix>,
    /// Whether its addresses are given by DHCP and router advertisements.
    pub dhcp: bool,
    /// Whether all packets go through the gateway, and each address is by itself.
    pub routed: bool,
    /// Where it leads further.
    pub gateway_v4: Option<Ipv4Addr>,
    /// Where it leads further.
    pub gateway_v6: Option<Ipv6Addr>,
    /// If not the default.
    pub mtu: Option<u16>,
}

impl Network {
    /// The length of the prefix with which a server has this address on its interface; nothing
    /// where only the network knows.
    pub fn length(&self, address: IpAddr) -> Option<u8> {
        let prefix = if address.is_ipv4() { self.v4 } else { self.v6 };
        match self.routed {
            true if address.is_ipv4() => Some(32),
            true => Some(128),
            false => prefix.map(|prefix| prefix.length),
        }
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// `web1`, also its host name.
    pub name: String,
    /// IMAGE_ID of os-release: `arch4-web1`.
    pub image_id: String,
    /// IMAGE_VERSION of os-release.
    pub image_version: String,
    /// Names of its roles, those that others include before them.
    pub roles: Vec<String>,
    /// Debian packages besides those of its roles, sorted.
    pub packages: BTreeSet<String>,
    /// By network.
    pub addresses: BTreeMap<String, Addresses>,
    /// MariaDB's server-id.
    pub server_id: Option<u32>,
    /// Networks over which SSH is offered.
    pub ssh: Vec<String>,
    /// Sizes of its partitions.
    pub disk: Disk,
    /// Its data volume.
    pub data: Option<Data>,
}

impl Server {
    /// Whether it has the agent of a pair of databases: as one of them, or as their witness.
    pub fn has_agent(&self) -> bool {
        self.has_role(REPLICATION_ROLE) || self.has_role(WITNESS_ROLE)
    }

    /// Whether it has the role `name`.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role == name)
    }
}

impl Network {
    /// Its prefixes for people, IPv4's and IPv6's: `172.16.0.0/16` and `2001:db8::/64`.
    pub fn shown(&self) -> (String, String) {
        if !self.routed {
            return shown(self.v4, self.v6);
        }
        let through = |prefix: Option<Prefix>, gateway: Option<IpAddr>, none: &str| {
            let Some(gateway) = gateway else { return none.to_owned() };
            let prefix = prefix.map_or("single addresses".to_owned(), |prefix| prefix.to_string());
            format!("{prefix} through {gateway}")
        };
        let (four, six) = (self.gateway_v4.map(IpAddr::from), self.gateway_v6.map(IpAddr::from));
        (through(self.v4, four, "no IPv4"), through(self.v6, six, "no IPv6"))
    }
}

/// One machine's (or one floating) addresses in a network: all that the network has;
/// none where only the network knows them (`dhcp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// IPv4.
    pub v4: Option<Ipv4Addr>,
    /// IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// All that there are, IPv4 first.
    pub fn all(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (v4, v6) = (self.v4.map(IpAddr::from), self.v6.map(IpAddr::from));
        v4.into_iter().chain(v6)
    }

    /// For people, IPv4's and IPv6's: `172.16.0.11` and `2001:db8::ffff:11`.
    pub fn shown(&self) -> (String, String) {
        shown(self.v4, self.v6)
    }
}

/// There is IPv4 wherever it is not DHCP's.
fn shown(v4: Option<impl ToString>, v6: Option<impl ToString>) -> (String, String) {
    match (v4, v6) {
        (None, None) => ("by DHCP".to_owned(), "by router advertisements".to_owned()),
        (v4, v6) => {
            let text = |known: Option<String>| known.unwrap_or_else(|| "no IPv6".to_owned());
            (text(v4.map(|v4| v4.to_string())), text(v6.map(|v6| v6.to_string())))
        }
    }
}

/// An address that moves between servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Floating {
    /// Its name.
    pub name: String,
    /// The network it lives in.
    pub network: String,
    /// The addresses.
    pub addresses: Addresses,
    /// Servers that may hold it, the preferred first.
    pub holders: Vec<String>,
    /// What is reached through it.
    pub purpose: Purpose,
    /// VRRP's number; LVS marks packets with it, too.
    pub router_id: u8,
    /// How it is served.
    pub via: Via,
    /// LVS' real servers.
    pub real_servers: Vec<String>,
}

impl Floating {
    /// Whether packets to it may arrive at `server`: as its holder, or handed on by LVS.
    pub fn is_at(&self, server: &str) -> bool {
        self.holders.iter().chain(&self.real_servers).any(|name| name == server)
    }
}

/// What is reached through a floating address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The website.
    Web,
    /// Database reads, balanced.
    DatabaseReads,
    /// Database writes, on one server.
    DatabaseWrites,
}

/// How a floating address is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// A program on the holder listens on it.
    #[default]
    Bind,
    /// LVS on the holder hands connections on to the real servers.
    DirectRouting,
}

/// How the application reaches its databases and its cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Endpoints {
    /// Where reads go.
    pub reads: Targets,
    /// Where writes go.
    pub writes: Targets,
    /// The cache, if there is one.
    pub cache: Option<Cache>,
}

/// A list of places, and the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Targets {
    /// The places.
    pub from: Vec<Target>,
    /// Which comes first.
    #[serde(default)]
    pub order: Order,
}

/// The order in which targets are tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As listed.
    #[default]
    Listed,
    /// A random one first.
    Random,
}

/// A place where a database answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The server's own database, by its socket.
    Local,
    /// A server, by its private address.
    Server(String),
    /// A floating address, by name.
    Floating(String),
}

/// The application's cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cache {
    /// memcached's socket.
    pub socket: String,
    /// How long the demo site keeps what it read.
    pub seconds: u32,
}

/// Sizes of a server's partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// EFI system partition.
    pub esp: Size,
    /// One slot's packages layer.
    pub packages: Size,
    /// One slot's configuration layer.
    pub configuration: Size,
    /// Secrets and facts of the machine.
    pub seed: Size,
    /// `/var`.
    pub state: Size,
    /// The image file's size, and the smallest disk.
    pub smallest: Size,
}

impl Disk {
    /// What the partitions take: with room for the two tables, the BIOS boot partition,
    /// and for the data volume that the first boot makes if it is on this disk.
    pub fn needed(&self, data: Option<&Data>) -> u64 {
        let slots = 2 * (self.packages.bytes() + self.configuration.bytes());
        let others = self.esp.bytes() + self.seed.bytes() + self.state.bytes();
        let data = match data {
            Some(Data { disk: DataDisk::Rest, smallest }) => smallest.bytes(),
            Some(Data { disk: DataDisk::Second(_), .. }) | None => 0,
        };
        slots + others + data + 4 * Size::MIB
    }
}

/// The volume for data: LVM, made at first boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Data {
    /// Where it is.
    pub disk: DataDisk,
    /// The least space that is worth starting with.
    pub smallest: Size,
}

/// Where the data volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataDisk {
    /// Partition 9, on the rest of the boot disk.
    Rest,
    /// A whole second disk.
    Second(String),
}

/// How fast faults are seen; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timers {
    /// Between two VRRP advertisements.
    pub vrrp_advert_ms: u32,
    /// Between two checks of a back-end.
    pub check_ms: u32,
    /// Failed checks until it leaves the pool.
    pub check_fall: u32,
    /// Good checks until it returns.
    pub check_rise: u32,
    /// Until an attempt to connect is given up.
    pub connect_ms: u32,
}
