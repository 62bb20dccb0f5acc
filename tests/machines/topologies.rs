//! The servers of an architecture together: every scenario of vm-tests/ on the shipped images,
//! each negative control as a test of its own that passes when the scenario goes red, and what
//! each server is asked by itself. All of an architecture share one boot and run as many at a
//! time as there are copies of it; what they measured is in `target/tmp/scenarios/`: a page,
//! JUnit's XML, JSON, consoles, captures.

use crate::project;
use crate::servers;
use crate::setup::world;
use crate::tiers::{Runs, Suite, gate, in_turn};
use imagebuild::progress;
use imagebuild::runner::outcome::{Outcome, Run, Verdict};
use imagebuild::runner::report;
use imagebuild::runner::{ClusterConfig, ClusterPool, pool_size};
use imagebuild::scenario::{Promises, Scenario};
use imagebuild::spec::{Architecture, Spec};
use libtest_mimic::{Completion, Failed};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// One after another: two that boot at a time would slow each other down.
const ARCHITECTURES: [&str; 6] = ["arch1", "arch2", "arch3", "arch5", "arch6", "arch4"];
/// Whose machines are shown what is not so.
const RED: &str = "arch4";

/// The house: one topology is up at a time, booted when the first test wants it.
struct House {
    spec: &'static Spec,
    /// The architectures in their order.
    order: Vec<&'static str>,
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
    pool: Arc<ClusterPool<'static>>,
    outcomes: Vec<(usize, Outcome)>,
    /// Tests that use it now.
    guests: usize,
    since: Instant,
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

/// By how much the guests' timers are scaled: measured by the first topology that boots,
/// and the same for all of this process, so that one noisy boot does not slow the others.
static TIME_SCALE: OnceLock<u32> = OnceLock::new();

/// Builds the images as a user would, and boots them.
fn set_up(
    spec: &'static Spec,
    architecture: &'static Architecture,
) -> Result<ClusterPool<'static>, String> {
    let world = world();
    let config = ClusterConfig {
        emulator: world.emulator.clone(),
        images: world.images(architecture),
        tools: world.tools.clone(),
        logs: out().join(&architecture.name),
        time_scale: TIME_SCALE.get().copied(),
    };
    let count = pool_size(architecture).map_err(|error| error.to_string())?;
    let pool = ClusterPool::set_up(spec, architecture, config, count).map_err(|e| e.to_string())?;
    TIME_SCALE.get_or_init(|| pool.facts().time_scale as u32);
    Ok(pool)
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
                Ok(pool) => {
                    let pool = Arc::new(pool);
                    let (outcomes, since) = (Vec::new(), Instant::now());
                    self.open = Some(Open { architecture, pool, outcomes, guests: 0, since });
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
        let Some(Open { architecture, pool, mut outcomes, since, .. }) = self.open.take() else {
            return;
        };
        note_times(architecture, &pool.facts(), &outcomes, since);
        outcomes.sort_by_key(|(number, _)| *number);
        let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        let run = Run { outcomes, ..pool.facts() };
        let file = |suffix: &str| out().join(format!("{}.{suffix}", architecture.name));
        std::fs::write(file("html"), report::page(self.spec, architecture, &run)).unwrap();
        std::fs::write(file("xml"), report::junit(&run)).unwrap();
        std::fs::write(file("scenarios.json"), report::json(&run).unwrap()).unwrap();
        let pool = Arc::into_inner(pool).expect("no test uses it");
        if let Err(error) = pool.shut_down() {
            self.late.push(format!("{}: {error}", architecture.name));
        }
    }
}

