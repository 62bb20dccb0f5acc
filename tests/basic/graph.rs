//! The drawing of a topology: pinned as text, and well formed as SVG.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use imagebuild::graph;
use imagebuild::spec::{Architecture, Spec, Tree};
use std::io::Write;

/// An architecture of three networks.
const STORAGE: &str = include_str!("graph/storage.toml");

const GATE: &str = r#"description = "what visitors reach"

[[ports]]
name = "http"
number = 80
protocol = "tcp"
bind = { floating = "web" }
from = ["any"]
"#;

const FILES: &str = r#"description = "what others read and write"

[[ports]]
name = "files"
number = 2049
protocol = "tcp"
bind = { network = "storage" }
from = [{ role = "gate" }, { network = "storage" }]
"#;

fn spec() -> Spec {
    Spec::load(Tree::embedded()).unwrap()
}

/// A project with this one architecture.
fn own(image: &str) -> Spec {
    let mut tree = Tree::default();
    tree.insert("roles/base.toml", "description = \"all servers\"\n");
    tree.insert("roles/gate.toml", GATE);
    if image.contains("[networks.storage]") {
        tree.insert("roles/files.toml", FILES);
    }
    tree.insert("images/storage.toml", image);
    Spec::load(tree).unwrap_or_else(|error| panic!("{error}"))
}

/// Architectures of one, of two and of four networks with names of their own, of which
/// some have no server that would stand below them.
fn others() -> Vec<Spec> {
    let servers = |attached: &[(&str, &[usize])]| {
        let mut text = String::new();
        for (host, (server, networks)) in attached.iter().enumerate() {
            text += &format!("[servers.{server}]\nroles = [\"base\"]\n");
            for network in *networks {
                text += &format!("[servers.{server}.addresses.n{network}]\n");
                text += &format!("v4 = \"10.0.{network}.{}\"\n", host + 11);
                text += &format!("v6 = \"2001:db8:{network}::{}\"\n", host + 11);
            }
        }
        text
    };
    let image = |networks: usize, attached: &[(&str, &[usize])]| {
        let (_, rest) = STORAGE.split_once("[endpoints]").unwrap();
        let rest = rest.replace("{ floating = \"reads\" }", "\"local\"");
        let rest = rest.replace("{ floating = \"writes\" }", "\"local\"");
        let rest = rest.replace("[\"back\", \"storage\"]", "[\"n1\"]");
        let mut text = "title = \"others\"\n".to_owned();
        for n in 0..networks {
            text += &format!("[networks.n{n}]\ninterface = \"eth{}\"\n", networks - n);
            text += &format!("v4 = \"10.0.{n}.0/24\"\nv6 = \"2001:db8:{n}::/64\"\n");
        }
        own(&format!("{text}{}[endpoints]{rest}", servers(attached)))
    };
    vec![
        image(2, &[("a", &[0, 1]), ("b", &[1])]),
        image(2, &[("a", &[0]), ("b", &[0])]),
        image(4, &[("a", &[0, 1, 2, 3]), ("b", &[1, 3]), ("c", &[0]), ("d", &[0, 3])]),
        image(4, &[("a", &[1, 3]), ("b", &[1, 3])]),
    ]
}

/// All that the tests draw.
fn drawings() -> Vec<Spec> {
    let mut all = others();
    all.extend([spec(), own(STORAGE)]);
    all
}

fn architectures(specs: &[Spec]) -> impl Iterator<Item = (&Spec, &Architecture)> {
    specs.iter().flat_map(|spec| spec.architectures.values().map(move |one| (spec, one)))
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
fn three_networks_of_a_users_own() {
    let spec = own(STORAGE);
    let architecture = spec.architecture("storage").unwrap();
    let mut mint = goldenfile::Mint::new("tests/goldens/graph");
    let mut text = mint.new_goldenfile("storage.txt").unwrap();
    write!(text, "{}", graph::text(&spec, architecture)).unwrap();
    let mut svg = mint.new_goldenfile("storage.svg").unwrap();
    write!(svg, "{}", graph::svg(&spec, architecture)).unwrap();
}

#[test]
fn every_drawing_names_every_server_network_and_floating_address() {
    for (spec, architecture) in architectures(&drawings()) {
        let svg = graph::svg(spec, architecture);
        let text = graph::text(spec, architecture);
        let floating = architecture.floating.values().map(|f| f.addresses.shown().0);
        let names = architecture.servers.keys().chain(architecture.networks.keys()).cloned();
        let own = architecture.servers.values().flat_map(|server| server.addresses.values());
        let own = own.map(|own| own.shown().0);
        for name in names.chain(floating).chain(own) {
            let (in_tag, in_line) = (format!(">{name}"), format!("  {name}<"));
            let drawn = svg.contains(&in_tag) || svg.contains(&in_line);
            assert!(drawn, "{} as SVG lacks {name}", architecture.name);
            assert!(text.contains(&name), "{} as text lacks {name}", architecture.name);
        }
    }
}

/// Each attached server has its line, and what leads past a bar goes round it: no line
/// goes through a box, a bar or an address.
#[test]
fn no_line_goes_through_a_box() {
    for (spec, architecture) in architectures(&drawings()) {
        let svg = graph::svg(spec, architecture);
        let boxes = boxes(&svg);
        let ends: Vec<[f64; 2]> = svg.lines().flat_map(points).flatten().collect();
        let attached = architecture.servers.values().map(|server| server.addresses.len());
        assert!(ends.len() >= 2 * attached.sum::<usize>(), "{}", architecture.name);
        for line in svg.lines().flat_map(points) {
            for ends in line.windows(2) {
                let [[ax, ay], [bx, by]] = [ends[0], ends[1]];
                let [left, right, top, bottom] = [ax.min(bx), ax.max(bx), ay.min(by), ay.max(by)];
                assert!(left == right || top == bottom, "{}: {ends:?}", architecture.name);
                let meets = |b: &&[f64; 4]| {
                    left < b[2]
                        && b[0] < right.max(left + 0.1)
                        && top < b[3]
                        && b[1] < bottom.max(top + 0.1)
                };
                assert_eq!(boxes.iter().find(meets), None, "{}: {ends:?}", architecture.name);
            }
        }
    }
}

/// The corners of a line, of any of the three elements that draw one.
fn points(element: &str) -> Option<Vec<[f64; 2]>> {
    if element.starts_with("<line ") {
        let [ax, ay, bx, by] = ["x1", "y1", "x2", "y2"].map(|name| number(element, name));
        return Some(vec![[ax, ay], [bx, by]]);
    }
    if element.starts_with("<polyline ") {
        let list = element.split_once("points=\"")?.1.split('"').next()?;
        let point = |text: &str| {
            let (x, y) = text.split_once(',').unwrap();
            [x.parse().unwrap(), y.parse().unwrap()]
        };
        return Some(list.split(' ').map(point).collect());
    }
    let path = element.strip_prefix("<path ")?.split_once("d=\"M")?.1.split('"').next()?;
    let steps = path.replace('V', " V").replace('H', " H");
    let mut steps = steps.split(' ');
    let mut at: [f64; 2] = [steps.next()?.parse().unwrap(), steps.next()?.parse().unwrap()];
    let mut corners = vec![at];
    for step in steps {
        let (way, to) = step.split_at(1);
        at[usize::from(way == "V")] = to.parse().unwrap();
        corners.push(at);
    }
    Some(corners)
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
    for (spec, architecture) in architectures(&drawings()) {
        let svg = graph::svg(spec, architecture);
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
