//! What the six architectures promise in their configuration: who reaches what, what
//! is off until it is asked for. Goldens show the files; this says why they are right.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::plan::render::{self, Content};
use imagebuild::spec::{Spec, Tree};
use std::collections::BTreeMap;

type Files = BTreeMap<String, String>;

fn load(site: &str) -> Result<Spec, String> {
    let mut tree = Tree::embedded();
    tree.insert("site.toml", site);
    Spec::load(tree).map_err(|error| error.to_string())
}

fn files(spec: &Spec, architecture: &str, server: &str) -> Files {
    let architecture = spec.architecture(architecture).unwrap();
    let server = architecture.server(server).unwrap();
    let files = render::config_files(spec, architecture, server).unwrap();
    let text = |content| match content {
        Content::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        Content::Symlink(target) => target,
        Content::Directory | Content::Agent => String::new(),
    };
    files.into_iter().map(|file| (file.path, text(file.content))).collect()
}

fn all_servers(spec: &Spec) -> Vec<(String, Files)> {
    let servers = spec
        .architectures
        .iter()
        .flat_map(|(name, one)| one.servers.keys().map(move |server| (name, server)));
    servers.map(|(name, server)| (format!("{name}-{server}"), files(spec, name, server))).collect()
}

#[test]
fn sixteen_servers() {
    let spec = load("").unwrap();
    let names: Vec<String> = all_servers(&spec).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names.join(" "),
        "arch1-database1 arch1-web1 arch2-web1 arch2-web2 arch3-server1 arch3-server2 \
         arch4-database1 arch4-web1 arch4-web2 arch5-database1 arch5-database2 arch5-web1 \
         arch6-database1 arch6-database2 arch6-web1 arch6-web2"
    );
}

#[test]
fn web_users_reach_ports_80_and_443_and_nothing_else() {
    let spec = load("").unwrap();
    for (name, files) in all_servers(&spec) {
        let rules = files["/etc/nftables.conf"].lines().filter(|line| line.contains(" accept"));
        for rule in rules.filter(|line| line.contains("iifname \"eth0\"")) {
            let open = !rule.contains(" saddr ");
            let web = [80, 443].iter().any(|port| rule.contains(&format!(" tcp dport {port} ")));
            assert!(!open || web, "{name}: {rule}");
        }
    }
}

#[test]
fn only_web_servers_and_the_peer_reach_a_database() {
    let spec = load("").unwrap();
    for (name, files) in all_servers(&spec) {
        let rules = files["/etc/nftables.conf"].lines();
        for rule in rules.filter(|line| line.contains("tcp dport 3306")) {
            assert!(
                rule.contains("iifname \"eth1\"") && rule.contains(" saddr {"),
                "{name}: {rule}"
            );
            assert!(!rule.contains("192.168.0.0/24"), "{name}: {rule}");
        }
    }
}

#[test]
fn memcached_is_on_no_network() {
    let spec = load("").unwrap();
    let conf = &files(&spec, "arch1", "web1")["/etc/memcached.conf"];
    assert!(
        conf.contains("\n-s /run/memcached/memcached.sock\n") && !conf.contains("\n-l"),
        "{conf}"
    );
}

#[test]
fn there_is_no_way_out_until_it_is_asked_for() {
    let spec = load("").unwrap();
    assert!(!files(&spec, "arch1", "web1").contains_key("/etc/nftables.d/nat.nft"));
    let inner = &files(&spec, "arch1", "database1")["/etc/systemd/network/10-eth1.network"];
    assert!(!inner.contains("[Route]"), "{inner}");
}

#[test]
fn the_way_out_leads_through_the_web_server() {
    let spec = load("[architectures.arch1]\nnat = true\n").unwrap();
    let web = files(&spec, "arch1", "web1");
    assert_eq!(
        web["/etc/nftables.d/nat.nft"],
        "# The way out for servers without a public address, through web1.
table inet imagebuild {
    chain through {
        ct state established,related accept
        iifname \"eth1\" oifname \"eth0\" ip saddr { 192.168.0.21 } accept comment \"nat: out\"
        iifname \"eth1\" oifname \"eth0\" ip6 saddr { 2001:db8:0:1::21 } accept comment \"nat: out\"
    }

    chain nat-out {
        type nat hook postrouting priority srcnat;
        oifname \"eth0\" ip saddr { 192.168.0.21 } masquerade
        oifname \"eth0\" ip6 saddr { 2001:db8:0:1::21 } masquerade
    }
}
"
    );
    assert!(web["/etc/sysctl.d/92-imagebuild-nat.conf"].contains("net.ipv4.ip_forward = 1\n"));
    let inner = &files(&spec, "arch1", "database1")["/etc/systemd/network/10-eth1.network"];
    assert!(
        inner.ends_with("\n[Route]\nGateway=192.168.0.11\n\n[Route]\nGateway=2001:db8:0:1::11\n")
    );
    // Nobody else is touched.
    assert!(!web["/etc/systemd/network/10-eth1.network"].contains("[Route]"));
}

