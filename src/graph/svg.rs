//! The topology as SVG: networks as bars, servers as boxes between them, floating
//! addresses on the bar of their network, with a dashed line to each server that may
//! hold them.

use super::measure::wrap;
use super::places::{
    BAND, BAR, BOX, Bar, Far, GAP, LINE, Lane, PADDING, Places, RAIL, Row, SMALL, SPACE,
};
use super::places::{addresses, pill_width, prefixes, what};
use super::{openings, roles};
use crate::spec::{Architecture, Floating, Network, Server, Spec};

const TEXT: f64 = 13.0;

/// Readable on a light page and on a dark one: whoever shows it says which it is.
const STYLE: &str = "text{font:13px sans-serif;fill:#1b1b1b}.t{font-weight:bold;font-size:15px}.s{font-size:11.5px;fill:#444}.b{fill:#fff}.n{fill:#dfe8f1;stroke:#35526f}.m{fill:#fbfbf8;stroke:#555;stroke-width:1.5}.f{fill:#fdeec4;stroke:#a77b14;stroke-width:1.5}.l{stroke:#35526f;stroke-width:2}.h{fill:none;stroke:#a77b14;stroke-width:1.5;stroke-dasharray:5 4}@media(prefers-color-scheme:dark){text{fill:#eee}.s{fill:#c4c4c4}.b{fill:#16191d}.n{fill:#24384b;stroke:#7fa3c6}.m{fill:#20242a;stroke:#999}.f{fill:#4a3a10;stroke:#d9ab3c}.l{stroke:#7fa3c6}.h{stroke:#d9ab3c}}";

