//! The sites of examples/ for real: every image that they configure is built, and that with
//! addresses by DHCP is booted by `imagebuild test`, as its owner would.

use crate::fixture::Archive;
use crate::project::{self, Project};
use crate::site::Site;
use crate::tiers::{Runs, Suite};
use libtest_mimic::Completion;

/// Each example and the architectures that it is about.
const EXAMPLES: [(&str, &[&str]); 8] = [
    ("dhcp", &["arch1", "arch2", "arch5"]),
    ("hetzner-cloud", &["arch1", "arch2"]),
    ("ipv6-public-only", &["arch6"]),
    ("own-addresses", &["arch4"]),
    ("own-packages", &["arch1"]),
    ("own-role", &["arch4"]),
    ("third-vote", &["arch3"]),
    ("three-web-servers", &["arch4", "arch6"]),
];

/// The archive that the example names is made up: here is one.
fn with_archive(example: &Site) -> Archive {
    let mut shop = Archive::new();
    shop.add("trixie", "shop-widgets 2.0");
    shop.publish();
    example.put("keys/shop.asc", &shop.signer.public());
    let url = format!("file://{}", shop.root().join("debian").display());
    example.change("https://packages.example.org/debian", &url);
    example.change("\"stable\"", "\"trixie\"");
    shop
}

/// The tests, one at a time.
pub(crate) fn add(suite: &mut Suite) {
    type Test = (&'static str, Runs, &'static str, fn());
    let tests: [Test; 4] = [
        ("examples::the_list_is_whole", Runs::Always, "", the_list_of_examples_is_whole),
        (
            "examples::every_one_is_built",
            Runs::InGate,
            "builds 31 servers: 2 min",
            every_example_is_built,
        ),
        (
            "examples::addresses_by_dhcp",
            Runs::InGate,
            "boots 2 servers: 2 min",
            addresses_by_dhcp_are_what_the_machines_get,
        ),
        (
            "examples::routed_networks",
            Runs::InGate,
            "boots 2 servers: 2 min",
            routed_networks_lead_where_they_must,
        ),
    ];
    for (name, runs, cost, test) in tests {
        suite.add(name, (runs, cost), move || {
            test();
            Ok(Completion::Completed)
        });
    }
}

fn every_example_is_built() {
    let folders = std::fs::read_dir(project::folder().join("examples")).unwrap();
    let folders = folders.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), EXAMPLES.len(), "an example that is not built");
    for (name, architectures) in EXAMPLES {
        let example = Site::example(name);
        let _archive = (name == "own-packages").then(|| with_archive(&example));
        for architecture in architectures {
            let said = example.run(&["fetch", architecture, "--quiet"]);
            assert_eq!(said.code, 0, "{name}, {architecture}: {}", said.text);
        }
        let project = Project::of(example.folder());
        for architecture in architectures {
            let servers = &project.spec.architecture(architecture).unwrap().servers;
            for server in servers.keys() {
                let plan = project.plan_of(architecture, server);
                assert!(project.provide(&plan, "image").path("manifest.json").exists());
            }
            // One of them as its owner does: all others differ in nothing that is still to come.
            let server = servers.values().next().unwrap();
            let said = example.run(&[architecture, "--role", &server.name, "--quiet"]);
            assert_eq!(said.code, 0, "{name}, {architecture}: {}", said.text);
            let image = example.path(&format!("out/{}.qcow2", server.image_id));
            let size = image.metadata().unwrap_or_else(|e| panic!("{name}: {e}")).len();
            assert!(size > 100 << 20, "{name}: {} has {size} bytes", server.image_id);
        }
    }
}

/// A scenario of a user's own, which must go red: this is not what the website says.
const WRONG: &str = r#"title = "The website sells bread"

[[steps]]
name = "a customer looks"
expect = [{ answers = { url = "http://web1.public/", body = "fresh bread", within = 1 } }]
"#;

fn addresses_by_dhcp_are_what_the_machines_get() {
    let example = Site::example("dhcp");
    example.put("bread.toml", WRONG);
    let scenarios = ["--scenario", "as-shipped", "--scenario", "bread.toml"];
    let reports = ["--report", "test.html", "--junit", "test.xml", "--json", "test.json"];
    let run = example.run(&[&["test", "arch2"][..], &scenarios, &reports].concat());
    let said = run.text;
    assert_eq!(run.code, 4, "{said}");
    assert!(said.contains("      Passed as-shipped"), "{said}");
    assert!(said.contains("error: 1 of 2 runs failed\n  bread\n"), "{said}");
    assert!(said.contains("http://198.18.0.11/: 200 without \"fresh bread\""), "{said}");

    let junit = example.read("test.xml");
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
    assert!(example.read("test.html").contains("198.18.0.11"));
    assert!(example.read("test.json").contains("fresh bread"));
    // The capture has what was said about addresses.
    let capture = std::fs::read(example.path("out/test/arch2/public.pcapng")).unwrap();
    assert!(capture.windows(4).any(|bytes| bytes == [0x63, 0x82, 0x53, 0x63]), "no DHCP");
    example.assert_nothing_is_left();
}

/// The clients' address on the public network is nobody's neighbour; nothing listens there, and
/// its answer shows that the packet came, and with whose address.
const WAY_OUT: &str = r#"title = "All ways lead through the gateways"

[[steps]]
name = "the database's server reaches the outside, through web1, and each other through the router"
expect = [
    { command = { on = "database1", run = "timeout 20 bash -c 'exec 3<>/dev/tcp/198.19.255.250/80' 2>&1", code = 1, contains = "Connection refused", within = 5 } },
    { command = { on = "web1", run = "ip -4 route get 10.0.0.3", contains = "via 10.0.0.1 dev eth1" } },
    { command = { on = "web1", run = "ip -4 route get 198.51.100.9", contains = "via 172.31.1.1 dev eth0" } },
    { command = { on = "web1", run = "ip -6 route get 2001:db8:ffff::7", contains = "via fe80::1 dev eth0" } },
    { command = { on = "web1", run = "ip -4 neighbour show dev eth1", contains = "10.0.0.1 lladdr", lacks = "10.0.0.3" } },
    { answers = { url = "http://web1.public/", within = 5 } },
]

[[steps]]
name = "web1 forwards nothing any more"
do = [{ run = { on = "web1", command = "sysctl -q net.ipv4.ip_forward=0" } }]
expect = [{ command = { on = "database1", run = "timeout 10 bash -c 'exec 3<>/dev/tcp/198.19.255.250/80' 2>&1", code = 124, within = 5 } }]
"#;

fn routed_networks_lead_where_they_must() {
    let example = Site::example("hetzner-cloud");
    example.put("way-out.toml", WAY_OUT);
    let scenarios = ["--scenario", "as-shipped", "--scenario", "no-unexpected-ports"];
    let more = ["--scenario", "way-out.toml", "--no-negative-controls"];
    let run = example.run(&[&["test", "arch1"][..], &scenarios, &more].concat());
    assert_eq!(run.code, 0, "{}", run.text);
    for name in ["as-shipped", "no-unexpected-ports", "way-out"] {
        assert!(run.text.contains(&format!("      Passed {name}")), "{}", run.text);
    }
    example.assert_nothing_is_left();
}

fn the_list_of_examples_is_whole() {
    let readme = std::fs::read_to_string(project::folder().join("examples/README.md")).unwrap();
    for (name, _) in EXAMPLES {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in examples/README.md");
        assert!(project::folder().join("examples").join(name).is_dir());
    }
}