/// A line for the gate's table of seconds, where it wants one: until all machines were up, what
/// all runs took together, and how long they took side by side.
fn note_times(
    architecture: &Architecture,
    run: &Run,
    outcomes: &[(usize, Outcome)],
    since: Instant,
) {
    let Some(path) = std::env::var_os("IMAGEBUILD_TIMES") else { return };
    let sum: f64 = outcomes.iter().map(|(_, outcome)| outcome.seconds).sum();
    let line = format!(
        "  {}: boot {:.0} s, timers x {:.0}; {} runs of {sum:.0} s, side by side with restores and servers {:.0} s\n",
        architecture.name,
        run.boot_seconds,
        run.time_scale,
        outcomes.len(),
        since.elapsed().as_secs_f64(),
    );
    let file = OpenOptions::new().append(true).create(true).open(path);
    std::io::Write::write_all(&mut file.unwrap(), line.as_bytes()).unwrap();
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, House> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no test uses the machines of another architecture, or wants those of one
    /// that comes before.
    fn enter(&self, architecture: &'static Architecture) -> Result<Guest, Failed> {
        let name = architecture.name.as_str();
        let must_wait = |house: &mut House| {
            let is_other = |open: &Open| open.architecture.name != name && open.guests > 0;
            let mut before = house.order.iter().take_while(|other| **other != name);
            house.open.as_ref().is_some_and(is_other)
                || before.any(|other| house.waiting.get(other).is_some_and(|n| *n > 0))
        };
        let mut house = self.lock();
        *house.waiting.entry(name).or_default() += 1;
        let waited = self.0.1.wait_while(house, must_wait);
        let mut house = waited.unwrap_or_else(PoisonError::into_inner);
        *house.waiting.entry(name).or_default() -= 1;
        self.0.1.notify_all();
        let open = house.open(architecture)?;
        open.guests += 1;
        Ok(Guest { door: self.clone(), pool: Some(Arc::clone(&open.pool)) })
    }

    fn run_from_baseline(
        &self,
        architecture: &'static Architecture,
        (number, scenario, is_control): (usize, &Scenario, bool),
    ) -> Result<(), Failed> {
        let guest = self.enter(architecture)?;
        let attempted = guest.pool().acquire().run_from_baseline(scenario, is_control);
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

    /// What each server is asked by itself.
    fn ask_servers(&self, architecture: &'static Architecture) -> Result<(), Failed> {
        let guest = self.enter(architecture)?;
        let mut cluster = guest.pool().acquire();
        servers::of_architecture(&mut cluster, architecture)
            .map_err(|e| Failed::from(e.to_string()))
    }

    /// Shows the machines what is not so, one expectation of each kind after another: each
    /// fails, with the words of the golden.
    fn every_expectation_can_fail(
        &self,
        architecture: &'static Architecture,
    ) -> Result<(), Failed> {
        let guest = self.enter(architecture)?;
        let mut cluster = guest.pool().acquire();
        cluster.restore().map_err(|error| error.to_string())?;
        let mut told = String::new();
        for file in files_of(&project::folder().join("tests/red")) {
            let content = std::fs::read(&file).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let scenario = Scenario::read(name, &content, architecture, &Promises::built_in())
                .unwrap_or_else(|error| panic!("{error}"));
            let outcome = cluster.run(&scenario, false).map_err(|error| error.to_string())?;
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
    pool: Option<Arc<ClusterPool<'static>>>,
}

impl Guest {
    fn pool(&self) -> &ClusterPool<'static> {
        self.pool.as_ref().unwrap()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.pool = None;
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
    for line in failure.lines().take_while(|line| !line.contains("(time scale:")) {
        text += line;
        text.push('\n');
    }
    for (part, machine) in &outcome.aliases {
        text = text.replace(machine, &format!("<{part}>"));
    }
    format!("{:?}: {text}", outcome.verdict)
}

/// In the quick tier: an architecture as it is shipped, and one failover with its control.
const QUICK: (&str, [&str; 2]) = ("arch4", ["as-shipped", "whole-server-lost"]);

/// It scans all ports, from both networks.
const LONGEST: &str = "no-unexpected-ports";

/// Each gate runs one of so many negative controls.
const SHARE_OF_CONTROLS: u64 = 4;

fn tier_of(architecture: &str, scenario: &Scenario, control_number: Option<u64>) -> Runs {
    let (quick, names) = QUICK;
    match control_number {
        _ if architecture == quick && names.contains(&&*scenario.name) => Runs::Always,
        Some(place) => Runs::InTurn { place, of: SHARE_OF_CONTROLS },
        None => Runs::InGate,
    }
}

/// All architectures; whether all was well.
pub(crate) fn run() -> bool {
    std::fs::create_dir_all(out()).unwrap();
    // They live as long as the process, like the clusters that borrow them.
    let spec: &'static Spec = Box::leak(Box::new(Spec::read(project::folder()).unwrap()));
    // The suites themselves change places with each commit: this one's order after them.
    let order = in_turn(&ARCHITECTURES, gate().map(|number| number / 3));
    let house = House {
        spec,
        order: order.clone(),
        open: None,
        waiting: BTreeMap::new(),
        closed: BTreeMap::new(),
        late: Vec::new(),
    };
    let door = Door(Arc::new((Mutex::new(house), Condvar::new())));
    let mut suite = Suite::new();
    for name in order {
        add(&mut suite, &door, spec.architecture(name).unwrap());
    }
    let fits = |name| pool_size(spec.architecture(name).unwrap()).unwrap().get();
    let is_well = suite.run(ARCHITECTURES.into_iter().map(fits).max().unwrap_or(1));
    let mut house = door.lock();
    house.close();
    eprint!("{}", house.late.iter().fold(String::new(), |text, line| text + line + "\n"));
    is_well && house.late.is_empty()
}

/// The tests of one architecture, whose runs and negative controls are numbered.
fn add(suite: &mut Suite, door: &Door, architecture: &'static Architecture) {
    let (mut number, mut controls) = (0, 0);
    let name = &architecture.name;
    let cost = format!("boots {} servers: 2 min", architecture.servers.len());
    let mut add = |test: String, runs: Runs, play: Play| {
        let door = door.clone();
        suite.add(format!("{name}::{test}"), (runs, &cost), move || {
            play(&door).map(|()| Completion::Completed)
        });
    };
    // The longest first: the others fill the time of the other copies.
    add("servers".to_owned(), Runs::InGate, Box::new(move |door| door.ask_servers(architecture)));
    if name == RED {
        let play: Play = Box::new(move |door| door.every_expectation_can_fail(architecture));
        add("every_expectation_can_fail".to_owned(), Runs::InGate, play);
    }
    let scenarios = Scenario::of_architecture(&door.lock().spec.tree, architecture);
    let mut scenarios = scenarios.unwrap_or_else(|error| panic!("{error}"));
    scenarios.sort_by_key(|scenario| scenario.name != LONGEST);
    for scenario in scenarios {
        let negative_controls =
            if scenario.negative_control.is_some() { &[false, true][..] } else { &[false] };
        for is_control in negative_controls.iter().copied() {
            let place = is_control.then_some(controls);
            controls += u64::from(is_control);
            let runs = tier_of(name, &scenario, place);
            let suffix = if is_control { "::control" } else { "" };
            number += 1;
            let run = (number, scenario.clone(), is_control);
            let play: Play =
                Box::new(move |door| door.run_from_baseline(architecture, (run.0, &run.1, run.2)));
            add(format!("{}{suffix}", scenario.name), runs, play);
        }
    }
}
