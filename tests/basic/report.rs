//! The reports of a run that was made up: what a person sees, what CI reads. No number
//! here was measured.

#![allow(clippy::unwrap_used, reason = "a test may")]

use imagebuild::runner::outcome::{
    Failure, Hold, Impact, MachineFacts, Outcome, Request, Run, StepOutcome, Verdict,
};
use imagebuild::runner::report;
use imagebuild::spec::{Spec, Tree};
use std::io::Write;

fn step(say: &str, at: f64, end: f64) -> StepOutcome {
    StepOutcome {
        name: say.to_owned(),
        at,
        end,
        is_fault: false,
        actions: Vec::new(),
        expectations: Vec::new(),
        impact: None,
    }
}

/// Requests each second; those of the outage fail.
fn requests(seconds: u32, outage: std::ops::Range<u32>) -> Vec<Request> {
    let one = |second: u32| {
        let failed = outage.contains(&second);
        let server =
            if second > outage.start || second.is_multiple_of(2) { "web2" } else { "web1" };
        Request {
            load: "visitors".to_owned(),
            number: u64::from(second),
            at: f64::from(second),
            end: f64::from(second) + 0.4,
            version: if second.is_multiple_of(2) { 4 } else { 6 },
            server: (!failed).then(|| server.to_owned()),
            failure: failed.then(|| "timed out".to_owned()),
        }
    };
    (1..seconds).map(one).collect()
}

fn hold(machine: &str, version: u8, from: f64, to: f64) -> Hold {
    Hold { floating: "web".to_owned(), version, machine: machine.to_owned(), from, to }
}

fn good() -> Outcome {
    let mut fault = step("the active server loses its power", 21.0, 44.0);
    fault.is_fault = true;
    fault.actions = vec!["cut the power of active".to_owned()];
    fault.expectations = vec![
        ("web is held by standby alone, within 1.5 s, for 1 s".to_owned(), Some(8.9)),
        ("visitors saw no good answer for 1.5 s at most".to_owned(), Some(0.0)),
    ];
    fault.impact =
        Some(Impact { outage: 9.4, adverts: 3.8, failed: 7, requests: 23, moved: Some(8.6) });
    let mut first = step("visitors read pages", 1.0, 21.0);
    first.actions = vec!["start the load visitors".to_owned()];
    first.expectations =
        vec![("visitors saw at least 8 good answers, within 20 s".to_owned(), Some(9.0))];
    let requests = requests(88, 21..28);
    Outcome {
        name: "whole-server-lost".to_owned(),
        title: "A whole web server is lost".to_owned(),
        about: "The server that holds the floating address loses its power.".to_owned(),
        promise: Some((
            "A4.1".to_owned(),
            "A whole web server is lost: the other has the floating address.".to_owned(),
        )),
        negative_control: None,
        verdict: Verdict::Passed,
        seconds: 90.0,
        aliases: [("active", "web1"), ("standby", "web2")]
            .map(|(part, machine)| (part.to_owned(), machine.to_owned()))
            .into(),
        steps: vec![first, fault, step("it comes back <again> & serves", 44.0, 90.0)],
        requests,
        holds: vec![
            hold("web1", 4, 0.0, 21.0),
            hold("web2", 4, 29.6, 90.0),
            hold("web1", 6, 0.0, 21.0),
            hold("web2", 6, 29.9, 90.0),
        ],
        journals: [
            ("web1", ""),
            (
                "web2",
                "Nov 24 15:00:01.000001 web2 Keepalived_vrrp[9]: (web) Entering <MASTER> STATE",
            ),
        ]
        .map(|(machine, lines)| (machine.to_owned(), lines.to_owned()))
        .into(),
        failure: None,
        logs: "out/test/arch4".to_owned(),
    }
}

fn negative_control() -> Outcome {
    let text = "error: web is held by nobody\n --> vm-tests/arch4/whole-server-lost.toml:29:5\nexpected: web is held by standby alone, within 1.5 s\nseen: nobody answers for 172.16.0.10";
    let mut outcome = good();
    outcome.negative_control = Some("the standby's keepalived may not run".to_owned());
    outcome.steps[1].expectations =
        vec![("web is held by standby alone, within 1.5 s, for 1 s".to_owned(), None)];
    outcome.steps.truncate(2);
    outcome.holds.retain(|hold| hold.machine == "web1");
    outcome.requests = requests(60, 21..60);
    outcome.seconds = 60.0;
    outcome.failure = Some(Failure {
        text: text.to_owned(),
        message: "web is held by nobody".to_owned(),
        step: Some(1),
    });
    outcome
}

