//! `site.toml` over the built-in project: what each of its keys comes to, and what a
//! user reads when it cannot be.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod refused;

use imagebuild::plan::render::{self, Content};
use imagebuild::spec::{Spec, Tree};
use std::collections::BTreeMap;
use std::path::Path;

fn with(site: &str) -> Tree {
    let mut tree = Tree::embedded();
    tree.insert("site.toml", site);
    tree
}

fn load(site: &str) -> Spec {
    Spec::load(with(site)).unwrap_or_else(|error| panic!("{error}"))
}

fn error(site: &str) -> String {
    Spec::load(with(site)).expect_err("an error").to_string()
}

/// The text files of a server's configuration layer.
fn files(spec: &Spec, image: &str) -> BTreeMap<String, String> {
    let (architecture, server) = image.split_once('-').unwrap();
    let architecture = spec.architecture(architecture).unwrap();
    let server = architecture.server(server).unwrap();
    let files = render::config_files(spec, architecture, server);
    let text = |content: Content| match content {
        Content::Bytes(bytes) => String::from_utf8(bytes).ok(),
        Content::Symlink(_) | Content::Directory | Content::Agent => None,
    };
    let files = files.unwrap_or_else(|error| panic!("{error}")).into_iter();
    files.filter_map(|file| Some((file.path, text(file.content)?))).collect()
}

const THIRD: &str = r#"
[architectures.arch4.servers.web3]
like = "web2"
add-roles = ["cache"]
packages = ["htop"]

[architectures.arch4.cache]
seconds = 60

[architectures.arch4.addresses.web3.public]
v4 = "172.16.0.13"
v6 = "2001:db8::ffff:13"
[architectures.arch4.addresses.web3.private]
v4 = "192.168.0.13"
v6 = "2001:db8:0:1::13"
"#;

const WITNESS: &str = r#"
[architectures.arch3.servers.witness1]
roles = ["base", "witness"]
[architectures.arch3.addresses.witness1.private]
v4 = "192.168.0.13"
v6 = "2001:db8:0:1::13"
"#;

/// It has what its roles have, where it has addresses, and the databases know it.
#[test]
fn a_server_with_roles_of_its_own() {
    let spec = load(WITNESS);
    let architecture = spec.architecture("arch3").unwrap();
    let witness = architecture.server("witness1").unwrap();
    assert_eq!(witness.addresses.keys().collect::<Vec<_>>(), ["private"]);
    let own = files(&spec, "arch3-witness1");
    assert!(!own.contains_key("/etc/nginx/sites-available/site"));
    for pair in [&own, &files(&spec, "arch3-server1"), &files(&spec, "arch3-server2")] {
        assert!(pair["/usr/lib/imagebuild/pair.conf"].contains("192.168.0.13"));
    }
    let wrong = |from: &str, to: &str| {
        let text = WITNESS.replace(from, to);
        assert_ne!(text, WITNESS);
        error(&text)
    };
    let both = wrong("roles = [", "like = \"server1\"\nroles = [");
    assert!(both.contains("like another one, or has roles of its own"), "{both}");
    let there = wrong("servers.witness1", "servers.server1");
    assert!(there.contains("there is a server `server1` already"), "{there}");
    let nowhere = wrong("addresses.witness1", "addresses.server1");
    assert!(nowhere.contains("witness1 has no addresses"), "{nowhere}");
    assert!(nowhere.contains("[architectures.arch3.addresses.witness1.private]"), "{nowhere}");
}

