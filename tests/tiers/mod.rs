//! Which tests run when, in three tiers:
//!
//! - *quick*, `cargo test --release`: what a newcomer waits for;
//! - *full*, `cargo test --release -- --include-ignored`: all there is;
//! - *the gate*, `.ci/run`: with `IMAGEBUILD_GATE` set to the number of the commit. Each
//!   thing is proven once; of what only repeats a proof (negative controls) each commit runs a
//!   share, another one each time. Where time is over before the tests are, as on a slow
//!   machine, their order decides what is left out, so that changes with the commit, too.
//!
//! What a tier leaves out is shown as ignored, with what it costs.

#![allow(dead_code, reason = "every test binary uses a part of it")]

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Set by the gate: the number of the commit, which says whose turn it is.
const GATE: &str = "IMAGEBUILD_GATE";
/// Set by the gate: when its time is over, in seconds since 1970. What has not begun by then is
/// left out, and its log says so: a gate on a slow machine ends, too.
const UNTIL: &str = "IMAGEBUILD_GATE_UNTIL";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tier {
    Quick,
    /// Of the commit with this number.
    Gate(u64),
    Full,
}

impl Tier {
    fn of(arguments: &Arguments, gate: Option<u64>) -> Tier {
        match gate {
            Some(number) => Tier::Gate(number),
            None if arguments.include_ignored || arguments.ignored => Tier::Full,
            None => Tier::Quick,
        }
    }
}

/// The number of the commit whose gate this is.
pub(crate) fn gate() -> Option<u64> {
    let number = std::env::var(GATE).ok()?;
    Some(number.parse().unwrap_or_else(|e| panic!("{GATE} is no number: {e}")))
}

/// In the gate the next commit begins with the next one: who is last may be left out.
pub(crate) fn in_turn<T: Clone>(all: &[T], gate: Option<u64>) -> Vec<T> {
    let first = gate.map_or(0, |number| number as usize % all.len().max(1));
    all.iter().cycle().skip(first).take(all.len()).cloned().collect()
}

/// In which tiers a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// In all.
    Always,
    /// In the gate, and in full.
    InGate,
    /// In full, and in one of so many gates: the one whose commit's number fits the place.
    InTurn { place: u64, of: u64 },
}

impl Runs {
    /// Why a tier leaves the test out, if it does; `cost` is what its reader wants to know.
    fn left_out(self, tier: Tier, cost: &str) -> Option<String> {
        match (self, tier) {
            (Runs::Always, _) | (_, Tier::Full) | (Runs::InGate, Tier::Gate(_)) => None,
            (_, Tier::Quick) => Some(format!("{cost}; run by `-- --include-ignored`")),
            (Runs::InTurn { place, of }, Tier::Gate(number)) => {
                let wait = (place % of + of - number % of) % of;
                (wait != 0).then(|| {
                    format!("{cost}; the gate runs one in {of}, this one {wait} commits later")
                })
            }
        }
    }
}

/// Whether the gate's time is over.
fn is_over(until: Option<u64>, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    until.is_some_and(|until| now > until)
}

/// Tests that run as many at a time as is said, in their order.
pub(crate) struct Suite {
    arguments: Arguments,
    tier: Tier,
    trials: Vec<Trial>,
    /// Whether those that every tier runs are left out: `--ignored`.
    only_ignored: bool,
    /// When the gate's time is over.
    until: Option<u64>,
    /// What was left out of a gate, as its log must say: those whose turn is another time, and
    /// those for which there was none.
    later: Arc<Mutex<Vec<String>>>,
    out_of_time: Arc<Mutex<Vec<String>>>,
}

impl Suite {
    /// None yet; the tier is read from the command line and the environment.
    pub(crate) fn new() -> Suite {
        let arguments = Arguments::from_args();
        let tier = Tier::of(&arguments, gate());
        let only_ignored = arguments.ignored;
        // The tier decides, and says why.
        let arguments = Arguments { ignored: false, include_ignored: true, ..arguments };
        let until = std::env::var(UNTIL).ok().filter(|_| matches!(tier, Tier::Gate(_)));
        let until = until.map(|until| until.parse().unwrap_or_else(|e| panic!("{UNTIL}: {e}")));
        let (later, out_of_time) = (Arc::default(), Arc::default());
        Suite { arguments, tier, trials: Vec::new(), only_ignored, until, later, out_of_time }
    }

