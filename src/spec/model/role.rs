//! `roles/<name>.toml`: what a building block of a server is made of.
//!
//! One set of types serves as written form and as model; the few values that are
//! checked against an architecture keep their span in `RawRole`.

use crate::spec::model::architecture::{Architecture, Purpose};
use crate::spec::model::units::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Role {
    /// `web`.
    pub name: String,
    /// One line.
    pub description: String,
    /// Roles that a server with this one has, too.
    pub includes: Vec<String>,
    /// Debian packages that are asked for by name.
    pub packages: Vec<String>,
    /// Networks that it needs.
    pub needs: Vec<String>,
    /// System users that the packages create.
    pub users: Vec<String>,
    /// System groups that the packages create.
    pub groups: Vec<String>,
    /// What is started at boot.
    pub units: Vec<Unit>,
    /// Units that can never start.
    pub masks: Vec<String>,
    /// What listens.
    pub ports: Vec<Port>,
    /// The folder below `overlays/`.
    pub overlay: Option<String>,
    /// Modes that are neither 0644 nor 0755, by path.
    pub modes: BTreeMap<String, Mode>,
    /// Symbolic links, path to target.
    pub links: BTreeMap<String, String>,
    /// Munin plugin links.
    pub munin: BTreeMap<String, String>,
    /// Paths below /var that belong to the slot.
    pub slot_var: Vec<String>,
    /// Secrets and facts of the machine.
    pub credentials: Vec<Credential>,
    /// Programs that validate the configuration at build time.
    pub validators: Vec<Validator>,
    /// Programs that validate a booted server.
    pub checks: Vec<Check>,
}

/// A unit that is started at boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unit {
    /// `nginx.service`.
    pub name: String,
    /// Which units pull it in, as in its `[Install]` section.
    #[serde(default = "multi_user")]
    pub wanted_by: Vec<String>,
    /// Other names, as in its `[Install]` section.
    #[serde(default)]
    pub aliases: Vec<String>,
}

fn multi_user() -> Vec<String> {
    vec!["multi-user.target".to_owned()]
}

/// Something that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Port {
    /// The name by which templates find its addresses: `http`.
    pub name: String,
    /// The number; VRRP has none.
    #[serde(default)]
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it listens.
    pub bind: Bind,
    /// Who may reach it; no one beyond the server itself, if empty.
    #[serde(default)]
    pub from: Vec<From>,
    /// Only in architectures in which some server has this role.
    pub with_role: Option<String>,
    /// Only in architectures in which no server has any of these roles.
    #[serde(default)]
    pub without_roles: Vec<String>,
    /// The one IP version that the program speaks, if it does not speak both.
    pub only: Option<IpVersion>,
}

impl Port {
    /// Whether the program listens on such an address.
    pub fn speaks(&self, address: &IpAddr) -> bool {
        match self.only {
            None => true,
            Some(IpVersion::V4) => address.is_ipv4(),
            Some(IpVersion::V6) => address.is_ipv6(),
        }
    }

    /// Whether the port is there in `architecture`.
    pub fn applies(&self, architecture: &Architecture) -> bool {
        let some_has = |role: &String| architecture.with_role(role).next().is_some();
        self.with_role.as_ref().is_none_or(some_has) && !self.without_roles.iter().any(some_has)
    }
}

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpVersion {
    /// 32 bits.
    V4,
    /// 128 bits.
    V6,
}

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// VRRP, protocol 112.
    Vrrp,
}

/// Where a port listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bind {
    /// On every address.
    All,
    /// On the loopback.
    Loopback,
    /// On the server's addresses in the networks that offer SSH.
    Access,
    /// On the server's addresses in a network.
    Network(String),
    /// On the floating addresses with a purpose.
    Floating(Purpose),
}

/// Who may reach a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// Everyone.
    Any,
    /// Everyone in the networks that offer SSH.
    Access,
    /// The other servers that have the port's own role.
    Peers,
    /// The other holders of this server's floating addresses in the network.
    CoHolders,
    /// Everyone in a network.
    Network(String),
    /// The servers that have a role.
    Role(String),
    /// One server.
    Server(String),
}

/// A secret, or a fact of one machine: a systemd credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Credential {
    /// The credential's name; `{network}` stands for each of the server's networks.
    pub name: String,
    /// How `imagebuild seed` makes it.
    pub kind: Kind,
    /// Whether all servers of an architecture share it.
    pub scope: Scope,
    /// One line for the console of a machine that lacks it.
    pub purpose: String,
    /// Where it is copied at boot.
    pub install: Option<Install>,
    /// Units that are skipped without it.
    #[serde(default)]
    pub needed_by: Vec<String>,
    /// Whether a machine is complete without it.
    #[serde(default)]
    pub optional: bool,
}

