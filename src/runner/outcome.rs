//! What came of scenarios: plain values, which the reports write down. Times are seconds
//! since the scenario's start, as they passed on this host, unless they say otherwise.

use serde::Serialize;
use std::collections::BTreeMap;

/// All that one run of `imagebuild test` found out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Run {
    /// `arch4`.
    pub architecture: String,
    /// One line.
    pub title: String,
    /// What executed the guests' instructions.
    pub accelerator: String,
    /// By how much timers and bounds were scaled.
    pub time_scale: f64,
    /// Between two VRRP adverts, scaled.
    pub advert_seconds: f64,
    /// The machines, by name.
    pub machines: BTreeMap<String, MachineFacts>,
    /// Where chance came from, by network: with it a run can be repeated.
    pub seeds: BTreeMap<String, u64>,
    /// Seconds until all machines were up.
    pub boot_seconds: f64,
    /// One for each scenario, and one for each negative control.
    pub outcomes: Vec<Outcome>,
    /// Folder with consoles and captures; those of copies of the machines are below it.
    pub logs: String,
    /// Why it ended before all was run, or not well: Ctrl-C, say.
    pub cut_short: Option<String>,
}

/// What was measured of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MachineFacts {
    /// How many times slower than a native machine it is.
    pub slowdown: f64,
    /// Kernel panics before PID 1, which are the emulator's.
    pub forgiven_panics: u32,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every expectation held; of a negative control: one did not, as it must.
    Passed,
    /// An expectation failed; of a negative control: none did.
    Failed,
    /// The harness broke: nothing is known about the images.
    Broke,
}

impl Verdict {
    /// As JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Broke => "broke",
        }
    }
}

/// One scenario, run once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// `whole-server-lost`.
    pub name: String,
    /// One line.
    pub title: String,
    /// Sentences.
    pub about: String,
    /// `A4.1` and its words.
    pub promise: Option<(String, String)>,
    /// What was taken away, in words, if this is the run that must fail.
    pub negative_control: Option<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// Which machine each alias meant.
    pub aliases: BTreeMap<String, String>,
    /// In order, as far as they came.
    pub steps: Vec<StepOutcome>,
    /// Every request of every load, by the time it was sent.
    pub requests: Vec<Request>,
    /// Who held which floating address, as seen on the wire.
    pub holds: Vec<Hold>,
    /// What each machine that was on at the end had logged meanwhile: its last lines.
    pub journals: BTreeMap<String, String>,
    /// What went wrong; of a negative control that passed: what went wrong, as it must.
    pub failure: Option<Failure>,
    /// Folder with its consoles and captures.
    pub logs: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepOutcome {
    /// What happened, in words.
    pub name: String,
    /// When it began.
    pub at: f64,
    /// When it ended.
    pub end: f64,
    /// Whether it did something to machines or links.
    pub is_fault: bool,
    /// Actions, in words.
    pub actions: Vec<String>,
    /// Expectations, in words, and after how many seconds each was seen to hold.
    pub expectations: Vec<(String, Option<f64>)>,
    /// What the web clients felt of it.
    pub impact: Option<Impact>,
}

/// What a step meant for web clients, from its beginning to the next step's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Impact {
    /// The longest time without a good answer.
    pub outage: f64,
    /// The same in advert intervals, which the time scale does not change.
    pub adverts: f64,
    /// Requests that failed.
    pub failed: usize,
    /// Of how many.
    pub requests: usize,
    /// From the beginning until another machine announced a floating address, if one did.
    pub moved: Option<f64>,
}

/// One request of a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The load.
    pub load: String,
    /// Which of its requests, from 1.
    pub number: u64,
    /// When it was sent.
    pub at: f64,
    /// When it was answered, or had failed.
    pub end: f64,
    /// 4 or 6.
    pub version: u8,
    /// Which server gave a good answer.
    pub server: Option<String>,
    /// Why there was none.
    pub failure: Option<String>,
}

impl Request {
    /// Whether the answer was good.
    pub fn is_good(&self) -> bool {
        self.failure.is_none()
    }
}

/// A machine held a floating address for a while.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hold {
    /// The floating address' name.
    pub floating: String,
    /// 4 or 6.
    pub version: u8,
    /// The machine.
    pub machine: String,
    /// From when.
    pub from: f64,
    /// Until when.
    pub to: f64,
}

/// Why a scenario failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The whole error, as it is shown on a terminal.
    pub text: String,
    /// One line.
    pub message: String,
    /// In which step, from 0.
    pub step: Option<usize>,
}

impl Run {
    /// How many ended so.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|one| one.verdict == verdict).count()
    }
}

impl Outcome {
    /// The worst that web clients felt of any of its faults.
    pub fn worst(&self) -> Option<Impact> {
        let faults = self.steps.iter().filter(|step| step.is_fault);
        let impact = faults.filter_map(|step| step.impact);
        impact.max_by(|a, b| a.outage.total_cmp(&b.outage))
    }

    /// Requests that failed, of how many.
    pub fn failed_requests(&self) -> (usize, usize) {
        let failed = self.requests.iter().filter(|one| !one.is_good()).count();
        (failed, self.requests.len())
    }

    /// `whole-server-lost`, or with ` (negative control)`.
    pub fn full_name(&self) -> String {
        match self.negative_control {
            Some(_) => format!("{} (negative control)", self.name),
            None => self.name.clone(),
        }
    }
}