#[test]
fn a_third_web_server() {
    let spec = load(THIRD);
    let arch4 = spec.architecture("arch4").unwrap();
    let web3 = arch4.server("web3").unwrap();
    assert_eq!(web3.image_id, "arch4-web3");
    assert!(web3.has_role("web") && web3.has_role("heartbeat") && web3.has_role("cache"));
    assert!(spec.packages(web3).contains("htop"));
    assert!(!spec.packages(arch4.server("web2").unwrap()).contains("htop"));
    assert_eq!(arch4.floating["web"].holders, ["web1", "web2", "web3"]);
    for server in ["web1", "web2", "web3"] {
        let files = files(&spec, &format!("arch4-{server}"));
        assert!(files["/etc/haproxy/haproxy.cfg"].contains("server web3 192.168.0.13:80\n"));
        assert!(
            files["/etc/nginx/sites-available/site"].contains("set_real_ip_from 192.168.0.13;")
        );
        // Its balancer reaches the others' web servers, and its keepalived is heard.
        let rules = &files["/etc/nftables.conf"];
        for (own, dport) in [("192.168.0.13", "tcp dport 80"), ("172.16.0.13", "meta l4proto vrrp")]
        {
            let is_from = |line: &str| line.contains("saddr") && line.contains(dport);
            let rule = rules.lines().find(|line| is_from(line)).unwrap();
            let (from, _) = rule.split_once(" daddr ").unwrap();
            assert_eq!(from.contains(own), server != "web3", "{server}: {rule}");
        }
    }
    for (server, priority) in [("web1", 250), ("web2", 150), ("web3", 50)] {
        let files = files(&spec, &format!("arch4-{server}"));
        let keepalived = &files["/etc/keepalived/keepalived.conf"];
        assert!(keepalived.contains(&format!("priority {priority}\n")), "{keepalived}");
    }
    let keepalived = &files(&spec, "arch4-web3")["/etc/keepalived/keepalived.conf"];
    assert!(keepalived.contains("        172.16.0.11\n        172.16.0.12\n"), "{keepalived}");
    let database = files(&spec, "arch4-database1");
    assert!(database["/usr/lib/imagebuild/database-clients"].contains("192.168.0.13\n"));
    assert!(database["/etc/nftables.conf"].contains("192.168.0.13"));
}

#[test]
fn a_new_server_needs_addresses_and_a_name() {
    let site = THIRD.split("[architectures.arch4.addresses.web3.private]").next().unwrap();
    assert_eq!(
        error(site),
        "error: web3 is like web2 and has no addresses in private
 --> site.toml:2:30
  |
2 | [architectures.arch4.servers.web3]
  |                              ^^^^
hint: add `[architectures.arch4.addresses.web3.private]` with `v4` and `v6`"
    );
    assert_eq!(
        error(&THIRD.replace("web3", "web1")),
        "error: there is a server `web1` already
 --> site.toml:2:30
  |
2 | [architectures.arch4.servers.web1]
  |                              ^^^^
hint: `like` makes a new server: take it out, or give the new one another name"
    );
    assert_eq!(
        error("[architectures.arch4.servers.web3]\npackages = [\"htop\"]\n"),
        "error: there is no server `web3`
 --> site.toml:1:30
  |
1 | [architectures.arch4.servers.web3]
  |                              ^^^^
hint: did you mean `web1`? (or `web2`); a new one says which it is like (`like = \"web2\"`), or its `roles`"
    );
}

#[test]
fn a_third_database_of_a_pair_is_refused() {
    let site = "[architectures.arch6.servers.database3]\nlike = \"database2\"\nserver-id = 3\n[architectures.arch6.addresses.database3.private]\nv4 = \"192.168.0.23\"\nv6 = \"2001:db8:0:1::23\"\n";
    let said = error(site);
    assert!(
        said.starts_with("error: 3 servers have the role `replication`, not two: database1\n"),
        "{said}"
    );
}

/// IPv6 in public only, as many private networks are.
const ONE_SIDE: &str = "[architectures.arch6.networks.private]\nv6 = \"none\"\n[architectures.arch3.networks.private]\nv6 = \"none\"\n[architectures.arch3.networks.public]\nv6 = \"none\"\n[architectures.arch1]\nnat = true\n[architectures.arch1.networks.private]\nv6 = \"none\"\n";

