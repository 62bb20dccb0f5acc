//! The report for people: one self-contained HTML page.

use super::card;
use super::escape;
use crate::graph;
use crate::runner::outcome::{Outcome, Run, Verdict};
use crate::spec::{Architecture, Spec};

const STYLE: &str = include_str!("page.css");

/// The page; it needs no other file and asks nobody for anything.
pub fn page(spec: &Spec, architecture: &Architecture, run: &Run) -> String {
    let cards: String = run.outcomes.iter().map(|one| card::card(architecture, one)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{header}<main>\n<h2>Topology</h2>\n<div class=\"card wide topology\">{topology}</div>\n<h2>At a glance</h2>\n<div class=\"card wide\">{table}</div>\n<h2>Scenarios</h2>\n{cards}</main>\n{footer}</body>\n</html>\n",
        title = escape(&format!("{}: tested", run.architecture)),
        header = header(run),
        topology = graph::svg(spec, architecture),
        table = table(run),
        footer = footer(run),
    )
}

fn header(run: &Run) -> String {
    let (all, passed) = (run.outcomes.len(), run.count(Verdict::Passed));
    let (class, mut words) = match (all, all - passed) {
        (0, _) => (" bad", "Nothing was run".to_owned()),
        (_, 0) => ("", format!("All {all} runs passed")),
        (_, wrong) => (" bad", format!("{wrong} of {all} runs failed")),
    };
    let class = if let Some(why) = &run.cut_short {
        words = format!("Cut short ({}): {words}", escape(why));
        " bad"
    } else {
        class
    };
    let machines = run.machines.keys().cloned().collect::<Vec<_>>().join(", ");
    let mut facts = vec![
        fact("machines", &machines),
        fact("executed by", &run.accelerator),
        fact("all up after", &format!("{:.0} s", run.boot_seconds)),
        fact("a VRRP advert every", &format!("{} s", number(run.advert_seconds))),
    ];
    if run.time_scale > 1.0 {
        let scaled =
            format!("× {} (timers of the guests, and every bound)", number(run.time_scale));
        facts.push(fact("time scale", &scaled));
    }
    format!(
        "<header><div class=\"in\"><h1>{}: what it does when things fail</h1><p>{}</p><div class=\"verdict{class}\">{words}</div><div class=\"facts\">{}</div></div></header>\n",
        escape(&run.architecture),
        escape(&run.title),
        facts.concat(),
    )
}

fn fact(name: &str, value: &str) -> String {
    format!("<span>{} <b>{}</b></span>", escape(name), escape(value))
}

fn table(run: &Run) -> String {
    let rows: String = run.outcomes.iter().map(|one| row(run, one)).collect();
    format!(
        "<table><thead><tr><th>promise</th><th>scenario</th><th>result</th><th class=\"n\">without an answer</th><th class=\"n wide-only\">in adverts</th><th class=\"n wide-only\">failed requests</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

fn row(run: &Run, outcome: &Outcome) -> String {
    let number_of = outcome.promise.as_ref().map_or("", |(number, _)| number.as_str());
    let negative_control =
        outcome.negative_control.as_ref().map_or(String::new(), |negative_control| {
            format!("<small>negative control, must fail: {}</small>", escape(negative_control))
        });
    let (failed, requests) = outcome.failed_requests();
    let (outage, adverts) = match outcome.worst() {
        Some(impact) => {
            let native = impact.outage / run.time_scale.max(1.0);
            let native = format!("<small>{} s native</small>", number(native));
            let native = if run.time_scale > 1.0 { native } else { String::new() };
            (format!("{} s{native}", number(impact.outage)), number(impact.adverts))
        }
        None => ("–".to_owned(), "–".to_owned()),
    };
    let requests = if requests == 0 { "–".to_owned() } else { format!("{failed} of {requests}") };
    format!(
        "<tr><td class=\"number\">{}</td><td><a href=\"#{}\">{}</a>{negative_control}</td><td>{}</td><td class=\"n\">{outage}</td><td class=\"n wide-only\">{adverts}</td><td class=\"n wide-only\">{requests}</td></tr>",
        escape(number_of),
        card::anchor(outcome),
        escape(&outcome.title),
        card::pill(outcome),
    )
}

fn footer(run: &Run) -> String {
    let seeds: Vec<String> =
        run.seeds.iter().map(|(network, seed)| format!("{network} {seed}")).collect();
    let speeds: Vec<String> = run
        .machines
        .iter()
        .map(|(name, facts)| format!("{name} × {}", number(facts.slowdown)))
        .collect();
    let panics: u32 = run.machines.values().map(|facts| facts.forgiven_panics).sum();
    format!(
        "<footer>Consoles and captures: {}. Slower than a native machine: {}. Seeds of the networks' chance: {}. Kernel panics of the emulator before PID 1, forgiven: {panics}.</footer>\n",
        escape(&run.logs),
        escape(&speeds.join(", ")),
        escape(&seeds.join(", ")),
    )
}

/// Two significant places, no trailing zeros: "0.87", "3.4", "12".
pub(super) fn number(value: f64) -> String {
    let text = if value < 1.0 {
        format!("{value:.2}")
    } else if value < 10.0 {
        format!("{value:.1}")
    } else {
        return format!("{value:.0}");
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.868, 1.0, 3.44, 12.3, 130.0].map(number);
        assert_eq!(texts, ["0", "0.87", "1", "3.4", "12", "130"]);
    }
}
