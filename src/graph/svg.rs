//! The topology as SVG: networks as bars, servers as boxes between them, floating
//! addresses on the bar of their network, with a dashed line to each server that may
//! hold them.

use super::measure::{width, wrap};
use super::{openings, purpose, roles};
use crate::spec::{Architecture, Floating, Network, Server, Spec};

/// Pixels: a server's box, what is between boxes and around all, a line of text, a bar.
const BOX: usize = 320;
const GAP: usize = 30;
const LINE: usize = 17;
const BAR: usize = 46;
/// Between a box and a bar: two lines of addresses, and more for each dashed line.
const SPACE: usize = 48;
const RAIL: usize = 12;
/// Inside of boxes, bars and pills.
const PADDING: usize = 14;

const TEXT: f64 = 13.0;
const SMALL: f64 = 11.5;

/// Readable on a light page and on a dark one: whoever shows it says which it is.
const STYLE: &str = "text{font:13px sans-serif;fill:#1b1b1b}.t{font-weight:bold;font-size:15px}.s{font-size:11.5px;fill:#444}.b{fill:#fff}.n{fill:#dfe8f1;stroke:#35526f}.m{fill:#fbfbf8;stroke:#555;stroke-width:1.5}.f{fill:#fdeec4;stroke:#a77b14;stroke-width:1.5}.l{stroke:#35526f;stroke-width:2}.h{fill:none;stroke:#a77b14;stroke-width:1.5;stroke-dasharray:5 4}@media(prefers-color-scheme:dark){text{fill:#eee}.s{fill:#c4c4c4}.b{fill:#16191d}.n{fill:#24384b;stroke:#7fa3c6}.m{fill:#20242a;stroke:#999}.f{fill:#4a3a10;stroke:#d9ab3c}.l{stroke:#7fa3c6}.h{stroke:#d9ab3c}}";

/// A row of servers and where it stands.
struct Row<'a> {
    servers: Vec<&'a Server>,
    top: usize,
    height: usize,
}

impl Row<'_> {
    /// The left edge of the box in this column; rows are centred.
    fn left(&self, column: usize, canvas: usize) -> usize {
        let taken = self.servers.len() * (BOX + GAP) - GAP;
        (canvas - taken) / 2 + column * (BOX + GAP)
    }

    fn holds(&self, floating: &Floating) -> bool {
        self.servers.iter().any(|server| floating.holders.contains(&server.name))
    }
}

/// The drawing of an architecture, a whole SVG document.
pub fn svg(spec: &Spec, architecture: &Architecture) -> String {
    let canvas = canvas(architecture);
    let (rows, bars, height) = places(spec, architecture);
    let mut body = String::new();
    for (network, top) in &bars {
        for row in &rows {
            body += &links(row, network, *top, canvas);
            body += &holders(architecture, network, *top, row, canvas);
        }
        body += &bar(architecture, network, *top, canvas);
    }
    for row in &rows {
        for (column, server) in row.servers.iter().enumerate() {
            body += &machine(spec, architecture, server, row.left(column, canvas), row);
        }
    }
    let title = escape(&format!("{}: {}", architecture.name, architecture.title));
    let (name, what) = (&architecture.name, escape(&architecture.title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {canvas} {height}\" width=\"{canvas}\" height=\"{height}\" role=\"img\"><title>{title}</title><style>{STYLE}</style>\n<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n{}{}{body}</svg>\n",
        text("t", GAP, 26, name),
        text("s", GAP, 45, &what),
    )
}

/// Room for the wider row, and on each bar for the network and its floating addresses.
fn canvas(architecture: &Architecture) -> usize {
    let front = architecture.servers.values().filter(|server| is_front(server)).count();
    let columns = front.max(architecture.servers.len() - front).max(2);
    let bars = architecture.networks.values().map(|network| {
        let pills = floating_on(architecture, network).map(|f| pill_width(f) + PADDING);
        width(&prefixes(network), SMALL) + 2 * PADDING + pills.sum::<usize>()
    });
    (columns * (BOX + GAP) - GAP).max(bars.max().unwrap_or(0)) + 2 * GAP
}

fn is_front(server: &Server) -> bool {
    server.addresses.contains_key("public")
}

type Bars<'a> = Vec<(&'a Network, usize)>;