#[test]
fn a_network_without_ipv6_leaves_no_trace_of_it() {
    let spec = load(ONE_SIDE);
    for image in ["arch6-web1", "arch6-database1", "arch3-server1", "arch1-web1", "arch1-database1"]
    {
        let before = files(&load(""), image);
        for (path, text) in files(&spec, image) {
            assert!(!text.contains("2001:db8:0:1:"), "{image} {path}:\n{text}");
            // Nor the word that templates print for nothing.
            let before = before.get(&path).map_or(0, |text| text.matches("none").count());
            assert!(text.matches("none").count() <= before, "{image} {path}:\n{text}");
        }
    }
    let web1 = files(&spec, "arch6-web1");
    assert!(web1["/etc/nftables.conf"].contains("ip6 daddr 2001:db8::ffff:10 tcp dport 80 accept"));
    let keepalived = &web1["/etc/keepalived/keepalived.conf"];
    let both = "virtual_ipaddress_excluded {\n        2001:db8::ffff:10/128 dev eth0\n";
    assert!(keepalived.contains(both), "{keepalived}");
    let database = &files(&spec, "arch6-database1")["/etc/keepalived/keepalived.conf"];
    assert!(!database.contains("virtual_ipaddress_excluded"), "{database}");
    let lvs = files(&spec, "arch3-server1");
    assert!(!lvs["/etc/keepalived/lvs.conf"].contains("inet6"));
    assert!(!lvs["/etc/nftables.d/director.nft"].contains("ip6"));
}

#[test]
fn an_ipv6_address_where_there_is_none() {
    let site = "[architectures.arch4.networks.private]\nv6 = \"none\"\n[architectures.arch4.addresses.web1.private]\nv6 = \"2001:db8:0:1::11\"\n";
    assert_eq!(
        error(site),
        "error: the network private has no IPv6
 --> site.toml:4:6
  |
4 | v6 = \"2001:db8:0:1::11\"
  |      ^^^^^^^^^^^^^^^^^^
hint: take the address out, or give private a `v6`"
    );
    assert_eq!(
        error("[architectures.arch4.networks.private]\nv6 = \"off\"\n"),
        "error: `off` is not a network such as 172.16.0.0/16 or 2001:db8::/64
 --> site.toml:2:6
  |
2 | v6 = \"off\"
  |      ^^^^^
hint: or write \"none\": the network has no IPv6"
    );
}

#[test]
fn public_addresses_by_dhcp() {
    let dhcp = "[architectures.arch1.networks.public]\ndhcp = true\n";
    let spec = load(dhcp);
    let web1 = files(&spec, "arch1-web1");
    let network = &web1["/etc/systemd/network/10-eth0.network"];
    assert!(network.contains("DHCP=ipv4\nIPv6AcceptRA=yes\n"), "{network}");
    assert!(!network.contains("[Address]"), "{network}");
    assert!(web1["/etc/systemd/network/10-eth1.network"].contains("Address=192.168.0.11/24"));
    let nginx = &web1["/etc/nginx/sites-available/site"];
    assert!(nginx.contains("    listen 0.0.0.0:80;\n    listen [::]:80 ipv6only=on;\n"), "{nginx}");
    let firewall = &web1["/etc/nftables.conf"];
    assert!(
        firewall.contains("iifname \"eth0\" tcp dport 80 accept comment \"web: web\""),
        "{firewall}"
    );
    assert!(firewall.contains("iifname \"eth0\" icmpv6 type { nd-router-advert }"), "{firewall}");
    let hosts = &web1["/etc/hosts"];
    assert!(!hosts.contains("public"), "{hosts}");
    // The other architectures are as they were.
    let other = &files(&spec, "arch2-web1")["/etc/nftables.conf"];
    assert!(!other.contains("nd-router-advert"), "{other}");
}

