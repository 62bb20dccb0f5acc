//! Servers that ours ask: for addresses of names (DNS), for the time (NTP).

use crate::error::Result;
use crate::spec::source::Sources;
use std::net::IpAddr;
use toml::Spanned;

/// Checks a DNS server's address.
pub(crate) fn dns(server: &Spanned<IpAddr>, sources: &Sources) -> Result<()> {
    let address = *server.get_ref();
    let Some(what) = nobody(address) else { return Ok(()) };
    Err(sources
        .error(server.span(), format!("{address} is no DNS server's address: {what}"))
        .hint("write the address that your provider names; no server of ours answers DNS"))
}

/// Checks a time server: a name, or an address.
pub(crate) fn ntp(server: &Spanned<String>, sources: &Sources) -> Result<()> {
    let name = server.get_ref();
    let wrong = match name.parse::<IpAddr>() {
        Ok(address) => nobody(address).map(|what| format!("is no time server's address: {what}")),
        Err(_) if is_host_name(name) => None,
        Err(_) => Some("is neither a host name nor an address".to_owned()),
    };
    let Some(wrong) = wrong else { return Ok(()) };
    let shown = if name.parse::<IpAddr>().is_ok() { name.clone() } else { format!("`{name}`") };
    Err(sources.error(server.span(), format!("{shown} {wrong}")).hint(
        "write one server in each string: `ntp = [\"0.debian.pool.ntp.org\", \"192.0.2.1\"]`",
    ))
}

/// Why nobody else answers at an address, if it is so.
pub(super) fn nobody(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    if address.is_unspecified() {
        return Some("it stands for none");
    }
    if address.is_loopback() {
        return Some("it is every machine's own");
    }
    let many = address.is_multicast() || address == IpAddr::from([255, 255, 255, 255]);
    many.then_some("it is for many")
}

/// RFC 1123, section 2.1; a name that ends in a number would be taken for an address.
fn is_host_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let label = |label: &str| {
        let edge = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && label.chars().all(plain) && !edge
    };
    name.len() <= 253 && name.split('.').all(label) && !ends_in_a_number(name)
}

/// Whether the last part of a name is a number, as in an address.
pub(crate) fn ends_in_a_number(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in ["ntp", "0.debian.pool.ntp.org", "Time.Example", "3com.example"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", "a b", "a..b", "-a", "a-", "a_b", "10.0.0", "10.0.0.256", "a:123"] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
