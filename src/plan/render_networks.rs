//! systemd-networkd's files: a server's own addresses, the floating ones that it
//! answers on behalf of LVS, and the way out through another server.

use super::render::ConfigFile;
use crate::spec::{Architecture, Nat, Network, Server, Via};
use std::fmt::Write;
use std::net::IpAddr;

/// One file a network, one for the loopback if it holds addresses, and those of the way out.
pub(crate) fn files(architecture: &Architecture, server: &Server) -> Vec<ConfigFile> {
    let source = format!("images/{}.toml", architecture.name);
    let own = server.addresses.keys().filter_map(|name| architecture.networks.get(name));
    let mut files: Vec<ConfigFile> = own
        .map(|network| {
            let path = format!("/etc/systemd/network/10-{}.network", network.interface);
            ConfigFile::text(path, network_file(network, architecture, server), &source)
        })
        .collect();
    if let Some(text) = loopback(architecture, server) {
        files.push(ConfigFile::text("/etc/systemd/network/10-lo.network", text, &source));
    }
    if let Some(nat) = enabled(architecture).filter(|nat| nat.through == server.name) {
        let text = "# The way out for servers without a public address.\nnet.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n";
        files.push(ConfigFile::text(
            "/etc/sysctl.d/92-imagebuild-nat.conf",
            text.to_owned(),
            &source,
        ));
        let text = nat_rules(nat, architecture);
        files.push(ConfigFile::text("/etc/nftables.d/nat.nft", text, &source));
    }
    files
}

fn enabled(architecture: &Architecture) -> Option<&Nat> {
    architecture.nat.as_ref().filter(|nat| nat.enabled)
}

/// The network gives addresses and the way out, nothing else: names, time and the
/// host's name are the site's, and resolv.conf is a file of the image.
const LEASE: &str = "\n[DHCPv4]\nUseDNS=no\nUseNTP=no\nUseHostname=no\nUseDomains=no\n\n[IPv6AcceptRA]\nDHCPv6Client=no\nUseDNS=no\nUseDomains=no\n";

/// Addresses are set without a carrier and stay when it goes: daemons can bind at
/// boot, and keepalived alone judges the link. DAD would hold an address back for a
/// second and give it up for good when a twin answers; foreign addresses
/// (keepalived's) survive a restart of networkd.
fn network_file(network: &Network, architecture: &Architecture, server: &Server) -> String {
    let mut text =
        format!("# The network {}.\n[Match]\nName={}\n", network.name, network.interface);
    let mtu = network.mtu.map_or(String::new(), |mtu| format!("MTUBytes={mtu}\n"));
    write!(text, "\n[Link]\nRequiredForOnline=no-carrier\n{mtu}").ok();
    let (dhcp, ra) = if network.dhcp { ("ipv4", "yes") } else { ("no", "no") };
    write!(text, "\n[Network]\nDHCP={dhcp}\nIPv6AcceptRA={ra}\n").ok();
    text.push_str("LinkLocalAddressing=ipv6\nIPv6DuplicateAddressDetection=0\nLLMNR=no\nMulticastDNS=no\nConfigureWithoutCarrier=yes\nIgnoreCarrierLoss=yes\nKeepConfiguration=static\n");
    if network.dhcp {
        text.push_str(LEASE);
    }
    if let Some(own) = server.addresses.get(&network.name) {
        for address in own.all() {
            let Some(length) = network.length(address) else { continue };
            let dad = if address.is_ipv6() { "DuplicateAddressDetection=none\n" } else { "" };
            write!(text, "\n[Address]\nAddress={address}/{length}\n{dad}").ok();
        }
    }
    if network.routed {
        text.push_str(&routes(network, architecture, server));
        return text;
    }
    for gateway in gateways(network, architecture, server) {
        write!(text, "\n[Route]\nGateway={gateway}\n").ok();
    }
    text
}