fn failed(verdict: Verdict, name: &str) -> Outcome {
    let mut outcome = negative_control();
    outcome.negative_control = None;
    outcome.verdict = verdict;
    outcome.name = name.to_owned();
    outcome.title = "One that \"failed\"".to_owned();
    outcome
}

fn run(outcomes: Vec<Outcome>) -> Run {
    let machines = ["database1", "web1", "web2"]
        .map(|name| (name.to_owned(), MachineFacts { slowdown: 9.3, forgiven_panics: 0 }));
    Run {
        architecture: "arch4".to_owned(),
        title: "Two load-balanced web servers, one database".to_owned(),
        accelerator: "TCG, multi-threaded".to_owned(),
        time_scale: 10.0,
        advert_seconds: 2.5,
        machines: machines.into(),
        seeds: [("public".to_owned(), 7), ("private".to_owned(), 8)].into(),
        boot_seconds: 61.0,
        outcomes,
        logs: "target/vm/arch4".to_owned(),
        cut_short: None,
    }
}

/// What was not run is not said to be well.
#[test]
fn a_run_that_was_cut_short() {
    let spec = Spec::load(Tree::embedded()).unwrap();
    let mut cut = run(Vec::new());
    cut.cut_short = Some("interrupted".to_owned());
    let page = report::page(&spec, spec.architecture("arch4").unwrap(), &cut);
    assert!(page.contains("<div class=\"verdict bad\">Cut short (interrupted): "), "no verdict");
    let junit = report::junit(&cut);
    assert!(junit.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{junit}");
    assert!(junit.contains("<error message=\"interrupted\">"), "{junit}");
}

#[test]
fn the_page() {
    let spec = Spec::load(Tree::embedded()).unwrap();
    let broke = failed(Verdict::Broke, "cable-cut");
    let run =
        run(vec![good(), negative_control(), failed(Verdict::Failed, "web-software-dies"), broke]);
    let page = report::page(&spec, spec.architecture("arch4").unwrap(), &run);
    let mut mint = goldenfile::Mint::new("tests/goldens/report");
    write!(mint.new_goldenfile("page.html").unwrap(), "{page}").unwrap();
    for outside in ["http://", "https://", "src=", "url(", "@import", "<script"] {
        let asked = page.replace("http://www.w3.org/2000/svg", "").contains(outside);
        assert!(!asked, "the page is not self-contained: {outside}");
    }
    assert!(page.contains("it comes back &lt;again&gt; &amp; serves"));
}

#[test]
fn junit_tells_a_failure_from_a_broken_harness() {
    let outcomes = vec![
        good(),
        negative_control(),
        failed(Verdict::Failed, "web-software-dies"),
        failed(Verdict::Broke, "cable-cut"),
    ];
    let xml = report::junit(&run(outcomes));
    let mut mint = goldenfile::Mint::new("tests/goldens/report");
    write!(mint.new_goldenfile("junit.xml").unwrap(), "{xml}").unwrap();
    assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"1\""));
}

#[test]
fn characters_that_xml_cannot_hold_are_replaced() {
    let mut outcome = failed(Verdict::Failed, "x");
    outcome.failure.as_mut().unwrap().message = "\u{1b}[31m <b> \"\u{0}\"".to_owned();
    let xml = report::junit(&run(vec![outcome]));
    assert!(xml.contains("message=\"\u{fffd}[31m &lt;b&gt; &quot;\u{fffd}&quot;\""), "{xml}");
}

#[test]
fn json_reads_back() {
    let json = report::json(&run(vec![good()])).unwrap();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let outcome = &value["outcomes"][0];
    assert_eq!(outcome["verdict"], "passed");
    assert_eq!(outcome["steps"][1]["impact"]["failed"], 7);
    assert_eq!(outcome["requests"][22]["failure"], "timed out");
}