#[test]
fn a_way_out_where_there_is_none() {
    assert_eq!(
        load("[architectures.arch4]\nnat = true\n").unwrap_err(),
        "error: this architecture has no way out to turn on or off
 --> site.toml:2:7
  |
2 | nat = true
  |       ^^^^
hint: only arch1 has one; elsewhere write `[nat]` into a copy of its images/*.toml"
    );
}

#[test]
fn a_way_out_through_a_server_that_is_not_public() {
    let mut tree = Tree::embedded();
    let image = String::from_utf8(tree.get("images/arch1.toml").unwrap().content.clone()).unwrap();
    tree.insert(
        "images/arch1.toml",
        image.replace("through = \"web1\"", "through = \"database1\""),
    );
    let said = Spec::load(tree).unwrap_err().to_string();
    assert!(said.starts_with("error: database1 is not in the network public\n"), "{said}");
    assert!(said.ends_with("hint: the way out leads through a server that is in both networks"));
}

#[test]
fn an_ending_becomes_no_regular_expression() {
    let mut tree = Tree::embedded();
    let image = String::from_utf8(tree.get("images/arch2.toml").unwrap().content.clone()).unwrap();
    tree.insert("images/arch2.toml", image.replace("\"jpg\"", "\"jp*\""));
    let said = Spec::load(tree).unwrap_err().to_string();
    assert!(said.starts_with("error: `jp*` is not the ending of a file\n"), "{said}");
}

#[test]
fn the_server_in_front_has_the_static_files_and_no_others() {
    let mut tree = Tree::embedded();
    tree.insert("overlays/web/var/www/site/img/logo.PNG", "a picture");
    let spec = Spec::load(tree).unwrap();
    let front = files(&spec, "arch2", "web1");
    let copied: Vec<&str> =
        front.keys().filter_map(|path| path.strip_prefix("/var/www/site/")).collect();
    assert_eq!(copied, ["img/logo.PNG", "robots.txt", "style.css"]);
}

#[test]
fn keepalived_compares_with_the_digest_of_the_very_file() {
    let spec = load("").unwrap();
    let digest = "digest 67839e1bba5029447aa47d2e4b280b37\n";
    assert!(files(&spec, "arch3", "server2")["/etc/keepalived/lvs.conf"].contains(digest));
    let mut tree = Tree::embedded();
    tree.insert("overlays/web/usr/share/imagebuild/www/servercheck.txt", "well\n");
    let spec = Spec::load(tree).unwrap();
    let changed = &files(&spec, "arch3", "server2")["/etc/keepalived/lvs.conf"];
    assert!(changed.contains("digest ") && !changed.contains(digest));
}

#[test]
fn each_voter_knows_the_others() {
    let spec = load("").unwrap();
    let three = "member database1 192.168.0.21\nmember database2 192.168.0.22\n\
                 member web1 192.168.0.11\nport 4306\n";
    // Without a witness by both networks, and with what must be seen.
    let two = "member server1 192.168.0.11 172.16.0.11\nmember server2 192.168.0.12 172.16.0.12\n\
               port 4306\n";
    for (architecture, members, servers) in [
        ("arch3", two, &["server1", "server2"][..]),
        ("arch5", three, &["database1", "database2", "web1"]),
        ("arch6", three, &["database1", "database2", "web1"]),
    ] {
        for own in servers {
            let files = files(&spec, architecture, own);
            let conf = &files["/usr/lib/imagebuild/pair.conf"];
            assert!(conf.contains(&format!("\nown {own}\n")), "{conf}");
            assert!(conf.contains(members), "{conf}");
            assert_eq!(conf.contains("\nlinks eth1 eth0\n"), architecture == "arch3", "{conf}");
            assert_eq!(conf.contains("\ndata "), *own != "web1", "{conf}");
        }
    }
    assert!(!files(&spec, "arch6", "web2").contains_key("/usr/lib/imagebuild/pair.conf"));
}

#[test]
fn a_witness_is_one_third_server() {
    let witness = "\"monitor\", \"witness\"]";
    let none_to_see = arch5(
        "\"database\", \"replication\"]\nserver-id = 1",
        "\"database\", \"witness\"]\nserver-id = 1",
    );
    assert!(
        none_to_see.starts_with("error: 2 servers have the role `witness`, not one: database1\n"),
        "{none_to_see}"
    );
    let mut tree = Tree::embedded();
    let image = String::from_utf8(tree.get("images/arch5.toml").unwrap().content.clone()).unwrap();
    assert!(image.contains(witness));
    tree.insert("images/arch5.toml", image.replace(", \"replication\"]", "]"));
    let lonely = Spec::load(tree).unwrap_err().to_string();
    assert!(
        lonely.starts_with("error: web1 is a witness, and no server has the role `replication`\n"),
        "{lonely}"
    );
}

fn arch5(from: &str, to: &str) -> String {
    let mut tree = Tree::embedded();
    let image = String::from_utf8(tree.get("images/arch5.toml").unwrap().content.clone()).unwrap();
    assert!(image.contains(from), "{from}");
    tree.insert("images/arch5.toml", image.replacen(from, to, 1));
    Spec::load(tree).unwrap_err().to_string()
}

#[test]
fn a_pair_is_two_with_numbers_and_an_address() {
    let lonely =
        arch5("\"database\", \"replication\"]\nserver-id = 1", "\"database\"]\nserver-id = 1");
    assert!(
        lonely.starts_with("error: 1 servers have the role `replication`, not two: database2\n"),
        "{lonely}"
    );
    let unnumbered = arch5("server-id = 2\n", "");
    assert!(
        unnumbered.starts_with(
            "error: database2 follows another database and has no server-id\n  --> images/arch5.toml:"
        ),
        "{unnumbered}"
    );
    let without = arch5("purpose = \"database-writes\"", "purpose = \"database-reads\"");
    assert!(
        without.starts_with(
            "error: database1 follows another database and holds no address for writes\n"
        ),
        "{without}"
    );
}