/// How `imagebuild seed` makes a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An OpenSSH private key, ed25519.
    SshHostKey,
    /// Random letters and digits.
    Password,
    /// A crypt(3) hash of a password that the user is shown once.
    PasswordHash,
    /// An htpasswd line for munin's pages.
    MuninHtpasswd,
    /// A certificate with its key, PEM, self-signed until the user brings one.
    TlsSelfSigned,
    /// A MAC address, given by the user.
    MacAddress,
    /// A number, given by whoever needs it.
    Number,
    /// Text, given by the user.
    Text,
}

/// Who shares a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Each server has its own.
    Server,
    /// All servers of the architecture have the same.
    Architecture,
}

/// Where a credential is copied at boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Install {
    /// The file.
    pub path: String,
    /// Its owner.
    pub owner: String,
    /// Its group.
    pub group: String,
    /// Its mode.
    pub mode: Mode,
}

/// A program that validates the configuration, run inside the finished root with the
/// server's links and addresses and dummy credentials where it asks for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Validator {
    /// `nginx -t` and its like; must end with exit code 0.
    pub argv: Vec<String>,
    /// Commands run first (their exit codes count too).
    #[serde(default)]
    pub prepare: Vec<Vec<String>>,
    /// Files of the image that it judges: an error names what they were made from.
    pub covers: Vec<String>,
    /// Files of the configuration that it reads, and folders, which end in a slash. It is
    /// shown nothing else, and runs again only when one of these changes. All of the
    /// configuration, where nothing is said.
    #[serde(default)]
    pub reads: Vec<String>,
    /// Whether it must find the server's links with their addresses. Where nothing is said
    /// of what it reads, it does.
    #[serde(default)]
    pub network: bool,
    /// Whether it must find credentials. Where nothing is said of what it reads, it does.
    #[serde(default)]
    pub secrets: bool,
}

impl Validator {
    /// Whether the server's links and addresses are there when it runs.
    pub fn has_network(&self) -> bool {
        self.network || self.reads.is_empty()
    }

    /// Whether dummy credentials are there when it runs.
    pub fn has_secrets(&self) -> bool {
        self.secrets || self.reads.is_empty()
    }

    /// Whether the file at `path` is there when it runs.
    pub fn is_shown(&self, path: &str) -> bool {
        let is_at = |entry: &String| match entry.strip_suffix('/') {
            Some(folder) => path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
            None => path == entry,
        };
        let mut shown = self.covers.iter().chain(&self.reads);
        self.reads.is_empty() || shown.any(is_at)
    }

    /// One line: which program judges what.
    pub fn summary(&self) -> String {
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let program = self.argv.first().map(name).unwrap_or_default();
        let first = self.covers.first().map_or("the configuration", String::as_str);
        match self.covers.len() {
            0 | 1 => format!("{program} validates {first}"),
            more => format!("{program} validates {first} and {} more", more - 1),
        }
    }
}

/// A program that validates a booted server; a new slot is good once all of them are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Check {
    /// What it proves.
    pub name: String,
    /// Must end with exit code 0.
    pub argv: Vec<String>,
    /// Credentials without which the check does not count.
    #[serde(default)]
    pub credentials: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Validator;

    fn validator(covers: &[&str], reads: &[&str]) -> Validator {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (argv, prepare) = (words(&["/usr/sbin/nginx", "-t"]), Vec::new());
        let (covers, reads) = (words(covers), words(reads));
        Validator { argv, prepare, covers, reads, network: false, secrets: false }
    }

    #[test]
    fn a_validator_is_shown_what_it_reads() {
        let some = validator(&["/etc/a"], &["/etc/nginx/", "/etc/b"]);
        let shown = |path: &&&str| some.is_shown(path);
        let paths = ["/etc/a", "/etc/b", "/etc/bc", "/etc/nginx/c/d", "/etc/nginxes", "/etc/nginx"];
        let seen: Vec<_> = paths.iter().filter(shown).collect();
        assert_eq!(seen, [&"/etc/a", &"/etc/b", &"/etc/nginx/c/d"]);
        assert!(validator(&["/etc/a"], &[]).is_shown("/etc/else"), "all, where nothing is said");
    }

    #[test]
    fn a_validator_in_one_line() {
        assert_eq!(validator(&["/a"], &[]).summary(), "nginx validates /a");
        assert_eq!(validator(&["/a", "/b", "/c"], &[]).summary(), "nginx validates /a and 2 more");
        assert_eq!(validator(&[], &[]).summary(), "nginx validates the configuration");
    }
}