/// From above: the public network, servers on it, the private network, the others.
fn places<'a>(spec: &Spec, architecture: &'a Architecture) -> (Vec<Row<'a>>, Bars<'a>, usize) {
    let (front, back): (Vec<&Server>, Vec<&Server>) =
        architecture.servers.values().partition(|server| is_front(server));
    let row = |servers: Vec<&'a Server>, top| {
        let lines = servers.iter().map(|server| lines(spec, architecture, server).len());
        let height = lines.max().map_or(0, |most| most * LINE + 40);
        Row { servers, top, height }
    };
    let mut bars = Vec::new();
    let mut top = 62;
    if let Some(public) = architecture.networks.get("public") {
        bars.push((public, top));
        top += BAR + SPACE + rails(architecture, public, &front);
    }
    let first = row(front, top);
    top += first.height;
    let Some(private) = architecture.networks.get("private") else {
        return (vec![first], bars, top + 20);
    };
    top += if first.servers.is_empty() {
        0
    } else {
        SPACE + rails(architecture, private, &first.servers)
    };
    bars.push((private, top));
    let second = row(back, 0);
    if second.servers.is_empty() {
        return (vec![first], bars, top + BAR + 20);
    }
    top += BAR + SPACE + rails(architecture, private, &second.servers);
    let height = top + second.height + 20;
    (vec![first, Row { top, ..second }], bars, height)
}

/// Pixels for the dashed lines between a bar and these servers.
fn rails(architecture: &Architecture, network: &Network, servers: &[&Server]) -> usize {
    let row = Row { servers: servers.to_vec(), top: 0, height: 0 };
    floating_on(architecture, network).filter(|floating| row.holds(floating)).count() * RAIL
}

fn prefixes(network: &Network) -> String {
    let (v4, v6) = network.shown();
    format!("{v4}, {v6}")
}

fn bar(architecture: &Architecture, network: &Network, top: usize, canvas: usize) -> String {
    let mut out = format!(
        "<rect class=\"n\" x=\"{GAP}\" y=\"{top}\" width=\"{}\" height=\"{BAR}\" rx=\"5\"/>\n{}{}",
        canvas - 2 * GAP,
        text("t", GAP + PADDING, top + 20, &escape(&network.name)),
        text("s", GAP + PADDING, top + 37, &prefixes(network)),
    );
    for (floating, x) in pills(architecture, network, canvas) {
        out += &format!(
            "<rect class=\"f\" x=\"{x}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"16\"/>\n{}{}",
            top + 4,
            pill_width(floating),
            BAR - 8,
            text("s", x + PADDING, top + 19, &addresses(floating)),
            text("s", x + PADDING, top + 34, &what(floating)),
        );
    }
    out
}

fn addresses(floating: &Floating) -> String {
    let (v4, v6) = floating.addresses.shown();
    format!("{v4}, {v6}")
}

fn what(floating: &Floating) -> String {
    format!("floating: {}", purpose(floating.purpose))
}

fn pill_width(floating: &Floating) -> usize {
    width(&addresses(floating), SMALL).max(width(&what(floating), SMALL)) + 2 * PADDING
}

fn floating_on<'a>(
    architecture: &'a Architecture,
    network: &'a Network,
) -> impl Iterator<Item = &'a Floating> {
    architecture.floating.values().filter(move |floating| floating.network == network.name)
}

/// The floating addresses of a bar and their left edges, from the right.
fn pills<'a>(
    architecture: &'a Architecture,
    network: &'a Network,
    canvas: usize,
) -> Vec<(&'a Floating, usize)> {
    let mut right = canvas - GAP - 4;
    let place = |floating: &'a Floating| {
        let x = right - pill_width(floating);
        right = x - PADDING;
        (floating, x)
    };
    floating_on(architecture, network).map(place).collect()
}