#[test]
fn dhcp_where_addresses_must_be_known() {
    assert_eq!(
        error("[architectures.arch4.networks.public]\ndhcp = true\n"),
        "error: the floating address web cannot be in public, which gives its addresses by DHCP
 --> site.toml:2:8
  |
2 | dhcp = true
  |        ^^^^
hint: ask the provider for fixed addresses; or use an architecture that needs none: arch1, arch2, arch5"
    );
    assert_eq!(
        error(
            "[admin]\nssh = [\"private\", \"public\"]\n[architectures.arch1.networks.public]\ndhcp = true\n"
        ),
        "error: SSH cannot be offered in public, which gives its addresses by DHCP
 --> site.toml:4:8
  |
4 | dhcp = true
  |        ^^^^
hint: the firewall lets in a network that it knows: take this one out of `ssh` under [admin]"
    );
    assert_eq!(
        error("[admin]\nssh = []\n[architectures.arch1.networks.private]\ndhcp = true\n"),
        "error: the network private cannot give its addresses by DHCP
 --> site.toml:4:8
  |
4 | dhcp = true
  |        ^^^^
  port `munin` of database1 lets in the network private, by address
hint: write the addresses that the provider gives; or ask for a network of your own for this one"
    );
    assert_eq!(
        error("[architectures.arch1.networks.public]\ndhcp = true\ngateway-v4 = \"172.16.0.1\"\n"),
        "error: the network public gives its gateways by DHCP
 --> site.toml:3:14
  |
3 | gateway-v4 = \"172.16.0.1\"
  |              ^^^^^^^^^^^^
hint: take this line out, or `dhcp = true`"
    );
    assert_eq!(
        error(
            "[architectures.arch1.networks.public]\ndhcp = true\n[architectures.arch1.addresses.web1.public]\nv4 = \"172.16.0.11\"\n"
        ),
        "error: the network public gives its addresses by DHCP
 --> site.toml:4:6
  |
4 | v4 = \"172.16.0.11\"
  |      ^^^^^^^^^^^^^
hint: take this line out, or `dhcp = true`"
    );
}

/// A public network as Hetzner Cloud's.
const ROUTED: &str = "[architectures.arch2.networks.public]
routed = true
gateway-v4 = \"172.31.1.1\"
gateway-v6 = \"fe80::1\"
";
const OWN: &str = "[architectures.arch2.addresses.web1.public]
v4 = \"203.0.113.7\"
v6 = \"2001:db8:77:1::1\"
";

#[test]
fn networks_that_are_routed() {
    let private = "[architectures.arch2.networks.private]
routed = true
v4 = \"10.0.0.0/16\"
gateway-v4 = \"10.0.0.1\"
[architectures.arch2.addresses.web1.private]
v4 = \"10.0.0.2\"
[architectures.arch2.addresses.web2.private]
v4 = \"10.0.0.3\"
";
    let spec = load(&format!("{ROUTED}{OWN}{private}"));
    let web1 = files(&spec, "arch2-web1");
    let file = |name: &str| {
        let text = &web1[&format!("/etc/systemd/network/10-{name}.network")];
        text[text.find("\n[Address]").unwrap()..].to_owned()
    };
    assert_eq!(
        file("eth0"),
        "
[Address]
Address=203.0.113.7/32

[Address]
Address=2001:db8:77:1::1/128
DuplicateAddressDetection=none

[Route]
Gateway=172.31.1.1
GatewayOnLink=yes

[Route]
Gateway=fe80::1
GatewayOnLink=yes
"
    );
    // There is a public address: this one leads to the private network, and no further.
    let inner = "
[Route]
Destination=10.0.0.0/16
Gateway=10.0.0.1
GatewayOnLink=yes
";
    assert_eq!(file("eth1"), format!("\n[Address]\nAddress=10.0.0.2/32\n{inner}"));
    let web2 = &files(&spec, "arch2-web2")["/etc/systemd/network/10-eth1.network"];
    assert!(web2.ends_with(&format!("Address=10.0.0.3/32\n{inner}")), "no way out: {web2}");
}

#[test]
fn a_routed_networks_server_without_a_public_address() {
    let site = "[architectures.arch1]
nat = true
[architectures.arch1.networks.private]
routed = true
v4 = \"10.0.0.0/16\"
gateway-v4 = \"10.0.0.1\"
[architectures.arch1.addresses.web1.private]
v4 = \"10.0.0.2\"
[architectures.arch1.addresses.database1.private]
v4 = \"10.0.0.3\"
";
    // The way out is the provider's route to web1, not a neighbour.
    let database1 = files(&load(site), "arch1-database1");
    let text = &database1["/etc/systemd/network/10-eth1.network"];
    assert!(text.ends_with("\n[Route]\nGateway=10.0.0.1\nGatewayOnLink=yes\n"), "{text}");
    let shut = files(&load(&site.replace("nat = true", "nat = false")), "arch1-database1");
    let text = &shut["/etc/systemd/network/10-eth1.network"];
    assert_eq!(text.matches("[Route]").count(), 1, "{text}");
}

