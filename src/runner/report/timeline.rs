//! A scenario's time line: who held the floating addresses, which server answered each
//! request, what failed, and the steps as numbered marks. Lanes are scaled to any
//! width; nothing but ticks is in what is scaled.

use super::escape;
use crate::runner::outcome::{Hold, Outcome, Request};
use crate::spec::Architecture;
use std::collections::BTreeSet;
use std::fmt::Write;

/// As many as page.css has.
const COLOURS: usize = 6;
const BAD: &str = "var(--bad)";

/// Units of a lane's width.
const WIDE: f64 = 1000.0;

pub(super) fn timeline(architecture: &Architecture, outcome: &Outcome) -> String {
    if outcome.requests.is_empty() && outcome.holds.is_empty() {
        return String::new();
    }
    let scale = Scale { seconds: outcome.seconds.max(0.001) };
    let mut lanes = holder_lanes(architecture, outcome, scale);
    lanes.extend(request_lanes(architecture, outcome, scale));
    let rows = lanes.len() + 1;
    let lanes = lanes.iter().enumerate().map(|(place, lane)| lane.row(place + 1));
    format!(
        "<div class=\"time\" style=\"--rows:{rows}\">{}<div class=\"marks\">{}</div><div class=\"axis\">{}</div></div>",
        lanes.collect::<String>(),
        marks(outcome, scale),
        axis(scale),
    )
}

/// One row of the time line.
struct Lane {
    label: String,
    content: String,
}

impl Lane {
    /// As row number `row`, from 1: said, because the marks lie over all of them.
    fn row(&self, row: usize) -> String {
        let (label, content) = (escape(&self.label), &self.content);
        format!(
            "<div class=\"label\" style=\"grid-row:{row}\">{label}</div><div class=\"lane\" style=\"grid-row:{row}\">{content}</div>"
        )
    }
}

#[derive(Clone, Copy)]
struct Scale {
    seconds: f64,
}

impl Scale {
    fn percent(self, at: f64) -> f64 {
        (at / self.seconds * 100.0).clamp(0.0, 100.0)
    }
}

/// A server's colour: by its place in the architecture, so the same on the whole page.
fn colour(architecture: &Architecture, server: &str) -> String {
    match architecture.servers.keys().position(|name| name == server) {
        Some(place) => format!("var(--s{})", place % COLOURS),
        None => "var(--soft)".to_owned(),
    }
}

fn holder_lanes(architecture: &Architecture, outcome: &Outcome, scale: Scale) -> Vec<Lane> {
    let lanes: BTreeSet<(&str, u8)> =
        outcome.holds.iter().map(|hold| (hold.floating.as_str(), hold.version)).collect();
    let bars = |floating: &str, version: u8| {
        let own = outcome.holds.iter();
        own.filter(|hold| hold.floating == floating && hold.version == version)
            .map(|hold| bar(architecture, hold, scale))
            .collect::<String>()
    };
    lanes
        .into_iter()
        .map(|(floating, version)| Lane {
            label: format!("{floating} IPv{version}"),
            content: bars(floating, version),
        })
        .collect()
}

fn bar(architecture: &Architecture, hold: &Hold, scale: Scale) -> String {
    let (left, right) = (scale.percent(hold.from), scale.percent(hold.to));
    format!(
        "<div class=\"bar\" style=\"left:{left:.2}%;width:{:.2}%;background:{}\" title=\"{} from {:.1} s to {:.1} s\">{}</div>",
        right - left,
        colour(architecture, &hold.machine),
        escape(&hold.machine),
        hold.from,
        hold.to,
        escape(&hold.machine),
    )
}

fn request_lanes(architecture: &Architecture, outcome: &Outcome, scale: Scale) -> Vec<Lane> {
    if outcome.requests.is_empty() {
        return Vec::new();
    }
    let good = |one: &&Request| one.is_good();
    let servers: BTreeSet<&str> = outcome
        .requests
        .iter()
        .filter(good)
        .map(|one| one.server.as_deref().unwrap_or("answered"))
        .collect();
    let of = |server: &str| {
        let own = outcome.requests.iter().filter(good);
        let own = own.filter(|one| one.server.as_deref().unwrap_or("answered") == server);
        ticks(own.map(|one| one.end), &colour(architecture, server), scale)
    };
    let by = |server: &str| Lane { label: format!("by {server}"), content: of(server) };
    let failed = outcome.requests.iter().filter(|one| !one.is_good());
    let failed = ticks(failed.map(|one| one.end), BAD, scale);
    let failed = Lane { label: "failed".to_owned(), content: failed };
    servers.into_iter().map(by).chain([failed]).collect()
}

/// A tick for each moment; one path, so that a thousand of them are small.
fn ticks(at: impl Iterator<Item = f64>, colour: &str, scale: Scale) -> String {
    let mut path = String::new();
    for moment in at {
        // Writing to a String cannot fail.
        let _infallible = write!(path, "M{:.1} 1V9", scale.percent(moment) / 100.0 * WIDE);
    }
    format!(
        "<svg viewBox=\"0 0 {WIDE} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path d=\"{path}\" stroke=\"{colour}\"/></svg>"
    )
}

fn marks(outcome: &Outcome, scale: Scale) -> String {
    let steps = outcome.steps.iter().enumerate();
    steps
        .map(|(place, step)| {
            let class = if step.is_fault { "" } else { " class=\"calm\"" };
            format!(
                "<b{class} style=\"left:{:.2}%\" title=\"{}\"><span>{}</span></b>",
                scale.percent(step.at),
                escape(&step.name),
                place + 1
            )
        })
        .collect()
}

fn axis(scale: Scale) -> String {
    let quarter = |part: u8| format!("<span>{:.0} s</span>", scale.seconds * f64::from(part) / 4.0);
    (0..=4).map(quarter).collect()
}