/// The drawing of an architecture, a whole SVG document.
pub fn svg(spec: &Spec, architecture: &Architecture) -> String {
    let places =
        Places::of(architecture, |server| lines(spec, architecture, server).len() * LINE + 40);
    let mut body = String::new();
    for row in 0..places.rows.len() {
        body += &far(&places, row);
    }
    for (number, bar) in places.bars.iter().enumerate() {
        body += &near(&places, number);
        body += &self::bar(bar);
    }
    for row in &places.rows {
        for (column, server) in row.servers.iter().enumerate() {
            body += &machine(spec, architecture, server, row.left(column), row);
        }
    }
    let Places { width, height, .. } = places;
    let title = escape(&format!("{}: {}", architecture.name, architecture.title));
    let (name, what) = (&architecture.name, escape(&architecture.title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\"><title>{title}</title><style>{STYLE}</style>\n<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n{}{}{body}</svg>\n",
        text("t", GAP, 26, name),
        text("s", GAP, 45, &what),
    )
}

fn bar(bar: &Bar<'_>) -> String {
    let (network, top) = (bar.network, bar.top);
    let mut out = format!(
        "<rect class=\"n\" x=\"{GAP}\" y=\"{top}\" width=\"{}\" height=\"{BAR}\" rx=\"5\"/>\n{}{}",
        bar.right - GAP,
        text("t", GAP + PADDING, top + 20, &escape(&network.name)),
        text("s", GAP + PADDING, top + 37, &prefixes(network)),
    );
    for (floating, x) in bar.pills() {
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

/// The lines between a bar and the rows above and below it.
fn near(places: &Places<'_>, number: usize) -> String {
    let (mut out, bar) = (String::new(), &places.bars[number]);
    if let Some(row) = number.checked_sub(1).and_then(|above| places.rows.get(above)) {
        let (top, edge) = (bar.top, row.bottom());
        // Beside the box, where no dashed line goes along.
        out += &links(row, bar.network, (edge, top), edge + 18);
        let rails = places.held_above(number).enumerate();
        let rails = rails.map(|(rail, floating)| (floating, top - RAIL * (rail + 1)));
        out += &holders(bar, row, rails, (top, edge));
    }
    if let Some(row) = places.rows.get(number) {
        let (bottom, edge) = (bar.top + BAR, row.top);
        out += &links(row, bar.network, (bottom, edge), edge.saturating_sub(22));
        let rails = places.held_below(number).enumerate();
        let rails = rails.map(|(rail, floating)| (floating, bottom + RAIL * (rail + 1)));
        out += &holders(bar, row, rails, (bottom, edge));
    }
    out
}

/// A line from each attached server to its network, with the server's own addresses on
/// the base line `y`.
fn links(row: &Row<'_>, network: &Network, (from, to): (usize, usize), y: usize) -> String {
    let link = |(column, server): (usize, &&Server)| {
        let x = row.left(column) + 40;
        let own = own(server, network, row.left(column), y)?;
        Some(format!("<line class=\"l\" x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\"/>\n{own}"))
    };
    row.servers.iter().enumerate().filter_map(link).collect()
}

/// A server's interface and addresses in a network, if it is attached.
fn own(server: &Server, network: &Network, left: usize, y: usize) -> Option<String> {
    let (v4, v6) = server.addresses.get(&network.name)?.shown();
    let first = text("s", left + 48, y, &format!("{}  {v4}", network.interface));
    Some(first + &text("s", left + 48, y + 14, &v6))
}

/// From each floating address of the bar a dashed line along it, and from there to the
/// servers of the row that may hold it.
fn holders<'a>(
    bar: &Bar<'_>,
    row: &Row<'_>,
    rails: impl Iterator<Item = (&'a Floating, usize)>,
    (edge, target): (usize, usize),
) -> String {
    let mut out = String::new();
    let held = rails.filter(|(floating, _)| row.holds(floating));
    for (number, (floating, rail)) in held.enumerate() {
        let middle = middle(bar, floating);
        for to in drops(row, floating, number) {
            out += &format!("<path class=\"h\" d=\"M{middle} {edge}V{rail}H{to}V{target}\"/>\n");
        }
    }
    out
}

/// Where dashed lines end at a floating address.
fn middle(bar: &Bar<'_>, floating: &Floating) -> usize {
    let pill = bar.pills().into_iter().find(|(one, _)| one.name == floating.name);
    pill.map_or(bar.right, |(_, x)| x + pill_width(floating) / 2)
}

/// Where the dashed lines of a row's floating address end at its holders: right of the
/// addresses, which stand beside the link on the left.
fn drops(row: &Row<'_>, floating: &Floating, number: usize) -> Vec<usize> {
    let holds = |server: &&Server| floating.holders.contains(&server.name);
    let holders = row.servers.iter().enumerate().filter(|(_, server)| holds(server));
    holders.map(|(column, _)| row.left(column) + BOX - 30 - 24 * number).collect()
}

/// What leads from a row past the next bar: along the row, down a lane, to its bar.
fn far(places: &Places<'_>, number: usize) -> String {
    let (row, (networks, floating)) = (&places.rows[number], places.far(number));
    let begin = row.bottom() + SPACE - 8;
    let mut out = String::new();
    for (band, lane) in networks.iter().enumerate() {
        let Far::Network(network) = lane.far else { continue };
        // Left of the link to the next bar, so that no line goes through addresses.
        let left = 40 * (networks.len() - band) / (networks.len() + 1);
        let top = places.bars[lane.bar].top;
        out += &far_links(row, network, (lane, top), (left, begin + BAND * (band + 1)));
    }
    let rails = begin + BAND * networks.len();
    let before = places.held_above(number + 1).filter(|one| row.holds(one)).count();
    for (rail, lane) in floating.iter().enumerate() {
        let Far::Floating(floating) = lane.far else { continue };
        let drops = drops(row, floating, before + rail);
        let rail = rails + RAIL * (rail + 1);
        out += &far_holders(places, lane, floating, (&drops, row.bottom(), rail));
    }
    out
}

/// A line from each attached server to one along the row, which leads down the lane to
/// the network's bar.
fn far_links(
    row: &Row<'_>,
    network: &Network,
    (lane, bar): (&Lane<'_>, usize),
    (left, rail): (usize, usize),
) -> String {
    let (mut out, mut first, bottom) = (String::new(), None, row.bottom());
    for (column, server) in row.servers.iter().enumerate() {
        let Some(own) = own(server, network, row.left(column), rail - 22) else { continue };
        let x = row.left(column) + left;
        first.get_or_insert(x);
        out += &format!(
            "<line class=\"l\" x1=\"{x}\" y1=\"{bottom}\" x2=\"{x}\" y2=\"{rail}\"/>\n{own}"
        );
    }
    let (first, lane) = (first.unwrap_or(lane.x), lane.x);
    out + &format!(
        "<polyline class=\"l\" fill=\"none\" points=\"{first},{rail} {lane},{rail} {lane},{bar}\"/>\n"
    )
}

/// A dashed line from each holder down the lane, and along the bar to the address.
fn far_holders(
    places: &Places<'_>,
    lane: &Lane<'_>,
    floating: &Floating,
    (drops, bottom, rail): (&[usize], usize, usize),
) -> String {
    let bar = &places.bars[lane.bar];
    let number = places.held_above(lane.bar).position(|one| one.name == floating.name);
    let along = bar.top - RAIL * (number.unwrap_or(0) + 1);
    let (x, middle, top) = (lane.x, middle(bar, floating), bar.top);
    let path = |from: &usize| {
        format!("<path class=\"h\" d=\"M{from} {bottom}V{rail}H{x}V{along}H{middle}V{top}\"/>\n")
    };
    drops.iter().map(path).collect()
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
