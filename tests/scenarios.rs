//! Scenarios of vm-tests/ on the shipped images, one test each, and each mask as a
//! test of its own that passes when the scenario goes red. All of an architecture share
//! one boot, so they run one after another; what they measured is in
//! `target/tmp/scenarios/`: a page, JUnit's XML, JSON, consoles, captures.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod project;

use imagebuild::build::Build;
use imagebuild::exec::Program;
use imagebuild::plan::server::{Plan, TOOLS, VM_TOOLS};
use imagebuild::scenario::{Promises, Scenario};
use imagebuild::spec::{Architecture, Spec};
use imagebuild::vm::scenario::outcome::{Outcome, Run, Verdict};
use imagebuild::vm::scenario::{Props, Stage};
use imagebuild::vm::{Emulator, report};
use libtest_mimic::{Arguments, Failed, Trial};
use project::Project;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// In this order, one after another: two topologies at a time would slow each other down.
const ARCHITECTURES: [&str; 6] = ["arch1", "arch2", "arch3", "arch5", "arch6", "arch4"];
/// Whose machines are shown what is not so.
const RED: &str = "arch4";

/// The house: one topology is up at a time, booted when the first test wants it.
struct House {
    spec: &'static Spec,
    open: Option<(&'static Architecture, Stage<'static>, Run)>,
    /// Why an architecture cannot be opened: told to every test, tried once.
    closed: BTreeMap<String, String>,
    /// What was wrong when a topology ended: no test of the next one's.
    late: Vec<String>,
}

/// What a test does in the house.
type Play = Box<dyn FnOnce(&mut House) -> Result<(), Failed> + Send>;

/// Folder with what was measured.
fn out() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenarios")
}

/// The images; `boot.rs` boots the same files.
fn images() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("images")
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
        .arg(images())
        .envs(std::env::vars_os())
        .dir(project::folder())
        .run()
        .map_err(|error| error.to_string())?;
    let servers = architecture.servers.values();
    let files = servers
        .map(|server| (server.name.clone(), images().join(format!("{}.qcow2", server.image_id))));
    let plan = Plan::of_tools(&project.lock, TOOLS).unwrap();
    let tools = Build::new(&project.store, &plan).provide(plan.steps[0].key).unwrap();
    let emulator = Emulator::provide(&project.store, &project.lock).unwrap();
    let props = Props {
        emulator,
        images: files.collect(),
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
            self.close();
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

    /// Shows the machines what is not so, one expectation of each kind after another: each
    /// fails, with the words of the golden.
    fn every_expectation_can_fail(
        &mut self,
        architecture: &'static Architecture,
    ) -> Result<(), Failed> {
        let (stage, _) = self.stage(architecture)?;
        stage.restore().map_err(|error| error.to_string())?;
        let mut told = String::new();
        for file in files_of(&project::folder().join("tests/red")) {
            let content = std::fs::read(&file).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let scenario = Scenario::read(name, &content, architecture, &Promises::built_in())
                .unwrap_or_else(|error| panic!("{error}"));
            let outcome = stage.perform(&scenario, false).map_err(|error| error.to_string())?;
            if outcome.verdict != Verdict::Failed {
                return Err(Failed::from(format!("{name}: {}", words_of(&outcome))));
            }
            told += &format!("# {name}: {}\n{}\n", scenario.title, words_of(&outcome));
        }
        let golden = project::folder().join("tests/goldens/red.txt");
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&golden, &told).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        if told == wanted {
            return Ok(());
        }
        Err(Failed::from(similar::TextDiff::from_lines(&wanted, &told).unified_diff().to_string()))
    }

    /// Ends the machines and writes down what was measured.
    fn close(&mut self) {
        let Some((architecture, stage, told)) = self.open.take() else { return };
        let run = Run { outcomes: told.outcomes, ..stage.facts() };
        let file = |suffix: &str| out().join(format!("{}.{suffix}", architecture.name));
        std::fs::write(file("html"), report::page(self.spec, architecture, &run)).unwrap();
        std::fs::write(file("xml"), report::junit(&run)).unwrap();
        std::fs::write(file("scenarios.json"), report::json(&run).unwrap()).unwrap();
        if let Err(error) = stage.strike() {
            self.late.push(format!("{}: {error}", architecture.name));
        }
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What is said of a failure, up to what no two runs have in common: consoles, and who
/// happens to play which part.
fn words_of(outcome: &Outcome) -> String {
    let failure = outcome.failure.as_ref().map_or("nothing failed", |failure| &failure.text);
    let mut text = String::new();
    for line in failure.lines().take_while(|line| !line.contains("(all times are stretched")) {
        text += line;
        text.push('\n');
    }
    for (part, machine) in &outcome.cast {
        text = text.replace(machine, &format!("<{part}>"));
    }
    format!("{:?}: {text}", outcome.verdict)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    std::fs::create_dir_all(out()).unwrap();
    arguments.test_threads = Some(1);
    // They live as long as the process, like the stages that borrow them.
    let spec: &'static Spec = Box::leak(Box::new(Spec::read(project::folder()).unwrap()));
    let house =
        Arc::new(Mutex::new(House { spec, open: None, closed: BTreeMap::new(), late: Vec::new() }));
    let mut trials = Vec::new();
    let mut add = |name: String, play: Play| {
        let house = Arc::clone(&house);
        trials.push(Trial::test(name, move || {
            play(&mut house.lock().unwrap_or_else(PoisonError::into_inner))
        }));
    };
    for name in ARCHITECTURES {
        let architecture = spec.architecture(name).unwrap();
        let scenarios = Scenario::of_architecture(&spec.tree, architecture)
            .unwrap_or_else(|error| panic!("{error}"));
        for scenario in scenarios {
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
        if name == RED {
            add(
                format!("{name}::every_expectation_can_fail"),
                Box::new(move |house| house.every_expectation_can_fail(architecture)),
            );
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut house = house.lock().unwrap_or_else(PoisonError::into_inner);
    house.close();
    if house.late.is_empty() {
        return conclusion.exit_code();
    }
    eprintln!("{}", house.late.join("\n"));
    ExitCode::FAILURE
}
