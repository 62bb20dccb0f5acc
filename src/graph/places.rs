//! Where everything stands in the drawing: networks as bars from above, in the order of
//! their interfaces, and each server below the first of its networks. What leads further
//! than to the next bar goes round those between, along a lane at the right edge.

use super::measure::width;
use super::purpose;
use crate::spec::{Architecture, Floating, Network, Server};

/// Pixels: a server's box, what is between boxes and around all, a line of text, a bar.
pub(super) const BOX: usize = 320;
pub(super) const GAP: usize = 30;
pub(super) const LINE: usize = 17;
pub(super) const BAR: usize = 46;
/// Between a box and a bar: two lines of addresses, and more for each dashed line.
pub(super) const SPACE: usize = 48;
pub(super) const RAIL: usize = 12;
/// More, for each network further off: its line along the row, two lines of addresses.
pub(super) const BAND: usize = 40;
/// Between two lanes.
const LANE: usize = 16;
/// Inside of boxes, bars and pills.
pub(super) const PADDING: usize = 14;

/// Of addresses, and of what else stands small.
pub(super) const SMALL: f64 = 11.5;

/// A network and where its bar stands.
pub(super) struct Bar<'a> {
    pub(super) network: &'a Network,
    pub(super) floating: Vec<&'a Floating>,
    pub(super) top: usize,
    pub(super) right: usize,
}

/// A row of servers, below the bar of the same number, and where it stands.
pub(super) struct Row<'a> {
    pub(super) servers: Vec<&'a Server>,
    pub(super) top: usize,
    pub(super) height: usize,
    /// The left edge of its first box: rows are centred.
    left: usize,
}

/// What leads past a bar.
#[derive(Clone, Copy)]
pub(super) enum Far<'a> {
    Network(&'a Network),
    Floating(&'a Floating),
}

/// A way down to a bar, past others.
pub(super) struct Lane<'a> {
    pub(super) far: Far<'a>,
    /// The number of the bar that it leads to.
    pub(super) bar: usize,
    pub(super) x: usize,
}

/// All places of a drawing.
pub(super) struct Places<'a> {
    pub(super) bars: Vec<Bar<'a>>,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) lanes: Vec<Lane<'a>>,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl<'a> Bar<'a> {
    /// The floating addresses of the bar and their left edges, from the right.
    pub(super) fn pills(&self) -> Vec<(&'a Floating, usize)> {
        let mut right = self.right - 4;
        let place = |floating: &&'a Floating| {
            let x = right - pill_width(floating);
            right = x - PADDING;
            (*floating, x)
        };
        self.floating.iter().map(place).collect()
    }

    /// Pixels that its text and its floating addresses take.
    fn needed(&self) -> usize {
        let pills: usize = self.floating.iter().map(|one| pill_width(one) + PADDING).sum();
        width(&prefixes(self.network), SMALL) + 2 * PADDING + pills
    }
}

impl Row<'_> {
    /// The left edge of the box in this column.
    pub(super) fn left(&self, column: usize) -> usize {
        self.left + column * (BOX + GAP)
    }

    pub(super) fn bottom(&self) -> usize {
        self.top + self.height
    }

    pub(super) fn holds(&self, floating: &Floating) -> bool {
        self.servers.iter().any(|server| floating.holders.contains(&server.name))
    }

    fn reaches(&self, far: Far<'_>) -> bool {
        match far {
            Far::Network(network) => {
                self.servers.iter().any(|server| server.addresses.contains_key(&network.name))
            }
            Far::Floating(floating) => self.holds(floating),
        }
    }

    /// Pixels from the left edge of the first box to that of the last and its end.
    fn taken(&self) -> usize {
        (self.servers.len() * (BOX + GAP)).saturating_sub(GAP)
    }
}

