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
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Architectures whose machines are booted here, and the scenarios that have been seen to
/// hold, and to go red with their mechanism masked. The others of vm-tests/ run with
/// `imagebuild test`; each joins when it has been seen to do both.
const PROVEN: [(&str, &[&str]); 1] = [("arch4", &["whole-server-lost"])];

/// The topology of one architecture: booted when the first test wants it.
struct Theatre {
    spec: &'static Spec,
    architecture: &'static Architecture,
    open: Option<(Stage<'static>, Run)>,
    /// Why it cannot be opened: told to every test, tried once.
    closed: Option<String>,
}

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

impl Theatre {
    fn attempt(&mut self, scenario: &Scenario, masked: bool) -> Result<(), Failed> {
        if let Some(why) = &self.closed {
            return Err(Failed::from(why));
        }
        if self.open.is_none() {
            match set_up(self.spec, self.architecture) {
                Ok(stage) => self.open = Some((stage, Run::default())),
                Err(why) => {
                    self.closed = Some(why.clone());
                    return Err(Failed::from(why));
                }
            }
        }
        let (stage, run) = self.open.as_mut().unwrap();
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
        let Some((stage, told)) = self.open.take() else { return Ok(()) };
        let run = Run { outcomes: told.outcomes, ..stage.facts() };
        let file = |suffix: &str| out().join(format!("{}.{suffix}", self.architecture.name));
        std::fs::write(file("html"), report::page(self.spec, self.architecture, &run)).unwrap();
        std::fs::write(file("xml"), report::junit(&run)).unwrap();
        std::fs::write(file("scenarios.json"), report::json(&run).unwrap()).unwrap();
        stage.strike().map_err(|error| error.to_string())
    }
}

fn trials(theatre: &Arc<Mutex<Theatre>>, scenarios: Vec<Scenario>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for scenario in scenarios {
        for masked in [false, true] {
            if masked && scenario.mask.is_none() {
                continue;
            }
            let (theatre, scenario) = (Arc::clone(theatre), scenario.clone());
            let architecture = theatre.lock().unwrap().architecture.name.clone();
            let mask = if masked { "::masked" } else { "" };
            let name = format!("{architecture}::{}{mask}", scenario.name);
            trials.push(Trial::test(name, move || {
                let mut theatre = theatre.lock().unwrap_or_else(PoisonError::into_inner);
                theatre.attempt(&scenario, masked)
            }));
        }
    }
    trials
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // They live as long as the process, like the stages that borrow them.
    let spec: &'static Spec = Box::leak(Box::new(Spec::read(project::folder()).unwrap()));
    let (mut theatres, mut all) = (Vec::new(), Vec::new());
    for (name, proven) in PROVEN {
        let architecture = spec.architecture(name).unwrap();
        let mut scenarios = Scenario::of_architecture(&spec.tree, architecture)
            .unwrap_or_else(|error| panic!("{error}"));
        scenarios.retain(|scenario| proven.contains(&scenario.name.as_str()));
        assert_eq!(scenarios.len(), proven.len(), "a scenario of {name} is missing");
        let theatre = Theatre { spec, architecture, open: None, closed: None };
        let theatre = Arc::new(Mutex::new(theatre));
        all.extend(trials(&theatre, scenarios));
        theatres.push(theatre);
    }
    let conclusion = libtest_mimic::run(&arguments, all);
    for theatre in theatres {
        let mut theatre = theatre.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(why) = theatre.close() {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}
