//! Scenarios of vm-tests/ on the shipped images, one test each, and each mask as a
//! test of its own that passes when the scenario goes red. All of an architecture share
//! one boot and run as many at a time as there are copies of it; what they measured is in
//! `target/tmp/scenarios/`: a page, JUnit's XML, JSON, consoles, captures.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod project;

use imagebuild::build::Build;
use imagebuild::exec::Program;
use imagebuild::plan::server::{Plan, TOOLS, VM_TOOLS};
use imagebuild::progress;
use imagebuild::scenario::{Promises, Scenario};
use imagebuild::spec::{Architecture, Spec};
use imagebuild::vm::scenario::outcome::{Outcome, Run, Verdict};
use imagebuild::vm::scenario::{Copies, Props, fitting};
use imagebuild::vm::{Emulator, report};
use libtest_mimic::{Arguments, Failed, Trial};
use project::Project;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// In this order, one after another: two that boot at a time would slow each other down.
const ARCHITECTURES: [&str; 6] = ["arch1", "arch2", "arch3", "arch5", "arch6", "arch4"];
/// Whose machines are shown what is not so.
const RED: &str = "arch4";

/// The house: one topology is up at a time, booted when the first test wants it.
struct House {
    spec: &'static Spec,
    open: Option<Open>,
    /// Of each architecture, the tests that wait until it is up: none is opened twice.
    waiting: BTreeMap<&'static str, usize>,
    /// Why an architecture cannot be opened: told to every test, tried once.
    closed: BTreeMap<String, String>,
    /// What was wrong when a topology ended: no test of the next one's.
    late: Vec<String>,
}

/// What is up.
struct Open {
    architecture: &'static Architecture,
    copies: Arc<Copies<'static>>,
    outcomes: Vec<(usize, Outcome)>,
    /// Tests that use it now.
    guests: usize,
}

/// The house, and the news that a test has left it.
#[derive(Clone)]
struct Door(Arc<(Mutex<House>, Condvar)>);

/// What a test does in the house.
type Play = Box<dyn FnOnce(&Door) -> Result<(), Failed> + Send>;

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
) -> Result<Copies<'static>, String> {
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
    let count = fitting(architecture).map_err(|error| error.to_string())?;
    Copies::set_up(spec, architecture, props, count).map_err(|error| error.to_string())
}

impl House {
    /// The topology of `architecture`; the one that was up is ended.
    fn open(&mut self, architecture: &'static Architecture) -> Result<&mut Open, Failed> {
        let name = &architecture.name;
        if let Some(why) = self.closed.get(name) {
            return Err(Failed::from(why));
        }
        if self.open.as_ref().is_none_or(|open| open.architecture.name != *name) {
            self.close();
            match set_up(self.spec, architecture) {
                Ok(copies) => {
                    let copies = Arc::new(copies);
                    self.open =
                        Some(Open { architecture, copies, outcomes: Vec::new(), guests: 0 });
                }
                Err(why) => {
                    self.closed.insert(name.clone(), why.clone());
                    return Err(Failed::from(why));
                }
            }
        }
        Ok(self.open.as_mut().unwrap())
    }

