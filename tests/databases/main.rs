//! A pair of databases at full speed, without virtual machines: the packages and the
//! configuration of architecture 5's images, MariaDB, keepalived and the agent, in namespaces on
//! this machine. Each fault is followed by what a client sees: how long no write was
//! acknowledged, and whether one that was is missing.
//!
//! Times are shown, and judged by nobody: they are this machine's. Only root can do it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(
    clippy::disallowed_methods,
    reason = "processes that live as long as the test, with pipes: src/exec.rs runs programs to their end"
)]

#[path = "../project/mod.rs"]
mod project;
#[path = "../../pair/tests/simulator/random.rs"]
mod random;
#[path = "../tiers/mod.rs"]
mod tiers;

mod faults;
mod ledger;
mod node;
mod person;
mod rig;

use faults::Fault;
use rig::Rig;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tiers::{Runs, Suite};

fn main() -> ExitCode {
    let mut suite = Suite::new();
    if !nix::unistd::geteuid().is_root() {
        suite.add("pairs", (Runs::Always, ""), || {
            let reason = "only root can make networks of namespaces with all users in them";
            if std::env::var_os("CI").is_some_and(|value| value == "true") {
                return Err(format!("with CI=true it may not be left out: {reason}").into());
            }
            Ok(libtest_mimic::Completion::ignored_with(reason))
        });
        return ExitCode::from(u8::from(!suite.run(1)));
    }
    let rig: Arc<Mutex<Option<Rig>>> = Arc::default();
    for (name, fault, promise) in faults::NAMED {
        let rig = Arc::clone(&rig);
        let cost = (Runs::InGate, "two databases in namespaces: 20 s");
        suite.add(format!("pairs::{name}"), cost, move || {
            on(&rig, |rig| {
                let rounds = number("ROUNDS").unwrap_or(if in_full() { 3 } else { 1 });
                rig.judge(name, fault, promise, rounds)
            })
        });
    }
    for (name, trial) in person::TRIALS {
        let rig = Arc::clone(&rig);
        let cost = (Runs::InGate, "two databases in namespaces: 20 s");
        suite.add(format!("pairs::person::{name}"), cost, move || on(&rig, trial));
    }
    let histories = Arc::clone(&rig);
    let cost = (Runs::InGate, "random faults at a pair of databases: 2 min, 20 in full");
    suite.add("pairs::random_histories", cost, move || on(&histories, random_histories));
    ExitCode::from(u8::from(!suite.run(1)))
}

fn in_full() -> bool {
    tiers::gate().is_none()
}

/// `IMAGEBUILD_PAIRS_SEED`, `_MINUTES`, `_ROUNDS`: for who measures, or replays.
fn number(name: &str) -> Option<u64> {
    std::env::var(format!("IMAGEBUILD_PAIRS_{name}")).ok()?.parse().ok()
}

/// With the pair that the test before has left, or a new one if that failed.
fn on(
    rig: &Mutex<Option<Rig>>,
    test: impl FnOnce(&mut Rig) -> Result<(), String>,
) -> Result<libtest_mimic::Completion, libtest_mimic::Failed> {
    let mut rig = rig.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut running = match rig.take() {
        Some(running) => running,
        None => Rig::new()?,
    };
    test(&mut running).map_err(|why| format!("{why}\n{}", running.report()))?;
    *rig = Some(running);
    Ok(libtest_mimic::Completion::Completed)
}

/// Faults at random times, one or two at a time, for as long as the tier has; from a seed that is
/// another one each time, and shown.
fn random_histories(rig: &mut Rig) -> Result<(), String> {
    let given = number("SEED");
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |now| now.as_secs());
    let mut random = random::Random::new(given.unwrap_or(now));
    println!("IMAGEBUILD_PAIRS_SEED={}", given.unwrap_or(now));
    let minutes = number("MINUTES");
    let lasts = Duration::from_secs(60 * minutes.unwrap_or(if in_full() { 20 } else { 2 }));
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < lasts {
        let history: Vec<(Fault, Duration)> = faults::random(&mut random);
        rig.play(&history).map_err(|why| format!("after {history:?}: {why}"))?;
        count += 1;
    }
    println!("{count} histories, nothing lost");
    Ok(())
}