impl<'a> Places<'a> {
    /// Where everything stands, if a server's box is as high as `height` says.
    pub(super) fn of(
        architecture: &'a Architecture,
        height: impl Fn(&Server) -> usize,
    ) -> Places<'a> {
        let bars = bars(architecture);
        let rows = rows(architecture, &bars, height);
        let mut places = Places { bars, rows, lanes: Vec::new(), width: 0, height: 0 };
        places.lanes = places.lanes();
        places.spread();
        places.stack();
        places
    }

    /// What leads from rows to bars that are not the next. Those to a lower bar are
    /// further right: they go round all that the others lead to.
    fn lanes(&self) -> Vec<Lane<'a>> {
        let mut lanes = Vec::new();
        for (number, bar) in self.bars.iter().enumerate() {
            let floating = bar.floating.iter().copied().map(Far::Floating);
            for far in std::iter::once(Far::Network(bar.network)).chain(floating) {
                let above = self.rows.iter().take(number.saturating_sub(1));
                if above.into_iter().any(|row| row.reaches(far)) {
                    lanes.push(Lane { far, bar: number, x: 0 });
                }
            }
        }
        lanes
    }

    /// From left to right: room for the widest row, and on each bar for the network and
    /// its floating addresses; beside that the lanes.
    fn spread(&mut self) {
        let rows = self.rows.iter().map(Row::taken).max().unwrap_or(0);
        let bars = self.bars.iter().map(Bar::needed).max().unwrap_or(0);
        let core = rows.max(bars).max(2 * BOX + GAP) + 2 * GAP;
        self.width = core + LANE * self.lanes.len();
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            lane.x = core - GAP + LANE * number + LANE / 2;
        }
        for row in &mut self.rows {
            row.left = (core - row.taken()) / 2;
        }
        for number in 0..self.bars.len() {
            let passes = |lane: &&Lane<'_>| {
                let above = self.rows.iter().take(number);
                lane.bar > number && above.into_iter().any(|row| row.reaches(lane.far))
            };
            let passing = self.lanes.iter().find(passes);
            self.bars[number].right = passing.map_or(self.width - GAP, |lane| lane.x - LANE / 2);
        }
    }

    /// From above: a bar, the row below it, the next bar.
    fn stack(&mut self) {
        let mut top = 62;
        for number in 0..self.rows.len() {
            let is_last = number + 1 >= self.bars.len();
            if let Some(bar) = self.bars.get_mut(number) {
                bar.top = top;
                top += BAR;
            }
            let is_empty = self.rows[number].servers.is_empty();
            if !is_empty {
                top += SPACE + RAIL * self.held_below(number).count();
                self.rows[number].top = top;
                top += self.rows[number].height;
            }
            if !is_last {
                let (networks, floating) = self.far(number);
                let along = BAND * networks.len() + RAIL * floating.len();
                top += SPACE + along + RAIL * self.held_above(number + 1).count();
            }
        }
        self.height = top + 20;
    }

    /// The floating addresses of a bar that are held in the row below it.
    pub(super) fn held_below(&self, bar: usize) -> impl Iterator<Item = &'a Floating> {
        let held = move |one: &&Floating| self.rows.get(bar).is_some_and(|row| row.holds(one));
        self.floating(bar).filter(held)
    }

    /// The floating addresses of a bar that are held in rows above it.
    pub(super) fn held_above(&self, bar: usize) -> impl Iterator<Item = &'a Floating> {
        let held = move |one: &&Floating| self.rows.iter().take(bar).any(|row| row.holds(one));
        self.floating(bar).filter(held)
    }

    fn floating(&self, bar: usize) -> impl Iterator<Item = &'a Floating> {
        self.bars.get(bar).into_iter().flat_map(|bar| bar.floating.iter().copied())
    }

    /// The lanes that begin at a row: to networks, and to floating addresses.
    pub(super) fn far(&self, row: usize) -> (Vec<&Lane<'a>>, Vec<&Lane<'a>>) {
        let begins = |lane: &&Lane<'_>| {
            lane.bar > row + 1 && self.rows.get(row).is_some_and(|row| row.reaches(lane.far))
        };
        let lanes = self.lanes.iter().filter(begins);
        lanes.partition(|lane| matches!(lane.far, Far::Network(_)))
    }
}

fn bars(architecture: &Architecture) -> Vec<Bar<'_>> {
    let mut networks: Vec<&Network> = architecture.networks.values().collect();
    networks.sort_by_key(|network| &network.interface);
    let bar = |network: &'_ Network| {
        let on = |floating: &&Floating| floating.network == network.name;
        architecture.floating.values().filter(on).collect()
    };
    let bars = networks.into_iter().map(|network| (network, bar(network)));
    bars.map(|(network, floating)| Bar { network, floating, top: 0, right: 0 }).collect()
}

fn rows<'a>(
    architecture: &'a Architecture,
    bars: &[Bar<'_>],
    height: impl Fn(&Server) -> usize,
) -> Vec<Row<'a>> {
    let is_on = |server: &Server, bar: &Bar<'_>| server.addresses.contains_key(&bar.network.name);
    let first = |server: &Server| bars.iter().position(|bar| is_on(server, bar)).unwrap_or(0);
    let row = |number| {
        let all = architecture.servers.values();
        let servers: Vec<&Server> = all.filter(|server| first(server) == number).collect();
        let highest = servers.iter().map(|server| height(server)).max();
        Row { servers, top: 0, height: highest.unwrap_or(0), left: 0 }
    };
    (0..bars.len().max(1)).map(row).collect()
}

/// A network's prefixes, as they stand on its bar.
pub(super) fn prefixes(network: &Network) -> String {
    let (v4, v6) = network.shown();
    format!("{v4}, {v6}")
}

/// A floating address, as it stands on its pill.
pub(super) fn addresses(floating: &Floating) -> String {
    let (v4, v6) = floating.addresses.shown();
    format!("{v4}, {v6}")
}

/// What a floating address is for, as it stands on its pill.
pub(super) fn what(floating: &Floating) -> String {
    format!("floating: {}", purpose(floating.purpose))
}

pub(super) fn pill_width(floating: &Floating) -> usize {
    width(&addresses(floating), SMALL).max(width(&what(floating), SMALL)) + 2 * PADDING
}
