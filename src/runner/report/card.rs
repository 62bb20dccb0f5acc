//! One scenario on the page: what was promised, the time line, the steps, what failed.

use super::escape;
use super::page::number;
use super::timeline;
use crate::runner::outcome::{Impact, Outcome, StepOutcome, Verdict};
use crate::spec::Architecture;

pub(super) fn card(architecture: &Architecture, outcome: &Outcome) -> String {
    let promise = outcome.promise.as_ref().map_or(String::new(), |(number, text)| {
        format!(
            "<p class=\"promise\"><span class=\"number\">{}</span> {}</p>",
            escape(number),
            escape(text)
        )
    });
    let about = match outcome.about.as_str() {
        _ if outcome.negative_control.is_some() => String::new(),
        "" => String::new(),
        about => format!("<p class=\"about\">{}</p>", escape(about)),
    };
    let negative_control =
        outcome.negative_control.as_ref().map_or(String::new(), |negative_control| {
            format!(
                "<p class=\"control\">Negative control: {}. This run must fail.</p>",
                escape(negative_control)
            )
        });
    format!(
        "<section class=\"card\" id=\"{}\"><div class=\"head\"><h3>{}</h3>{}</div>{promise}{negative_control}{about}{}{}{}{}</section>\n",
        anchor(outcome),
        escape(&outcome.title),
        pill(outcome),
        timeline::timeline(architecture, outcome),
        steps(outcome),
        failure(outcome),
        journals(outcome),
    )
}

/// The place of a card in the page.
pub(super) fn anchor(outcome: &Outcome) -> String {
    let negative_control = if outcome.negative_control.is_some() { "-control" } else { "" };
    let name = outcome.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    format!("{}{negative_control}", name.collect::<String>())
}

/// How it ended, in two words.
pub(super) fn pill(outcome: &Outcome) -> String {
    let (class, words) = match (outcome.verdict, outcome.negative_control.is_some()) {
        (Verdict::Passed, false) => ("passed", "passed"),
        (Verdict::Passed, true) => ("passed", "failed as expected"),
        (Verdict::Failed, false) => ("failed", "failed"),
        (Verdict::Failed, true) => ("failed", "unexpectedly passed"),
        (Verdict::Broke, _) => ("broke", "the harness broke"),
    };
    format!("<span class=\"pill {class}\">{words}</span>")
}

fn steps(outcome: &Outcome) -> String {
    let items: String =
        outcome.steps.iter().enumerate().map(|(number, one)| step(number, one)).collect();
    format!("<ol class=\"steps\">{items}</ol>")
}

fn step(place: usize, step: &StepOutcome) -> String {
    let actions = step.actions.iter().map(|action| format!("<li>{}</li>", escape(action)));
    let expectations = step.expectations.iter().map(|(words, held)| match held {
        Some(after) => {
            format!("<li class=\"held\">{} ({} s)</li>", escape(words), number(*after))
        }
        None => format!("<li class=\"fell\">{}</li>", escape(words)),
    });
    let list: String = actions.chain(expectations).collect();
    let class = if step.is_fault { " class=\"fault\"" } else { "" };
    let impact = step.impact.filter(|_| step.is_fault).map_or(String::new(), impact);
    format!(
        "<li{class}><em>{}</em><strong>{}</strong> <span class=\"number\">at {} s</span><ul>{list}</ul>{impact}</li>",
        place + 1,
        escape(&step.name),
        number(step.at),
    )
}

fn impact(impact: Impact) -> String {
    let mut out = format!(
        "<span class=\"impact\">without a good answer: <b>{} s</b> = <b>{}</b> adverts</span><span class=\"impact\">failed: <b>{}</b> of <b>{}</b> requests</span>",
        number(impact.outage),
        number(impact.adverts),
        impact.failed,
        impact.requests,
    );
    if let Some(moved) = impact.moved {
        out += &format!(
            "<span class=\"impact\">address announced anew after <b>{} s</b></span>",
            number(moved)
        );
    }
    out
}

fn failure(outcome: &Outcome) -> String {
    match (&outcome.failure, outcome.verdict) {
        (None, _) => String::new(),
        (Some(failure), Verdict::Passed) => format!(
            "<details><summary>Failed as expected: {}</summary><pre>{}</pre></details>",
            escape(&failure.message),
            escape(&failure.text)
        ),
        (Some(failure), Verdict::Failed | Verdict::Broke) => {
            format!("<pre>{}</pre>", escape(&failure.text))
        }
    }
}

fn journals(outcome: &Outcome) -> String {
    let one = |(machine, lines): (&String, &String)| {
        format!("<h4>{}</h4><pre>{}</pre>", escape(machine), escape(lines))
    };
    let said = outcome.journals.iter().filter(|(_, lines)| !lines.is_empty());
    let all: String = said.map(one).collect();
    format!(
        "<details><summary>What the machines logged</summary>{all}<p>Consoles and captures: {}</p></details>",
        escape(&outcome.logs)
    )
}
