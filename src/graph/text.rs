//! The topology as text.

use super::{openings, purpose, roles};
use crate::spec::{Architecture, Spec};
use std::fmt::Write;

/// The whole architecture, a paragraph a network and a server.
pub fn text(spec: &Spec, architecture: &Architecture) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    write(&mut out, spec, architecture).unwrap_or_default();
    out
}

fn write(out: &mut String, spec: &Spec, architecture: &Architecture) -> std::fmt::Result {
    writeln!(out, "{}: {}", architecture.name, architecture.title)?;
    for network in architecture.networks.values() {
        let (v4, v6) = network.shown();
        writeln!(out, "\n{} network  {}, {}", network.name, v4, v6)?;
        for floating in architecture.floating.values().filter(|f| f.network == network.name) {
            let (v4, v6) = floating.addresses.shown();
            let (holders, what) = (floating.holders.join(" or "), purpose(floating.purpose));
            writeln!(out, "  floating {v4}, {v6}  {what}, held by {holders}")?;
        }
    }
    for server in architecture.servers.values() {
        writeln!(out, "\n{}  {}", server.name, roles(server))?;
        for (network, own) in &server.addresses {
            let interface = architecture.networks.get(network).map_or("", |n| &n.interface);
            let (v4, v6) = own.shown();
            writeln!(out, "  {network:<8} {interface}  {v4}, {v6}")?;
        }
        for port in openings(spec, architecture, server) {
            let (number, name) = (port.number, port.name);
            writeln!(out, "  {number:<9} {name:<12} {}, {}", port.place, port.from)?;
        }
    }
    Ok(())
}
