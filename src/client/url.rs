//! Addresses of pages: `http` and `https` with an IP address as host, since the segments
//! have no name servers.

use crate::error::{Error, Result};
use std::net::{IpAddr, SocketAddr};

/// A page's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// As it was written.
    pub(super) text: String,
    pub(super) is_secure: bool,
    pub(super) server: SocketAddr,
    /// What the `Host` header says.
    pub(super) host: String,
    /// From the first `/` on.
    pub(super) path: String,
}

impl Url {
    /// Takes `text` apart.
    pub(super) fn parse(text: &str) -> Result<Url> {
        let wrong = |what: &str| {
            Error::input(format!("{text:?} is not an address of a page: {what}"))
                .hint("write http://172.16.0.10/path or https://[2001:db8::10]:8443/path")
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("the scheme is neither http nor https")),
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let printable = |c: char| c.is_ascii_graphic();
        if !path.chars().all(printable) {
            return Err(wrong("the path has characters that must be written as %XX"));
        }
        let port = if is_secure { 443 } else { 80 };
        let server = server(host, port).ok_or_else(|| wrong("the host is no IP address"))?;
        let (text, host, path) = (text.to_owned(), host.to_owned(), path.to_owned());
        Ok(Url { text, is_secure, server, host, path })
    }
}

/// `172.16.0.10`, `[2001:db8::10]`, with `:port` or without.
fn server(host: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(server) = host.parse::<SocketAddr>() {
        return Some(server);
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip: IpAddr = bare.map_or_else(
        || host.parse().ok().map(IpAddr::V4),
        |bare| bare.parse().ok().map(IpAddr::V6),
    )?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, server, path) in [
            ("http://172.16.0.10/servercheck.txt", "172.16.0.10:80", "/servercheck.txt"),
            ("http://172.16.0.10:8080", "172.16.0.10:8080", "/"),
            ("https://[2001:db8::ffff:10]/?a=b", "[2001:db8::ffff:10]:443", "/?a=b"),
            ("http://[::1]:81/", "[::1]:81", "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.server.to_string().as_str(), url.path.as_str()), (server, path));
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "172.16.0.10/",
            "ftp://172.16.0.10/",
            "http://example.org/",
            "http://2001:db8::1/",
            "http://172.16.0.10/a b",
            "http:///",
            "http://172.16.0.10:99999/",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.message().contains("is not an address of a page"), "{error}");
        }
    }
}
