//! The sites of examples/ for real: every image that they configure is built, and that with
//! addresses by DHCP is booted by `imagebuild test`, as its owner would.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod fixture;
mod project;
mod site;

use fixture::Archive;
use imagebuild::spec::Spec;
use site::Site;

/// Each example and the architectures that it is about.
const EXAMPLES: [(&str, &[&str]); 6] = [
    ("dhcp", &["arch1", "arch2", "arch5"]),
    ("ipv6-public-only", &["arch6"]),
    ("own-addresses", &["arch4"]),
    ("own-packages", &["arch1"]),
    ("own-role", &["arch4"]),
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

#[test]
fn every_example_is_built() {
    let folders = std::fs::read_dir(project::folder().join("examples")).unwrap();
    let folders = folders.filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), EXAMPLES.len(), "an example that is not built");
    for (name, architectures) in EXAMPLES {
        let example = Site::example(name);
        let _archive = (name == "own-packages").then(|| with_archive(&example));
        let spec = Spec::read(example.folder()).unwrap_or_else(|e| panic!("{name}: {e}"));
        for architecture in architectures {
            let said = example.run(&[architecture, "--quiet"]);
            assert_eq!(said.code, 0, "{name}, {architecture}: {}", said.text);
            let servers = spec.architecture(architecture).unwrap().servers.values();
            for server in servers {
                let image = example.path(&format!("out/{}.qcow2", server.image_id));
                let size = image.metadata().unwrap_or_else(|e| panic!("{name}: {e}")).len();
                assert!(size > 100 << 20, "{name}: {} has {size} bytes", server.image_id);
            }
            std::fs::remove_dir_all(example.path("out")).unwrap();
        }
    }
}

/// A scenario of a user's own, which must go red: this is not what the website says.
const WRONG: &str = r#"title = "The website sells bread"

[[steps]]
say = "a customer looks"
expect = [{ answers = { url = "http://web1.public/", body = "fresh bread", within = 1 } }]
"#;

#[test]
fn addresses_by_dhcp_are_what_the_machines_get() {
    let example = Site::example("dhcp");
    example.put("bread.toml", WRONG);
    let scenarios = ["--scenario", "as-shipped", "--scenario", "bread.toml"];
    let reports = ["--report", "test.html", "--junit", "test.xml", "--json", "test.json"];
    let run = example.run(&[&["test", "arch2"][..], &scenarios, &reports].concat());
    let said = run.text;
    assert_eq!(run.code, 4, "{said}");
    assert!(said.contains("        Kept as-shipped"), "{said}");
    assert!(said.contains("error: 1 of 2 runs did not go as they must\n  bread\n"), "{said}");
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

#[test]
fn the_list_of_examples_is_whole() {
    let readme = std::fs::read_to_string(project::folder().join("examples/README.md")).unwrap();
    for (name, _) in EXAMPLES {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in examples/README.md");
        assert!(project::folder().join("examples").join(name).is_dir());
    }
}