#[test]
fn routed_networks_that_cannot_work() {
    assert_eq!(
        error("[architectures.arch2.networks.public]\nrouted = true\n"),
        "error: the network public is `routed`, and has no gateway
 --> site.toml:2:10
  |
2 | routed = true
  |          ^^^^
hint: add `gateway-v4`, through which all packets go; it may be outside the network, as Hetzner Cloud's 172.31.1.1"
    );
    // The book's address is nobody's there.
    let lacking = error(ROUTED);
    assert!(lacking.starts_with("error: web1 has no `v4` in public\n"), "{lacking}");
    assert!(lacking.ends_with("hint: add the one that the provider gave it: `v4 = ...`"));
    let both = error(&format!("{ROUTED}dhcp = true\n{OWN}"));
    assert!(
        both.starts_with(
            "error: the network public is `routed`, and gives its addresses by DHCP\n"
        )
    );
    let addresses = "[architectures.arch4.addresses.web1.public]\nv4 = \"203.0.113.7\"\nv6 = \"2001:db8:77:1::1\"\n[architectures.arch4.addresses.web2.public]\nv4 = \"203.0.113.8\"\nv6 = \"2001:db8:77:2::1\"\n";
    let floating = error(&format!("{}{addresses}", ROUTED.replace("arch2", "arch4")));
    assert!(
        floating.starts_with("error: the floating address web cannot move in public, which is routed: nobody there learns of a new holder\n"),
        "{floating}"
    );
    let six = error(&format!(
        "{}v6 = \"2001:db8:77::/48\"\n{OWN}",
        ROUTED.replace("gateway-v6 = \"fe80::1\"\n", "")
    ));
    assert!(
        six.starts_with("error: the network public is `routed`, and has no gateway for IPv6\n"),
        "{six}"
    );
    let private = error(
        "[architectures.arch1.networks.private]\nrouted = true\ngateway-v4 = \"10.0.0.1\"\n[architectures.arch1.addresses.web1.private]\nv4 = \"10.0.0.2\"\n[architectures.arch1.addresses.database1.private]\nv4 = \"10.0.0.3\"\n",
    );
    assert!(private.starts_with("error: the routed network private has no prefix\n"), "{private}");
    let wrong = error(&format!("{ROUTED}{}", OWN.replace("203.0.113.7", "127.0.0.1")));
    assert!(
        wrong.starts_with("error: 127.0.0.1 is no server's address: it is every machine's own\n"),
        "{wrong}"
    );
}

#[test]
fn packages_everywhere_on_a_role_and_on_a_server() {
    let site = "packages = [\"htop\"]\n[roles.web]\npackages = [\"php8.4-gd\"]\n[architectures.arch4.servers.web2]\npackages = [\"nmap\"]\n";
    let spec = load(site);
    let arch4 = spec.architecture("arch4").unwrap();
    let asks = |server: &str, package: &str| {
        spec.packages(arch4.server(server).unwrap()).contains(package)
    };
    assert!(asks("database1", "htop") && asks("web1", "htop"));
    assert!(asks("web1", "php8.4-gd") && !asks("database1", "php8.4-gd"));
    assert!(asks("web2", "nmap") && !asks("web1", "nmap"));
    let place = |package: &str| (spec.asked[package].line, spec.asked[package].column);
    assert_eq!(place("htop"), (1, 13));
    assert_eq!(place("php8.4-gd"), (3, 13));
    assert_eq!(place("nmap"), (5, 13));
    assert_eq!(spec.asked["haproxy"].file, Path::new("roles/load-balancer.toml"));
    assert_eq!(
        error("[roles.wbe]\npackages = []\n"),
        "error: there is no role `wbe`
 --> site.toml:1:8
  |
1 | [roles.wbe]
  |        ^^^
hint: did you mean `web`?"
    );
}

