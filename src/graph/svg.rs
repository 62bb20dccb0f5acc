//! The topology as SVG: networks as bars, servers as boxes between them, floating
//! addresses on the bar of their network with a line to each holder.

use super::{openings, purpose, roles};
use crate::spec::{Architecture, Floating, Network, Server, Spec};
use std::fmt::Write;

const WIDTH: usize = 300;
const GAP: usize = 30;
const LINE: usize = 17;
const BAR: usize = 44;
const SPACE: usize = 46;

const STYLE: &str = "text{font:13px sans-serif;fill:#1b1b1b}.t{font-weight:bold;font-size:15px}.s{font-size:11.5px;fill:#444}.n{fill:#dfe8f1;stroke:#35526f}.m{fill:#fbfbf8;stroke:#555;stroke-width:1.5}.f{fill:#fdeec4;stroke:#a77b14;stroke-width:1.5}.l{stroke:#35526f;stroke-width:2}.h{stroke:#a77b14;stroke-width:1.5;stroke-dasharray:5 4}";

/// A row of servers and where it stands.
struct Row<'a> {
    servers: Vec<&'a Server>,
    top: usize,
    height: usize,
}

/// The drawing of an architecture, a whole SVG document.
pub fn svg(spec: &Spec, architecture: &Architecture) -> String {
    let is_public = |server: &&Server| server.addresses.contains_key("public");
    let (front, back): (Vec<&Server>, Vec<&Server>) =
        architecture.servers.values().partition(is_public);
    let columns = front.len().max(back.len()).max(2);
    let width = columns * (WIDTH + GAP) + GAP;
    let lines = |servers: &[&Server]| {
        let of = |server: &&Server| lines(spec, architecture, server).len();
        servers.iter().map(of).max().unwrap_or(0) * LINE + 40
    };
    let public = 60;
    let first = Row { top: public + BAR + SPACE, height: lines(&front), servers: front };
    let private = first.top + first.height + SPACE;
    let second = Row { top: private + BAR + SPACE, height: lines(&back), servers: back };
    let height = if second.servers.is_empty() {
        private + BAR + 20
    } else {
        second.top + second.height + 20
    };
    let mut body = String::new();
    for (name, top) in [("public", public), ("private", private)] {
        if let Some(network) = architecture.networks.get(name) {
            for row in [&first, &second] {
                body += &links(row, network, top, width);
            }
            body += &holders(architecture, network, top, &[&first, &second], width);
            body += &bar(architecture, network, top, width);
        }
    }
    for row in [&first, &second] {
        for (column, server) in row.servers.iter().enumerate() {
            body += &machine(spec, architecture, server, left(row, column, width), row);
        }
    }
    let title = escape(&format!("{}: {}", architecture.name, architecture.title));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\"><title>{title}</title><style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text class=\"t\" x=\"{GAP}\" y=\"24\">{}</text>\n<text class=\"s\" x=\"{GAP}\" y=\"44\">{}</text>\n{body}</svg>\n",
        architecture.name,
        escape(&architecture.title),
    )
}

/// Rows are centred.
fn left(row: &Row<'_>, column: usize, width: usize) -> usize {
    let taken = row.servers.len() * (WIDTH + GAP) - GAP;
    (width - taken) / 2 + column * (WIDTH + GAP)
}

fn bar(architecture: &Architecture, network: &Network, top: usize, width: usize) -> String {
    let mut out = format!(
        "<rect class=\"n\" x=\"{GAP}\" y=\"{top}\" width=\"{}\" height=\"{BAR}\" rx=\"5\"/>\n<text class=\"t\" x=\"{}\" y=\"{}\">{}</text>\n<text class=\"s\" x=\"{}\" y=\"{}\">{}  {}</text>\n",
        width - 2 * GAP,
        GAP + 12,
        top + 19,
        network.name,
        GAP + 12,
        top + 36,
        network.v4,
        network.v6,
    );
    for (place, floating) in floating_on(architecture, network).enumerate() {
        let x = pill(place, width);
        let (v4, v6) = (floating.addresses.v4, floating.addresses.v6);
        out += &format!(
            "<rect class=\"f\" x=\"{x}\" y=\"{}\" width=\"200\" height=\"{}\" rx=\"16\"/>\n<text class=\"s\" x=\"{}\" y=\"{}\">{v4}, {v6}</text>\n<text class=\"s\" x=\"{}\" y=\"{}\">floating: {}</text>\n",
            top + 4,
            BAR - 8,
            x + 14,
            top + 19,
            x + 14,
            top + 34,
            purpose(floating.purpose),
        );
    }
    out
}

