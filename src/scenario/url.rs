//! URLs of scenarios: `http://web/` means the floating address `web`,
//! `http://web1.private/` a server's own address, `http://website/` wherever the website is
//! in this architecture. Which of its IP versions is asked is said elsewhere.

use crate::spec::{Architecture, Purpose};
use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The port that need not be written.
    pub fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        })
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Host {
    /// `website`: see [`Host::website`].
    Website,
    /// `web`: a floating address.
    Floating(String),
    /// `web1.public`: a server, or an alias, on a network.
    Server {
        /// Its name.
        name: String,
        /// The network.
        network: String,
    },
    /// An address.
    Address(IpAddr),
}

/// What the website's host is called.
const WEBSITE: &str = "website";
/// The role that speaks TLS.
const HTTPS: &str = "https";
/// The network on which visitors are.
const PUBLIC: &str = "public";

impl Host {
    /// Where the website of an architecture is: at a floating address of that name or at the
    /// one that is for it, else at the one server on the public network. None where that is
    /// nowhere or unclear.
    pub fn website(of: &Architecture) -> Option<Host> {
        if of.floating.contains_key(WEBSITE) {
            return Some(Host::Floating(WEBSITE.to_owned()));
        }
        if let Some(floating) = of.floating_for(Purpose::Web).next() {
            return Some(Host::Floating(floating.name.clone()));
        }
        let mut public = of.servers.values().filter(|one| one.addresses.contains_key(PUBLIC));
        let (first, second) = (public.next()?, public.next());
        let (name, network) = (first.name.clone(), PUBLIC.to_owned());
        second.is_none().then_some(Host::Server { name, network })
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Host, String> {
        if text == WEBSITE {
            return Ok(Host::Website);
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(Host::Address(address));
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        match text.split_once('.') {
            None if is_name(text) => Ok(Host::Floating(text.to_owned())),
            Some((name, network)) if is_name(name) && is_name(network) => {
                Ok(Host::Server { name: name.to_owned(), network: network.to_owned() })
            }
            _ => Err(format!(
                "`{text}` is neither a floating address (`web`), nor a server on a network (`web1.public`), nor an IP address"
            )),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Host, String> {
        text.parse()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Website => f.write_str(WEBSITE),
            Host::Floating(name) => f.write_str(name),
            Host::Server { name, network } => write!(f, "{name}.{network}"),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Url {
    /// What is spoken.
    pub scheme: Scheme,
    /// Who is asked.
    pub host: Host,
    /// Where.
    pub port: u16,
    /// From the first slash on.
    pub path: String,
}

impl Url {
    /// The URL with an address in the host's place.
    pub fn at(&self, address: IpAddr) -> String {
        let host = Host::Address(address);
        format!("{}://{host}{}{}", self.scheme, self.port_text(), self.path)
    }

    fn port_text(&self) -> String {
        if self.port == self.scheme.port() { String::new() } else { format!(":{}", self.port) }
    }
}

impl Url {
    /// Whether it is of the website, and this architecture has none, or none over TLS.
    pub(super) fn is_missing_in(&self, architecture: &Architecture) -> bool {
        let has_tls = || architecture.servers.values().any(|server| server.has_role(HTTPS));
        let is_offered = || self.scheme == Scheme::Http || has_tls();
        self.host == Host::Website && !(Host::website(architecture).is_some() && is_offered())
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let wrong = || format!("`{text}` is not a URL such as http://web/ or https://web1.public/");
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(wrong()),
        };
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        // The colons of IPv6 stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, scheme.port()),
        };
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        Ok(Url { scheme, host: host.parse()?, port, path })
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Url, String> {
        text.parse()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}{}", self.scheme, self.host, self.port_text(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn names_stand_for_addresses() {
        assert_eq!(url("http://web/x?y=1").host, Host::Floating("web".to_owned()));
        let own = Host::Server { name: "web1".to_owned(), network: "public".to_owned() };
        assert_eq!(url("https://web1.public:8443").host, own);
        assert_eq!(
            url("https://web1.public:8443").at("2001:db8::1".parse().unwrap()),
            "https://[2001:db8::1]:8443/"
        );
        assert_eq!(
            url("http://[2001:db8::1]:81/").host,
            Host::Address("2001:db8::1".parse().unwrap())
        );
        assert_eq!(url("http://web/").at("172.16.0.10".parse().unwrap()), "http://172.16.0.10/");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in
            ["web", "ftp://web/", "http://", "http://a.b.c/", "http://web:x/", "http://web/ x"]
        {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: String) {
            drop(text.parse::<Url>());
        }

        #[test]
        fn what_is_shown_reads_back(host in "[a-z]{1,8}[0-9]?", port in 1_u16.., path in "(/[a-z?=]{0,9}){1,3}") {
            let text = format!("http://{host}:{port}{path}");
            let read = url(&text);
            prop_assert_eq!(url(&read.to_string()), read);
        }
    }
}