    /// Ends the machines and writes down what was measured.
    fn close(&mut self) {
        let Some(Open { architecture, copies, mut outcomes, .. }) = self.open.take() else {
            return;
        };
        outcomes.sort_by_key(|(number, _)| *number);
        let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        let run = Run { outcomes, ..copies.facts() };
        let file = |suffix: &str| out().join(format!("{}.{suffix}", architecture.name));
        std::fs::write(file("html"), report::page(self.spec, architecture, &run)).unwrap();
        std::fs::write(file("xml"), report::junit(&run)).unwrap();
        std::fs::write(file("scenarios.json"), report::json(&run).unwrap()).unwrap();
        let copies = Arc::into_inner(copies).expect("no test uses it");
        if let Err(error) = copies.strike() {
            self.late.push(format!("{}: {error}", architecture.name));
        }
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, House> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no test uses the machines of another architecture, or wants those of one
    /// that comes before.
    fn enter(&self, architecture: &'static Architecture) -> Result<Guest, Failed> {
        let name = architecture.name.as_str();
        let before = ARCHITECTURES.into_iter().take_while(|other| *other != name);
        let before: Vec<&str> = before.collect();
        let must_wait = |house: &mut House| {
            let is_other = |open: &Open| open.architecture.name != name && open.guests > 0;
            house.open.as_ref().is_some_and(is_other)
                || before.iter().any(|other| house.waiting.get(other).is_some_and(|n| *n > 0))
        };
        let mut house = self.lock();
        *house.waiting.entry(name).or_default() += 1;
        let waited = self.0.1.wait_while(house, must_wait);
        let mut house = waited.unwrap_or_else(PoisonError::into_inner);
        *house.waiting.entry(name).or_default() -= 1;
        self.0.1.notify_all();
        let open = house.open(architecture)?;
        open.guests += 1;
        Ok(Guest { door: self.clone(), copies: Some(Arc::clone(&open.copies)) })
    }

    fn attempt(
        &self,
        architecture: &'static Architecture,
        (number, scenario, masked): (usize, &Scenario, bool),
    ) -> Result<(), Failed> {
        let guest = self.enter(architecture)?;
        let attempted = guest.copies().lend().attempt(scenario, masked);
        let outcome = attempted.map_err(|error| error.to_string())?;
        let verdict = outcome.verdict;
        let why = outcome.failure.as_ref().map_or(String::new(), |failure| failure.text.clone());
        if let Some(open) = &mut self.lock().open {
            open.outcomes.push((number, outcome));
        }
        let why = match verdict {
            Verdict::Passed => return Ok(()),
            Verdict::Failed => why,
            Verdict::Broke => format!("the harness broke: {why}"),
        };
        // At once: the end of the list is half an hour away.
        progress::warn(format!("{} of {}: {why}", scenario.name, architecture.name));
        Err(Failed::from(why))
    }

    /// Shows the machines what is not so, one expectation of each kind after another: each
    /// fails, with the words of the golden.
    fn every_expectation_can_fail(
        &self,
        architecture: &'static Architecture,
    ) -> Result<(), Failed> {
        let guest = self.enter(architecture)?;
        let mut stage = guest.copies().lend();
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
}

/// A test that uses what is up.
struct Guest {
    door: Door,
    // Empty only while it leaves.
    copies: Option<Arc<Copies<'static>>>,
}

impl Guest {
    fn copies(&self) -> &Copies<'static> {
        self.copies.as_ref().unwrap()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.copies = None;
        if let Some(open) = &mut self.door.lock().open {
            open.guests -= 1;
        }
        self.door.0.1.notify_all();
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
    // They live as long as the process, like the stages that borrow them.
    let spec: &'static Spec = Box::leak(Box::new(Spec::read(project::folder()).unwrap()));
    let fits = |name| fitting(spec.architecture(name).unwrap()).unwrap().get();
    arguments.test_threads = arguments.test_threads.or(ARCHITECTURES.into_iter().map(fits).max());
    let house = House {
        spec,
        open: None,
        waiting: BTreeMap::new(),
        closed: BTreeMap::new(),
        late: Vec::new(),
    };
    let door = Door(Arc::new((Mutex::new(house), Condvar::new())));
    let mut trials = Vec::new();
    let mut add = |name: String, play: Play| {
        let door = door.clone();
        trials.push(Trial::test(name, move || play(&door)));
    };
    let mut number = 0;
    for name in ARCHITECTURES {
        let architecture = spec.architecture(name).unwrap();
        let scenarios = Scenario::of_architecture(&spec.tree, architecture)
            .unwrap_or_else(|error| panic!("{error}"));
        // The longest first: the others fill the time of the other copies.
        if name == RED {
            add(
                format!("{name}::every_expectation_can_fail"),
                Box::new(move |door| door.every_expectation_can_fail(architecture)),
            );
        }
        for scenario in scenarios {
            let masks = if scenario.mask.is_some() { &[false, true][..] } else { &[false] };
            for masked in masks.iter().copied() {
                let suffix = if masked { "::masked" } else { "" };
                let scenario = scenario.clone();
                number += 1;
                add(
                    format!("{name}::{}{suffix}", scenario.name),
                    Box::new(move |door| door.attempt(architecture, (number, &scenario, masked))),
                );
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut house = door.lock();
    house.close();
    if house.late.is_empty() {
        return conclusion.exit_code();
    }
    eprintln!("{}", house.late.join("\n"));
    ExitCode::FAILURE
}