#[test]
fn room_for_the_database_makes_the_disk_larger() {
    let spec = load("[database]\nsize = \"20G\"\n");
    let database1 = spec.architecture("arch4").unwrap().server("database1").unwrap();
    assert_eq!(database1.data.as_ref().unwrap().smallest.to_string(), "20G");
    assert_eq!(database1.disk.smallest.to_string(), "25G");
    let spec = load("[database]\nsize = \"20G\"\ndisk = \"/dev/vdb\"\n[disk]\nsmallest = \"5G\"\n");
    let arch4 = spec.architecture("arch4").unwrap();
    assert_eq!(arch4.server("database1").unwrap().disk.smallest.to_string(), "6G");
    assert_eq!(arch4.server("web1").unwrap().disk.smallest.to_string(), "5G");
}

#[test]
fn names_of_the_site() {
    assert_eq!(
        error("domains = [\"https://example.org\"]\n"),
        "error: `https://example.org` is not a DNS name
 --> site.toml:1:12
  |
1 | domains = [\"https://example.org\"]
  |            ^^^^^^^^^^^^^^^^^^^^^
hint: write it in lower case, without `https://` and `/`: `www.example.org`; other letters as `xn--...`"
    );
    let version = error("version = \"v 1\"\n");
    assert!(
        version.ends_with("hint: a date or a number is usual: `2026-11-24`, `1.2`"),
        "{version}"
    );
}

/// A project on disk: paths and contents.
fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn the_users_own_website_takes_the_place_of_the_demo_site() {
    let project = project(&[
        ("site.toml", "content = \"website\"\n"),
        ("website/index.php", "<?php echo 1;"),
        ("website/img/cat.JPG", "cat"),
        ("website/notes.j2", "{{ not a template }}"),
        ("website/.git/config", "[core]"),
    ]);
    let spec = Spec::read(project.path()).unwrap_or_else(|error| panic!("{error}"));
    let of = |image: &str| -> Vec<String> {
        let all = files(&spec, image).into_keys();
        all.filter_map(|path| path.strip_prefix("/var/www/site/").map(str::to_owned)).collect()
    };
    assert_eq!(of("arch4-web1"), ["img/cat.JPG", "index.php", "notes.j2"]);
    assert_eq!(files(&spec, "arch4-web1")["/var/www/site/notes.j2"], "{{ not a template }}");
    // The same list as nginx's.
    assert_eq!(of("arch2-web1"), ["img/cat.JPG"]);
}

#[test]
fn a_website_with_its_application_next_to_it() {
    let site = "content = \"shop\"\nweb-root = \"public\"\n";
    let project = project(&[
        ("site.toml", site),
        ("shop/src/app.php", "<?php"),
        ("shop/doc/manual.pdf", "%PDF"),
        ("shop/public/index.php", "<?php"),
        ("shop/public/logo.png", "PNG"),
    ]);
    let spec = Spec::read(project.path()).unwrap_or_else(|error| panic!("{error}"));
    let web1 = files(&spec, "arch4-web1");
    assert!(web1["/etc/nginx/sites-available/site"].contains("    root /var/www/site/public;\n"));
    assert!(web1.contains_key("/var/www/site/src/app.php"));
    let front = files(&spec, "arch2-web1");
    assert!(front["/etc/nginx/sites-available/site"].contains("    root /var/www/site/public;\n"));
    assert!(front.contains_key("/var/www/site/public/logo.png"));
    assert!(!front.contains_key("/var/www/site/doc/manual.pdf"), "visitors never saw it");
}

fn disk_error(files: &[(&str, &str)]) -> String {
    Spec::read(project(files).path()).expect_err("an error").to_string()
}

#[test]
fn a_website_that_is_not_there() {
    assert_eq!(
        disk_error(&[("site.toml", "content = \"website\"\n")]),
        "error: there is no folder website
 --> site.toml:1:11
  |
1 | content = \"website\"
  |           ^^^^^^^^^
hint: `content` is the folder with your website, as seen from site.toml's"
    );
    assert_eq!(
        disk_error(&[("site.toml", "content = \"website\"\n"), ("website/public/index.php", "")]),
        "error: website/ holds neither index.php nor index.html
 --> site.toml:1:11
  |
1 | content = \"website\"
  |           ^^^^^^^^^
hint: where the application lies next to the files that visitors see, `web-root` names their folder: `web-root = \"public\"`"
    );
}

#[test]
fn packages_and_keys_that_are_not_there() {
    assert_eq!(
        disk_error(&[("site.toml", "debs = [\"debs\"]\n"), ("debs/README", "")]),
        "error: debs holds no package
 --> site.toml:1:9
  |
1 | debs = [\"debs\"]
  |         ^^^^^^
hint: put `.deb` files into it, or take it out of `debs`"
    );
    let outside = disk_error(&[("site.toml", "debs = [\"../debs\"]\n")]);
    assert!(
        outside.starts_with("error: `../debs` is not a path below site.toml's folder\n"),
        "{outside}"
    );
    let source = "[sources.shop]\nurl = \"https://packages.example.org\"\nsuite = \"trixie\"\nkey = \"shop.asc\"\n";
    assert_eq!(
        disk_error(&[("site.toml", source)]),
        "error: there is no file shop.asc
 --> site.toml:4:7
  |
4 | key = \"shop.asc\"
  |       ^^^^^^^^^^
hint: save the OpenPGP key that signs the archive (`gpg --export --armor KEY`) next to site.toml, and name the file here"
    );
    let taken = disk_error(&[("site.toml", &source.replace("shop", "debian"))]);
    assert!(
        taken.starts_with("error: the archive id `debian` is taken\n --> site.toml:1:10\n"),
        "{taken}"
    );
    let url = disk_error(&[("site.toml", &source.replace("https", "ftp")), ("shop.asc", "")]);
    assert!(
        url.starts_with(
            "error: `ftp://packages.example.org` is not an archive's URL\n --> site.toml:2:7\n"
        ),
        "{url}"
    );
}

/// Who faces visitors ends TLS; the file is the seed's, or made at first boot.
#[test]
fn https_ends_where_visitors_arrive() {
    let spec = load("domains = [\"example.org\", \"www.example.org\"]\n");
    let config = |image: &str, path: &str| files(&spec, image).remove(path).unwrap_or_default();
    let (nginx, haproxy) = ("/etc/nginx/sites-available/site", "/etc/haproxy/haproxy.cfg");
    let listening = [
        ("arch1-web1", nginx, "listen 172.16.0.11:443 ssl;"),
        ("arch2-web1", nginx, "listen [2001:db8::ffff:11]:443 ssl ipv6only=on;"),
        ("arch3-server2", nginx, "listen 172.16.0.10:443 ssl;"),
        (
            "arch4-web2",
            haproxy,
            "bind 172.16.0.10:443 ssl crt /run/imagebuild/credentials/site.certificate",
        ),
        ("arch5-web1", nginx, "listen 172.16.0.11:443 ssl;"),
        ("arch6-web1", haproxy, "bind [2001:db8::ffff:10]:443 ssl crt "),
    ];
    for (image, path, line) in listening {
        assert!(config(image, path).contains(line), "{image}:\n{}", config(image, path));
    }
    for behind in ["arch2-web2", "arch4-web1", "arch6-web2"] {
        assert!(!config(behind, nginx).contains("ssl"), "{behind}:\n{}", config(behind, nginx));
        assert!(config(behind, nginx).contains("fastcgi_param HTTPS $visitor_https"), "{behind}");
    }
    let script = config("arch1-web1", "/usr/lib/imagebuild/certificate");
    assert!(script.contains("-subj /CN=example.org "), "{script}");
    assert!(script.contains("subjectAltName=DNS:example.org,DNS:www.example.org "), "{script}");
    assert!(config("arch1-web1", nginx).contains("server_name example.org www.example.org;"));
    assert_eq!(config("arch2-web2", "/usr/lib/imagebuild/certificate"), "");
}

/// The application's side: book, chapter 12; docs/site.md has the same table.
#[test]
fn every_architecture_tells_the_application_where_its_databases_are() {
    let spec = load("");
    let cache = "\ncache_socket = \"/run/memcached/memcached.sock\"\ncache_seconds = 3600\n";
    let expected = [
        ("arch1-web1", "192.168.0.21", "listed", "192.168.0.21", cache),
        ("arch2-web2", "localhost", "listed", "localhost", ""),
        ("arch3-server1", "localhost 192.168.0.10", "listed", "192.168.0.10", ""),
        ("arch3-server2", "localhost 192.168.0.10", "listed", "192.168.0.10", ""),
        ("arch4-web1", "192.168.0.21", "listed", "192.168.0.21", ""),
        ("arch5-web1", "192.168.0.21 192.168.0.22", "random", "192.168.0.20", ""),
        ("arch6-web2", "192.168.0.30", "listed", "192.168.0.31", ""),
    ];
    for (image, reads, order, writes, cache) in expected {
        let files = files(&spec, image);
        let server = image.split_once('-').unwrap().1;
        let ini = &files["/etc/imagebuild/site.ini"];
        assert!(ini.contains(&format!("server = \"{server}\"\n")), "{ini}");
        assert!(
            ini.contains(&format!("reads = \"{reads}\"\nreads_order = \"{order}\"\n")),
            "{ini}"
        );
        assert!(ini.contains(&format!("\nwrites = \"{writes}\"\n")), "{ini}");
        assert!(ini.ends_with(cache) && ini.contains("cache") != cache.is_empty(), "{ini}");
        let pool = &files["/etc/php/8.4/fpm/pool.d/www.conf"];
        assert!(pool.contains(&format!("env[SITE_SERVER] = {server}\n")), "{pool}");
        assert!(pool.contains(&format!("env[SITE_DATABASE_READS] = \"{reads}\"\n")), "{pool}");
        assert!(pool.contains(&format!("env[SITE_DATABASE_READS_ORDER] = {order}\n")), "{pool}");
        assert!(pool.contains(&format!("env[SITE_DATABASE_WRITES] = \"{writes}\"\n")), "{pool}");
        assert_eq!(pool.contains("env[SITE_CACHE_SECONDS] = 3600\n"), !cache.is_empty(), "{pool}");
    }
}

#[test]
fn a_name_that_would_break_out_of_its_quotes() {
    assert_eq!(
        error("name = 'The \"best\" site'\n"),
        "error: the site's name has the character '\"'
 --> site.toml:1:8
  |
1 | name = 'The \"best\" site'
  |        ^^^^^^^^^^^^^^^^^
hint: use typographic quotes; `\\`, `$` and control characters have no place in it"
    );
}

/// Whoever may come besides the networks' own addresses; nftables wants no prefix twice.
#[test]
fn where_the_admin_comes_from() {
    let ssh = |site: &str| {
        let firewall = files(&load(site), "arch4-web1").remove("/etc/nftables.conf").unwrap();
        let rules = firewall.lines().filter(|line| line.contains("comment \"base: ssh\""));
        rules.map(|line| line.trim().to_owned()).collect::<Vec<String>>()
    };
    let admin = |from: &str| format!("[admin]\nssh = [\"public\"]\nfrom = [{from}]\n");
    let to = |ip: &str, address: &str, from: &str| {
        format!(
            "iifname \"eth0\" {from}{ip} daddr {address} tcp dport 22 accept comment \"base: ssh\""
        )
    };
    let (v4, v6) = ("172.16.0.11", "2001:db8::ffff:11");
    assert_eq!(
        ssh(&admin(r#""198.51.100.0/24", "172.16.0.0/24", "2001:db8:77::/48""#)),
        [
            to("ip", v4, "ip saddr { 172.16.0.0/16, 198.51.100.0/24 } "),
            to("ip6", v6, "ip6 saddr { 2001:db8:77::/48, 2001:db8::/64 } "),
        ]
    );
    assert_eq!(
        ssh(&admin(r#""0.0.0.0/0""#)),
        [to("ip", v4, ""), to("ip6", v6, "ip6 saddr { 2001:db8::/64 } ")]
    );
}
