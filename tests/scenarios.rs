//! Scenarios of vm-tests/ on the shipped images, one test each, and each mask as a
//! test of its own that passes when the scenario goes red. All of an architecture share
//! one boot, so they run one after another; what they measured is in
//! `target/tmp/scenarios/`: a page, JUnit's XML, JSON, consoles, captures.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod project;

use imagebuild::build::Build;
use imagebuild::exec::Program;
use imagebuild::plan::server::{Plan, TOOLS, VM_TOOLS};
use imagebuild::scenario::Scenario;
use imagebuild::spec::{Architecture, Spec};
use imagebuild::vm::scenario::outcome::{Run, Verdict};
use imagebuild::vm::scenario::{Props, Stage};
use imagebuild::vm::{Emulator, report};
use libtest_mimic::{Arguments, Failed, Trial};
use project::Project;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Topologies in this order, one after another, as two at a time would slow each other
/// down; of each, what has been seen to hold, and to go red with its mechanism masked.
/// `imagebuild test` runs all that there is; each joins when it has been seen to do both.
const PROVEN: [(&str, &[&str]); 5] = [
    ("arch1", &["as-shipped", "nothing-beyond-the-table"]),
    ("arch2", &["as-shipped", "nothing-beyond-the-table"]),
    ("arch3", &["as-shipped"]),
    ("arch5", &["as-shipped"]),
    (
        "arch4",
        &[
            "as-shipped",
            "nothing-beyond-the-table",
            "balancer-gone",
            "balancer-killed",
            "private-interface-fails",
            "public-interface-fails",
            "servercheck-changed",
            "servercheck-deleted",
            "web-and-balancer-die",
            "web-software-dies",
            "web-software-killed",
        ],
    ),
];

/// The house: one topology is up at a time, booted when the first test wants it.
struct House {
    spec: &'static Spec,
    open: Option<(&'static Architecture, Stage<'static>, Run)>,
    /// Why an architecture cannot be opened: told to every test, tried once.
    closed: BTreeMap<String, String>,
}

/// What a test does in the house.
type Play = Box<dyn FnOnce(&mut House) -> Result<(), Failed> + Send>;

fn out() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenarios")
}

/// Builds the images as a user would, and boots them.
fn set_up(
    spec: &'static Spec,
    architecture: &'static Architecture,
) -> Result<Stage<'static>, String> {
    let project = Project::open();
    project.fetch(&[TOOLS, VM_TOOLS]);
    Program::new(project::PROGRAM)
        .args([architecture.name.as_str(), "--out"])
        .arg(out())
        .envs(std::env::vars_os())
        .dir(project::folder())
        .run()
        .map_err(|error| error.to_string())?;
    let images = architecture.servers.values();
    let images = images
        .map(|server| (server.name.clone(), out().join(format!("{}.qcow2", server.image_id))));
    let plan = Plan::of_tools(&project.lock, TOOLS).unwrap();
    let tools = Build::new(&project.store, &plan).provide(plan.steps[0].key).unwrap();
    let emulator = Emulator::provide(&project.store, &project.lock).unwrap();
    let props = Props {
        emulator,
        images: images.collect(),
        tools: tools.path("tree"),
        logs: out().join(&architecture.name),
        stretch: None,
    };
    Stage::set_up(spec, architecture, props).map_err(|error| error.to_string())
}

impl House {
    /// The topology of `architecture`; the one that was up is ended.
    fn stage(
        &mut self,
        architecture: &'static Architecture,
    ) -> Result<(&mut Stage<'static>, &mut Run), Failed> {
        let name = &architecture.name;
        if let Some(why) = self.closed.get(name) {
            return Err(Failed::from(why));
        }
        if self.open.as_ref().is_none_or(|(open, ..)| open.name != *name) {
            self.close()?;
            match set_up(self.spec, architecture) {
                Ok(stage) => self.open = Some((architecture, stage, Run::default())),
                Err(why) => {
                    self.closed.insert(name.clone(), why.clone());
                    return Err(Failed::from(why));
                }
            }
        }
        let (_, stage, run) = self.open.as_mut().unwrap();
        Ok((stage, run))
    }

    fn attempt(
        &mut self,
        architecture: &'static Architecture,
        scenario: &Scenario,
        masked: bool,
    ) -> Result<(), Failed> {
        let (stage, run) = self.stage(architecture)?;
        let outcome = stage.attempt(scenario, masked).map_err(|error| error.to_string())?;
        let verdict = outcome.verdict;
        let why = outcome.failure.as_ref().map_or(String::new(), |failure| failure.text.clone());
        run.outcomes.push(outcome);
        match verdict {
            Verdict::Passed => Ok(()),
            Verdict::Failed => Err(Failed::from(why)),
            Verdict::Broke => Err(Failed::from(format!("the harness broke: {why}"))),
        }
    }

    /// Ends the machines and writes down what was measured.
    fn close(&mut self) -> Result<(), String> {
        let Some((architecture, stage, told)) = self.open.take() else { return Ok(()) };
        let run = Run { outcomes: told.outcomes, ..stage.facts() };
        let file = |suffix: &str| out().join(format!("{}.{suffix}", architecture.name));
        std::fs::write(file("html"), report::page(self.spec, architecture, &run)).unwrap();
        std::fs::write(file("xml"), report::junit(&run)).unwrap();
        std::fs::write(file("scenarios.json"), report::json(&run).unwrap()).unwrap();
        stage.strike().map_err(|error| error.to_string())
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    // They live as long as the process, like the stages that borrow them.
    let spec: &'static Spec = Box::leak(Box::new(Spec::read(project::folder()).unwrap()));
    let house = Arc::new(Mutex::new(House { spec, open: None, closed: BTreeMap::new() }));
    let mut trials = Vec::new();
    let mut add = |name: String, play: Play| {
        let house = Arc::clone(&house);
        trials.push(Trial::test(name, move || {
            play(&mut house.lock().unwrap_or_else(PoisonError::into_inner))
        }));
    };
    for (name, proven) in PROVEN {
        let architecture = spec.architecture(name).unwrap();
        let scenarios = Scenario::of_architecture(&spec.tree, architecture)
            .unwrap_or_else(|error| panic!("{error}"));
        for scenario in scenarios {
            if !proven.contains(&scenario.name.as_str()) {
                continue;
            }
            let masks = if scenario.mask.is_some() { &[false, true][..] } else { &[false] };
            for masked in masks.iter().copied() {
                let suffix = if masked { "::masked" } else { "" };
                let scenario = scenario.clone();
                add(
                    format!("{name}::{}{suffix}", scenario.name),
                    Box::new(move |house| house.attempt(architecture, &scenario, masked)),
                );
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(why) = house.lock().unwrap_or_else(PoisonError::into_inner).close() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
