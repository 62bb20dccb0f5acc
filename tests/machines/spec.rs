//! What the spec says of a server, asked of the machine itself: its names, its addresses,
//! what listens and nothing else, its health checks, the tools of the book.

use crate::ask::{Guest, native};
use crate::setup::world;
use imagebuild::plan::sockets;
use imagebuild::spec::{Addresses, Architecture, Protocol, Purpose, Server, Via};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// All that holds of every server with a seed. `unwell` are the checks that fail while
/// no other server is there, and none but these.
pub(crate) fn is_as_specified(guest: &mut Guest, image: &str, unwell: &[&str]) {
    let (architecture, server) = world().server(image);
    guest.is_running();
    guest.expect(". /etc/os-release; echo $IMAGE_ID $IMAGE_VERSION", &format!("{image} 1"));
    guest.expect("hostname", &server.name);
    addresses(guest, architecture, server);
    listens(guest, architecture, server);
    checks(guest, server, unwell);
    tools(guest);
    munin_node(guest, server);
}

/// Every address of both families on its interface, those of LVS on the loopback.
fn addresses(guest: &mut Guest, architecture: &Architecture, server: &Server) {
    for (name, own) in &server.addresses {
        let network = &architecture.networks[name];
        let lengths = [network.v4, network.v6].into_iter().flatten().map(|prefix| prefix.length);
        let words = own.all().zip(lengths).map(|(address, length)| format!("{address}/{length}"));
        let words: Vec<String> = words.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        guest.expect_in(&format!("ip -o address show dev {}", network.interface), &words);
    }
    let mut loopback = BTreeSet::from(["127.0.0.1/8".to_owned(), "::1/128".to_owned()]);
    for one in architecture.floating.values() {
        if one.via == Via::DirectRouting && one.real_servers.contains(&server.name) {
            loopback.extend(hosts(&one.addresses));
        }
    }
    let there = guest.ask("ip -o address show dev lo | awk '{ print $4 }'");
    let there: BTreeSet<String> = there.lines().map(str::to_owned).collect();
    guest.check(there == loopback, &format!("the loopback has {there:?}, not {loopback:?}"));
}

/// Each socket of the spec, on its address, and no other.
fn listens(guest: &mut Guest, architecture: &Architecture, server: &Server) {
    let wanted = sockets(world().spec(), architecture, server).into_iter();
    let wanted: BTreeSet<String> = wanted
        .map(|(protocol, address)| match protocol {
            Protocol::Tcp => format!("tcp {address}"),
            Protocol::Udp => format!("udp {address}"),
            Protocol::Vrrp => unreachable!("it has no sockets"),
        })
        .collect();
    // `tcp LISTEN 0 128 192.168.0.11:22 0.0.0.0:*`
    let there = guest.ask("ss -Hltun | awk '{ print $1, $5 }'");
    let there: BTreeSet<String> = there.lines().map(str::to_owned).collect();
    let lacking: Vec<_> = wanted.difference(&there).collect();
    let too_many: Vec<_> = there.difference(&wanted).collect();
    let said = format!("not listening: {lacking:?}; not in the spec: {too_many:?}");
    guest.check(there == wanted, &said);
}

/// `imagebuild-check` says of each check of the roles what it should.
fn checks(guest: &mut Guest, server: &Server, unwell: &[&str]) {
    let roles = world().spec().roles_of(server);
    let names: Vec<&str> =
        roles.flat_map(|role| &role.checks).map(|check| check.name.as_str()).collect();
    // Heartbeats and replication need their time to settle.
    let failed = unwell.len();
    guest.within(native(20), &format!("imagebuild-check >/dev/null; [ $? -eq {failed} ]"));
    let said = guest.ask("imagebuild-check || true");
    for name in names {
        let (good, bad) = (format!("good:    {name}"), format!("FAILED:  {name}:"));
        let wanted = if unwell.contains(&name) { &bad } else { &good };
        guest.check(said.contains(wanted.as_str()), &format!("lacks {wanted:?}:\n{said}"));
    }
}

/// What the book has on every server, and sysstat's samples.
fn tools(guest: &mut Guest) {
    guest.ask("command -v lsof strace df free ps iostat sar");
    guest.expect("systemctl is-active sysstat-collect.timer logrotate.timer", "active\nactive");
    guest.expect("logrotate /etc/logrotate.conf 2>&1", "");
    guest.ask("for n in 1 2; do systemctl start sysstat-collect.service; sleep 1; done");
    guest.expect_in("sar -u -r -n DEV", &["%idle", "kbmemfree", "eth1"]);
    guest.expect_in("strace -qq -e trace=openat lsof -v 2>&1", &["ld.so.cache"]);
}

/// munin-node answers on the private address and draws what the roles call for.
fn munin_node(guest: &mut Guest, server: &Server) {
    let address = server.addresses["private"].v4.unwrap();
    let roles = world().spec().roles_of(server);
    let plugins: Vec<&str> =
        roles.flat_map(|role| role.munin.keys()).map(String::as_str).chain(["if_eth1"]).collect();
    let ask = |words: &str| {
        format!(
            "bash -c 'exec 3<>/dev/tcp/{address}/4949; printf \"{words}\\nquit\\n\" >&3; cat <&3'"
        )
    };
    // Plugins of several graphs are named to those only who know what that is.
    let said = guest.ask(&ask("cap multigraph\\nlist"));
    let listed: BTreeSet<&str> = said.split_whitespace().collect();
    for plugin in plugins {
        guest.check(listed.contains(plugin), &format!("munin-node lacks {plugin}:\n{said}"));
    }
    // It was handed its socket, and answers the next one as well.
    guest.expect("systemctl is-active munin-node.socket munin-node.service", "active\nactive");
    guest.expect_in(&ask("version"), &[&format!("munins node on {} version", server.name)]);
}

/// Addresses that stand alone, as `ip address` writes them.
fn hosts(addresses: &Addresses) -> Vec<String> {
    let length = |address: &IpAddr| if address.is_ipv4() { 32 } else { 128 };
    addresses.all().map(|address| format!("{address}/{}", length(&address))).collect()
}

/// The floating addresses that come to a server when nobody else is there.
pub(crate) fn takes_floating_addresses(guest: &mut Guest, image: &str, purposes: &[Purpose]) {
    let (architecture, _) = world().server(image);
    for purpose in purposes {
        for one in architecture.floating_for(*purpose) {
            let interface = &architecture.networks[&one.network].interface;
            for address in hosts(&one.addresses) {
                let command =
                    format!("ip -o address show dev {interface} | grep -qF ' {address} '");
                guest.within(native(10), &command);
            }
        }
    }
}
