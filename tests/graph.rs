//! The drawing of a topology: pinned as text, and well formed as SVG.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use imagebuild::graph;
use imagebuild::spec::{Spec, Tree};
use std::io::Write;

fn spec() -> Spec {
    Spec::load(Tree::embedded()).unwrap()
}

#[test]
fn all_six_as_text_and_svg() {
    let spec = spec();
    let mut mint = goldenfile::Mint::new("tests/goldens/graph");
    for architecture in spec.architectures.values() {
        let name = &architecture.name;
        let mut text = mint.new_goldenfile(format!("{name}.txt")).unwrap();
        write!(text, "{}", graph::text(&spec, architecture)).unwrap();
        let mut svg = mint.new_goldenfile(format!("{name}.svg")).unwrap();
        write!(svg, "{}", graph::svg(&spec, architecture)).unwrap();
    }
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

/// An attribute of an element, as a number.
fn number(element: &str, name: &str) -> f64 {
    let rest = element.split_once(&format!(" {name}=\"")).unwrap().1;
    rest.split_once('"').unwrap().0.parse().unwrap()
}

/// Left, top, right and bottom of every box, bar and pill.
fn boxes(svg: &str) -> Vec<[f64; 4]> {
    let rects = svg.lines().filter(|line| line.starts_with("<rect") && line.contains(" x="));
    let corners = |line: &str| {
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| number(line, name));
        [x, y, x + width, y + height]
    };
    rects.map(corners).collect()
}

#[test]
fn no_text_leaves_its_box_or_meets_another() {
    let spec = spec();
    for architecture in spec.architectures.values() {
        let svg = graph::svg(&spec, architecture);
        let mut taken: Vec<[f64; 4]> = Vec::new();
        for line in svg.lines().filter(|line| line.starts_with("<text")) {
            let (x, y) = (number(line, "x"), number(line, "y"));
            let words = line.split(['<', '>']).nth(2).unwrap();
            let size = if line.contains("\"s\"") { 11.5 } else { 13.0 };
            // DejaVu Sans, the widest of the usual fonts, as measured: 0.5 to 0.56.
            let area = [x, y - size, x + words.chars().count() as f64 * size * 0.56, y];
            let holder = boxes(&svg)
                .into_iter()
                .rev()
                .find(|b| b[0] < x && x < b[2] && b[1] < y && y < b[3]);
            let right = holder.map_or(number(svg.lines().next().unwrap(), "width"), |b| b[2]);
            assert!(area[2] < right, "{}: {words}", architecture.name);
            let meets = |other: &&[f64; 4]| {
                area[0] < other[2] && other[0] < area[2] && area[1] < other[3] && other[1] < area[3]
            };
            assert!(taken.iter().find(meets).is_none(), "{}: {words}", architecture.name);
            taken.push(area);
        }
    }
}