/// A line from each attached server to its network, with the server's own addresses.
fn links(row: &Row<'_>, network: &Network, bar: usize, canvas: usize) -> String {
    let attached = row.servers.iter().enumerate();
    let link = |(column, server): (usize, &&Server)| {
        let (v4, v6) = server.addresses.get(&network.name)?.shown();
        let x = row.left(column, canvas) + 40;
        let (from, to) = ends(row, bar);
        // Beside the box, where no dashed line goes along.
        let y = if bar < row.top { row.top - 22 } else { row.top + row.height + 18 };
        Some(format!(
            "<line class=\"l\" x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\"/>\n{}{}",
            text("s", x + 8, y, &format!("{}  {v4}", network.interface)),
            text("s", x + 8, y + 14, &v6),
        ))
    };
    attached.filter_map(link).collect()
}

/// From the box's edge to the bar's, whichever is above.
fn ends(row: &Row<'_>, bar: usize) -> (usize, usize) {
    if bar < row.top { (bar + BAR, row.top) } else { (row.top + row.height, bar) }
}

/// From each floating address of the bar a dashed line along it, and from there to the
/// servers of the row that may hold it.
fn holders(
    architecture: &Architecture,
    network: &Network,
    bar: usize,
    row: &Row<'_>,
    canvas: usize,
) -> String {
    let pills = pills(architecture, network, canvas);
    let held = pills.into_iter().filter(|(floating, _)| row.holds(floating));
    let mut out = String::new();
    for (number, (floating, x)) in held.enumerate() {
        let middle = x + pill_width(floating) / 2;
        let below = bar < row.top;
        let (edge, target) = if below { (bar + BAR, row.top) } else { (bar, row.top + row.height) };
        let rail = if below { edge + RAIL * (number + 1) } else { edge - RAIL * (number + 1) };
        for (column, server) in row.servers.iter().enumerate() {
            if floating.holders.contains(&server.name) {
                // Right of the addresses, which stand beside the link on the left.
                let to = row.left(column, canvas) + BOX - 30 - 24 * number;
                out +=
                    &format!("<path class=\"h\" d=\"M{middle} {edge}V{rail}H{to}V{target}\"/>\n");
            }
        }
    }
    out
}

fn machine(
    spec: &Spec,
    architecture: &Architecture,
    server: &Server,
    x: usize,
    row: &Row<'_>,
) -> String {
    let (top, height) = (row.top, row.height);
    let mut out = format!(
        "<rect class=\"m\" x=\"{x}\" y=\"{top}\" width=\"{BOX}\" height=\"{height}\" rx=\"8\"/>\n{}",
        text("t", x + PADDING, top + 24, &escape(&server.name)),
    );
    for (number, line) in lines(spec, architecture, server).into_iter().enumerate() {
        let y = top + 44 + number * LINE;
        out += &text(line.class, x + PADDING + line.indent, y, &escape(&line.text));
    }
    out
}

/// A line of text in a server's box.
struct Line {
    class: &'static str,
    indent: usize,
    text: String,
}

/// What stands in a server's box below its name: its roles, and what it listens for.
fn lines(spec: &Spec, architecture: &Architecture, server: &Server) -> Vec<Line> {
    let room = BOX - 2 * PADDING;
    let roles = wrap(&roles(server), TEXT, room).into_iter();
    let mut lines: Vec<Line> = roles.map(|text| Line { class: "r", indent: 0, text }).collect();
    let mut told: Vec<String> = Vec::new();
    for port in openings(spec, architecture, server) {
        let name = if port.number == port.name { String::new() } else { format!(" {}", port.name) };
        let words = format!("{}{name}, {}", port.number, port.from);
        // One port on two addresses is one line.
        if port.from == "from itself" || told.contains(&words) {
            continue;
        }
        for (number, text) in wrap(&words, SMALL, room - PADDING).into_iter().enumerate() {
            let indent = if number == 0 { 0 } else { PADDING };
            lines.push(Line { class: "s", indent, text });
        }
        told.push(words);
    }
    lines
}

/// A line of text that is escaped already, from `x` on, on the base line `y`.
fn text(class: &str, x: usize, y: usize, text: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