fn floating_on<'a>(
    architecture: &'a Architecture,
    network: &'a Network,
) -> impl Iterator<Item = &'a Floating> {
    architecture.floating.values().filter(move |floating| floating.network == network.name)
}

/// Where the floating address number `place` is on its bar: from the right.
fn pill(place: usize, width: usize) -> usize {
    width - GAP - 208 - place * 212
}

/// A line from each attached server to its network.
fn links(row: &Row<'_>, network: &Network, top: usize, width: usize) -> String {
    let attached =
        row.servers.iter().enumerate().filter(|(_, s)| s.addresses.contains_key(&network.name));
    attached
        .map(|(column, server)| {
            let x = left(row, column, width) + 40;
            let (from, to) = ends(row, top);
            let own = &server.addresses[&network.name];
            let y = from.midpoint(to);
            format!(
                "<line class=\"l\" x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\"/>\n<text class=\"s\" x=\"{}\" y=\"{}\">{}  {}</text>\n<text class=\"s\" x=\"{}\" y=\"{}\">{}</text>\n",
                x + 7, y - 3, network.interface, own.v4, x + 7, y + 11, own.v6,
            )
        })
        .collect()
}

/// From the box's edge to the bar's, whichever is above.
fn ends(row: &Row<'_>, bar: usize) -> (usize, usize) {
    if bar < row.top { (bar + BAR, row.top) } else { (row.top + row.height, bar) }
}

/// A dashed line from each floating address to the servers that may hold it.
fn holders(
    architecture: &Architecture,
    network: &Network,
    top: usize,
    rows: &[&Row<'_>],
    width: usize,
) -> String {
    let mut out = String::new();
    for (place, floating) in floating_on(architecture, network).enumerate() {
        for row in rows {
            for (column, server) in row.servers.iter().enumerate() {
                if floating.holders.contains(&server.name) {
                    let (from, to) = ends(row, top);
                    let (bar, edge) = if top < row.top { (from, to) } else { (to, from) };
                    let (x1, x2) =
                        (pill(place, width) + 100, left(row, column, width) + WIDTH - 30);
                    // Writing to a String cannot fail.
                    let _infallible = writeln!(
                        out,
                        "<line class=\"h\" x1=\"{x1}\" y1=\"{bar}\" x2=\"{x2}\" y2=\"{edge}\"/>"
                    );
                }
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
        "<rect class=\"m\" x=\"{x}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n<text class=\"t\" x=\"{}\" y=\"{}\">{}</text>\n",
        x + 14,
        top + 24,
        server.name,
    );
    for (number, (class, line)) in lines(spec, architecture, server).into_iter().enumerate() {
        let y = top + 44 + number * LINE;
        out += &format!(
            "<text class=\"{class}\" x=\"{}\" y=\"{y}\">{}</text>\n",
            x + 14,
            escape(&line)
        );
    }
    out
}

/// What stands in a server's box below its name.
fn lines(spec: &Spec, architecture: &Architecture, server: &Server) -> Vec<(&'static str, String)> {
    let mut lines = vec![("", roles(server))];
    for port in openings(spec, architecture, server) {
        // VRRP, whose number is its name, is there for every network.
        let what = if port.number == port.name {
            port.name
        } else {
            format!("{} {}", port.number, port.name)
        };
        let line = ("s", format!("{what}, {}", port.from));
        if port.from != "from itself" && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