    /// A test; `cost` is shown where it is left out: `boots 2 servers: 1 min`.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        (runs, cost): (Runs, &str),
        test: impl FnOnce() -> Result<Completion, Failed> + Send + 'static,
    ) {
        if self.only_ignored && runs == Runs::Always {
            return;
        }
        let name = name.into();
        let (later, out_of_time) = (Arc::clone(&self.later), Arc::clone(&self.out_of_time));
        let left_out = runs.left_out(self.tier, cost);
        let until = self.until.filter(|_| runs != Runs::Always);
        let own_name = name.clone();
        let note = move |list: Arc<Mutex<Vec<String>>>, why: &str| {
            list.lock().unwrap_or_else(PoisonError::into_inner).push(own_name);
            Ok(Completion::ignored_with(why))
        };
        self.trials.push(Trial::ignorable_test(name, move || match left_out {
            Some(why) => note(later, &why),
            None if is_over(until, SystemTime::now()) => {
                note(out_of_time, "the gate's time is over")
            }
            None => test(),
        }));
    }

    /// Runs them, `at_a_time` unless the command line says how many; whether all was well.
    pub(crate) fn run(mut self, at_a_time: usize) -> bool {
        self.arguments.test_threads.get_or_insert(at_a_time);
        let has_failed = libtest_mimic::run(&self.arguments, self.trials).has_failed();
        let lists = [("in turn", &self.later), ("for want of time", &self.out_of_time)];
        for (why, list) in lists {
            let names = list.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(self.tier, Tier::Gate(_)) && !names.is_empty() {
                println!("left out of this gate, {why}: {}\n", names.join(", "));
            }
        }
        !has_failed
    }
}

/// The tests of this module itself: run in every tier, besides those that they are about.
pub(crate) fn own_tests(suite: &mut Suite) {
    suite.add("tiers::each_has_its_turn", (Runs::Always, ""), || {
        each_has_its_turn();
        Ok(Completion::Completed)
    });
}

fn each_has_its_turn() {
    let arguments =
        |text: &str| Arguments::from_iter(["test"].into_iter().chain(text.split_whitespace()));
    assert_eq!(Tier::of(&arguments(""), None), Tier::Quick);
    assert_eq!(Tier::of(&arguments("--include-ignored"), None), Tier::Full);
    assert_eq!(Tier::of(&arguments("--ignored"), None), Tier::Full);
    // The gate calls the README's command.
    assert_eq!(Tier::of(&arguments(""), Some(7)), Tier::Gate(7));

    let all = ["a", "b", "c"];
    assert_eq!(in_turn(&all, None), all);
    let firsts: Vec<&str> = (4..8).map(|number| in_turn(&all, Some(number))[0]).collect();
    assert_eq!(firsts, ["b", "c", "a", "b"]);
    assert_eq!(in_turn(&all, Some(5)), ["c", "a", "b"]);

    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert!(!is_over(None, at(9)) && !is_over(Some(9), at(9)) && is_over(Some(9), at(10)));

    let cost = "boots 1 server: 1 min";
    let runs = |runs: Runs, tier| runs.left_out(tier, cost).is_none();
    for tier in [Tier::Quick, Tier::Gate(3), Tier::Full] {
        assert!(runs(Runs::Always, tier));
        assert_eq!(runs(Runs::InGate, tier), tier != Tier::Quick);
    }
    for place in 0..9 {
        let one = Runs::InTurn { place, of: 4 };
        assert!(runs(one, Tier::Full) && !runs(one, Tier::Quick));
        let turns: Vec<u64> = (100..108).filter(|number| runs(one, Tier::Gate(*number))).collect();
        assert_eq!((turns.len(), turns[0] % 4), (2, place % 4), "{place}: {turns:?}");
    }
    assert_eq!(
        Runs::InTurn { place: 5, of: 4 }.left_out(Tier::Gate(3), cost).unwrap_or_default(),
        "boots 1 server: 1 min; the gate runs one in 4, this one 2 commits later"
    );
}