/// The network's own gateways, else the server that lends its public address.
fn gateways(network: &Network, architecture: &Architecture, server: &Server) -> Vec<String> {
    let own =
        [network.gateway_v4.map(|g| g.to_string()), network.gateway_v6.map(|g| g.to_string())];
    let own: Vec<String> = own.into_iter().flatten().collect();
    if !own.is_empty() || server.addresses.contains_key("public") {
        return own;
    }
    let through = enabled(architecture).and_then(|nat| architecture.servers.get(&nat.through));
    let shared = through.and_then(|through| through.addresses.get(&network.name));
    shared.map_or_else(Vec::new, |shared| shared.all().map(|address| address.to_string()).collect())
}

/// All through a routed network's gateway, which is on the link whatever its address is: the
/// network itself, and all else where the server has no other way, or none that leads further.
fn routes(network: &Network, architecture: &Architecture, server: &Server) -> String {
    let is_outer = network.name == "public";
    let is_way_out =
        is_outer || !server.addresses.contains_key("public") && enabled(architecture).is_some();
    let own = server.addresses.get(&network.name);
    let mut text = String::new();
    let four =
        (network.gateway_v4.map(IpAddr::from), network.v4, own.is_some_and(|o| o.v4.is_some()));
    let six =
        (network.gateway_v6.map(IpAddr::from), network.v6, own.is_some_and(|o| o.v6.is_some()));
    for (gateway, prefix, has_address) in [four, six] {
        let Some(gateway) = gateway.filter(|_| has_address) else { continue };
        let on_link = format!("Gateway={gateway}\nGatewayOnLink=yes\n");
        if let Some(prefix) = prefix {
            write!(text, "\n[Route]\nDestination={prefix}\n{on_link}").ok();
        }
        if is_way_out {
            write!(text, "\n[Route]\n{on_link}").ok();
        }
    }
    text
}

/// LVS' direct routing leaves the packets' address as it is: every real server must
/// think that it is its own, and must not say so on the wire (`arp_ignore` in
/// sysctl.d; IPv6 announces no address of another interface).
fn loopback(architecture: &Architecture, server: &Server) -> Option<String> {
    let mut addresses = String::new();
    for floating in architecture.floating.values() {
        if floating.via == Via::DirectRouting && floating.real_servers.contains(&server.name) {
            for address in floating.addresses.all() {
                let (length, dad) = match address.is_ipv4() {
                    true => (32, ""),
                    false => (128, "DuplicateAddressDetection=none\n"),
                };
                write!(addresses, "\n[Address]\nAddress={address}/{length}\n{dad}").ok();
            }
        }
    }
    let head = "# Floating addresses that LVS serves: answered here, announced by their holder.\n[Match]\nName=lo\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nKeepConfiguration=static\n";
    (!addresses.is_empty()).then(|| head.to_owned() + &addresses)
}

/// Lets the servers without a public address out, and answers back in.
fn nat_rules(nat: &Nat, architecture: &Architecture) -> String {
    let inner = |server: &&Server| {
        server.addresses.contains_key("private") && !server.addresses.contains_key("public")
    };
    let clients: Vec<_> = (architecture.servers.values().filter(inner))
        .filter_map(|server| server.addresses.get("private"))
        .collect();
    let interface = |name: &str| architecture.networks.get(name).map_or("", |n| &n.interface);
    let (outside, inside) = (interface("public"), interface("private"));
    let (mut forward, mut masquerade) = (String::new(), String::new());
    for ip in ["ip", "ip6"] {
        let of_version = |address: &IpAddr| address.is_ipv4() == (ip == "ip");
        let addresses = clients.iter().flat_map(|own| own.all()).filter(of_version);
        let list: Vec<String> = addresses.map(|address| address.to_string()).collect();
        if list.is_empty() {
            continue;
        }
        let from = format!("{ip} saddr {{ {} }}", list.join(", "));
        writeln!(
            forward,
            "        iifname \"{inside}\" oifname \"{outside}\" {from} accept comment \"nat: out\""
        )
        .ok();
        writeln!(masquerade, "        oifname \"{outside}\" {from} masquerade").ok();
    }
    format!(
        "# The way out for servers without a public address, through {}.\ntable inet imagebuild {{\n    chain through {{\n        ct state established,related accept\n{forward}    }}\n\n    chain nat-out {{\n        type nat hook postrouting priority srcnat;\n{masquerade}    }}\n}}\n",
        nat.through
    )
}
