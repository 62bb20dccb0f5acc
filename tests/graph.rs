//! The drawing of a topology: pinned as text, and well formed as SVG.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use imagebuild::graph;
use imagebuild::spec::{Spec, Tree};
use std::io::Write;

fn spec() -> Spec {
    Spec::load(Tree::embedded()).unwrap()
}

#[test]
fn architecture_4_as_text_and_svg() {
    let spec = spec();
    let architecture = spec.architecture("arch4").unwrap();
    let mut mint = goldenfile::Mint::new("tests/goldens/graph");
    let mut text = mint.new_goldenfile("arch4.txt").unwrap();
    write!(text, "{}", graph::text(&spec, architecture)).unwrap();
    let mut svg = mint.new_goldenfile("arch4.svg").unwrap();
    write!(svg, "{}", graph::svg(&spec, architecture)).unwrap();
}

#[test]
fn every_drawing_names_every_server_network_and_floating_address() {
    let spec = spec();
    for architecture in spec.architectures.values() {
        let svg = graph::svg(&spec, architecture);
        let text = graph::text(&spec, architecture);
        let floating = architecture.floating.values().map(|f| f.addresses.shown().0);
        let names = architecture.servers.keys().chain(architecture.networks.keys()).cloned();
        for name in names.chain(floating) {
            assert!(svg.contains(&name), "{} as SVG lacks {name}", architecture.name);
            assert!(text.contains(&name), "{} as text lacks {name}", architecture.name);
        }
    }
}

#[test]
fn titles_are_escaped() {
    let mut spec = spec();
    let architecture = spec.architectures.get_mut("arch4").unwrap();
    architecture.title = "a < b & c".to_owned();
    let svg = graph::svg(&spec, spec.architecture("arch4").unwrap());
    assert!(svg.contains("a &lt; b &amp; c"));
    assert!(!svg.contains("a < b"));
}
