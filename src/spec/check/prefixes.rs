//! Checks of networks against each other, and against ranges that are no network's.

use crate::error::Result;
use crate::spec::check::context::Context;
use crate::spec::model::units::Prefix;
use crate::spec::parse::architecture::{RawArchitecture, RawNetwork};
use toml::Spanned;

/// Ranges that mean something on every machine.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
const RESERVED: [(&str, &str); 6] = [
    ("127.0.0.0/8", "the loopback"),
    ("169.254.0.0/16", "link-local addresses"),
    ("224.0.0.0/4", "multicast"),
    ("::1/128", "the loopback"),
    ("fe80::/10", "link-local addresses"),
    ("ff00::/8", "multicast"),
];

/// Checks the prefixes of the networks that have any.
pub(crate) fn check(raw: &RawArchitecture, context: &Context<'_>) -> Result<()> {
    let known = raw.networks.iter().filter(|(_, network)| !gives_addresses(network));
    let all: Vec<(&str, &Spanned<Prefix>)> = known
        .flat_map(|(name, network)| {
            network.v4.iter().chain(&network.v6).map(|prefix| (name.get_ref().as_str(), prefix))
        })
        .collect();
    for (index, own) in all.iter().enumerate() {
        free(own.1, context)?;
        for other in &all[..index] {
            apart(*other, *own, context)?;
        }
    }
    Ok(())
}

fn gives_addresses(network: &RawNetwork) -> bool {
    network.dhcp.as_ref().is_some_and(|dhcp| *dhcp.get_ref())
}

fn free(prefix: &Spanned<Prefix>, context: &Context<'_>) -> Result<()> {
    let own = prefix.get_ref();
    let overlaps = |range: &str| range.parse().is_ok_and(|range: Prefix| own.overlaps(&range));
    let Some((range, what)) = RESERVED.iter().find(|(range, _)| overlaps(range)) else {
        return Ok(());
    };
    let message = format!("{own} cannot be a network: {range} is for {what}");
    Err(context.sources.error(prefix.span(), message).hint(
        "use the provider's prefix; in private, one such as 192.168.0.0/24 or fd12:3456:789a:1::/64",
    ))
}

type Written<'a> = (&'a str, &'a Spanned<Prefix>);

/// That two networks share no address.
fn apart(one: Written<'_>, other: Written<'_>, context: &Context<'_>) -> Result<()> {
    if !one.1.get_ref().overlaps(other.1.get_ref()) {
        return Ok(());
    }
    let (before, blamed) =
        if is_blamed(one.1, other.1, context) { (other, one) } else { (one, other) };
    let message = format!("the networks {} and {} overlap", blamed.0, before.0);
    let hint =
        format!("{} is {}: a server could not tell them apart", before.0, before.1.get_ref());
    Err(context.sources.error(blamed.1.span(), message).hint(hint))
}

/// Whether the mistake is in the first of two: in one file, the later line has it; else
/// `site.toml`, which was read before the architectures.
fn is_blamed(one: &Spanned<Prefix>, other: &Spanned<Prefix>, context: &Context<'_>) -> bool {
    let file = |prefix: &Spanned<Prefix>| Some(context.sources.place(&prefix.span())?.file);
    let same = file(one) == file(other);
    (one.span().start > other.span().start) == same
}
