//! Runs one scenario on a cluster: steps in their order, each expectation with its
//! deadline, everything recorded.

use super::action::ActionRunner;
use super::clock::Clock;
use super::cluster::Cluster;
use super::expectation::Prober;
use super::loads::Loads;
use super::outcome::StepOutcome;
use super::probe_result::ProbeResult;
use crate::error::{Error, Kind, Place, Result};
use crate::exec;
use crate::progress::{self, Status};
use crate::qemu::Machine;
use crate::scenario::expectation::Times;
use crate::scenario::{Aliases, PlacedAction, PlacedExpectation, Scenario, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two probes: each asks machines for an answer, which takes its own time.
const PAUSE: Duration = Duration::from_millis(50);
/// The same, native, while something must stay as it is and a load watches as well: of machines
/// that are emulated each question takes a part of the time that they have.
const WATCHED: Duration = Duration::from_millis(200);

/// A scenario while it runs.
pub(super) struct ScenarioRun<'s, 'a> {
    pub(super) cluster: &'s mut Cluster<'a>,
    pub(super) scenario: &'s Scenario,
    pub(super) aliases: Aliases,
    pub(super) clock: Clock,
    pub(super) loads: Loads,
    pub(super) steps: Vec<StepOutcome>,
    /// Whether the mechanism has been taken away, so that only a red is right.
    pub(super) is_control: bool,
    /// What is going on.
    pub(super) status: Status,
}

impl ScenarioRun<'_, '_> {
    /// Finds the machines that the aliases mean.
    pub(super) fn resolve_aliases(&mut self) -> Result<()> {
        let mut aliases = BTreeMap::new();
        for (name, alias) in &self.scenario.aliases {
            let floating = alias.floating().get_ref();
            let holder = self.cluster.holder_of(floating)?;
            let floating = &self.cluster.architecture.floating[floating];
            let machine = alias.machine(floating, &holder).unwrap_or_default();
            aliases.insert(name.clone(), machine.to_owned());
        }
        self.aliases = Aliases(aliases);
        Ok(())
    }

    /// Takes the mechanism away.
    pub(super) fn remove_mechanism(&mut self, actions: &[PlacedAction]) -> Result<()> {
        self.is_control = true;
        actions.iter().try_for_each(|action| self.act(action))
    }

    fn name(&self) -> String {
        format!(
            "{}{}",
            self.scenario.name,
            if self.is_control { " (negative control)" } else { "" }
        )
    }

    /// Shows what is waited for, since when, and what the machines do.
    fn show(&self, what: impl Display, since: Instant) {
        self.status.show(|| {
            let machines = self.cluster.machines.iter();
            let state = |machine: &Machine| if machine.is_on() { "on" } else { "off" };
            let states = machines.map(|(name, machine)| format!("{name} {}", state(machine)));
            let states = states.collect::<Vec<_>>().join(", ");
            format!("{}: {:.0} s: {what}; {states}", self.name(), since.elapsed().as_secs_f64())
        });
    }

    /// All steps.
    pub(super) fn run_steps(&mut self) -> Result<()> {
        let scenario = self.scenario;
        scenario.steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        progress::step("Step", format!("{}: {}", self.name(), step.name));
        self.cluster.mark(&step.name);
        let at = self.clock.now();
        self.steps.push(StepOutcome {
            name: step.name.clone(),
            at,
            end: at,
            is_fault: step.actions.iter().any(|action| action.action.is_fault()),
            actions: step.actions.iter().map(|action| action.action.to_string()).collect(),
            expectations: Vec::new(),
            impact: None,
        });
        let done = self.actions_and_expectations(step);
        let end = self.clock.now();
        if let Some(last) = self.steps.last_mut() {
            last.end = end;
        }
        done
    }

    fn actions_and_expectations(&mut self, step: &Step) -> Result<()> {
        step.actions.iter().try_for_each(|action| self.act(action))?;
        // Deadlines count from when the last action was done.
        let since = Instant::now();
        step.expectations.iter().try_for_each(|expect| self.expect(expect, since))
    }

    fn act(&mut self, act: &PlacedAction) -> Result<()> {
        let action = &act.action;
        self.cluster.mark(&action.to_string());
        self.status.show_now(|| format!("{}: {action}", self.name()));
        let mut runner = ActionRunner {
            cluster: self.cluster,
            aliases: &self.aliases,
            clock: self.clock,
            specs: &self.scenario.loads,
            loads: &mut self.loads,
        };
        let done = runner.perform(action);
        // A machine that does not come back is a red.
        done.map_err(|error| self.not_done(error, act.place.as_ref()))
    }

    /// The error of an action that was not done, or of a probe that could not be made: no answer
    /// to what a negative control asks, which must not take it for the red that it waits for.
    fn not_done(&self, error: Error, place: Option<&Place>) -> Error {
        let is_no_red = self.is_control && error.kind() == Kind::Check;
        let error = if is_no_red { error.of_kind(Kind::Build) } else { error };
        match place {
            Some(place) if error.kind() != Kind::Interrupted => error.at(place.clone()),
            Some(_) | None => error,
        }
    }

    /// Looks until it holds, then as long as it must stay so.
    fn expect(&mut self, expect: &PlacedExpectation, since: Instant) -> Result<()> {
        let Times { within, stays } = expect.expectation.times();
        let mut answered = BTreeSet::new();
        let end = since + within.map_or(Duration::ZERO, |within| self.clock.scaled(within));
        // What holds by chance (the answer of one server of two), and no more, is tried again for
        // as long as there is time.
        let after = loop {
            // A probe that began in time counts, however long the machines took.
            let in_time = Instant::now() < end;
            self.show(&expect.expectation, since);
            match self.probe_at(expect, &mut answered)? {
                ProbeResult::Met => {}
                ProbeResult::NotMet(_) if in_time => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                ProbeResult::NotMet(seen) => return Err(self.failed(expect, &seen)),
            }
            let after = since.elapsed().as_secs_f64();
            match self.stays(expect, since, stays, &mut answered)? {
                None => break after,
                Some(_) if Instant::now() < end => answered.clear(),
                Some(seen) => {
                    return Err(self.failed(expect, &format!("it held, and then: {seen}")));
                }
            }
        };
        self.note(expect, Some(after));
        Ok(())
    }

    /// Looks for as long as it must stay so; gives what was seen instead, if it did not.
    fn stays(
        &mut self,
        expect: &PlacedExpectation,
        since: Instant,
        stays: Option<crate::scenario::Seconds>,
        answered: &mut BTreeSet<String>,
    ) -> Result<Option<String>> {
        let stay = Instant::now() + stays.map_or(Duration::ZERO, |stays| self.clock.scaled(stays));
        // Clients who are there all the time miss nothing between two probes.
        let pause =
            if self.loads.is_any() { WATCHED.mul_f64(self.clock.time_scale()) } else { PAUSE };
        while Instant::now() < stay {
            std::thread::sleep(pause.min(stay.saturating_duration_since(Instant::now())));
            self.show(&expect.expectation, since);
            if let ProbeResult::NotMet(seen) = self.probe_at(expect, answered)? {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    fn probe_at(
        &mut self,
        expect: &PlacedExpectation,
        answered: &mut BTreeSet<String>,
    ) -> Result<ProbeResult> {
        self.probe(expect, answered).map_err(|error| self.not_done(error, expect.place.as_ref()))
    }

    fn probe(
        &mut self,
        expect: &PlacedExpectation,
        answered: &mut BTreeSet<String>,
    ) -> Result<ProbeResult> {
        if exec::interrupted() {
            return Err(exec::interruption());
        }
        let (aliases, clock, loads) = (&self.aliases, self.clock, &self.loads);
        Prober { cluster: self.cluster, aliases, clock, loads, answered }.probe(&expect.expectation)
    }

    fn note(&mut self, expect: &PlacedExpectation, after: Option<f64>) {
        if let Some(step) = self.steps.last_mut() {
            step.expectations.push((expect.expectation.to_string(), after));
        }
    }

    /// The expectation that failed, what was seen instead, and where more can be read.
    fn failed(&mut self, expect: &PlacedExpectation, seen: &str) -> Error {
        // Nothing is known of an image whose emulator died, or stands still.
        let emulators = self.cluster.machines.values().try_for_each(Machine::check_emulator);
        if let Err(broken) = emulators {
            return broken;
        }
        self.note(expect, None);
        let time_scale = self.cluster.time_scale;
        let mut error = Error::check(format!("expected that {}", expect.expectation));
        if let Some(place) = &expect.place {
            error = error.at(place.clone());
        }
        error = error.detail(format!("seen: {seen}"));
        if time_scale > 1 {
            error = error.detail(format!("(time scale: {time_scale})"));
        }
        for (alias, machine) in &self.aliases.0 {
            error = error.detail(format!("{alias} is {machine}"));
        }
        for (name, machine) in &self.cluster.machines {
            error = error.detail(format!("the console of {name}, its last lines:"));
            let tail = machine.console_tail();
            error =
                error.detail(tail.lines().map(|line| format!("  {line}\n")).collect::<String>());
        }
        error.hint(format!(
            "consoles and captures of all packages are in {}",
            self.cluster.config.logs.display()
        ))
    }
}

/// Whether anything is done to machines or links.
pub(super) fn has_fault(scenario: &Scenario) -> bool {
    scenario.steps.iter().flat_map(|step| &step.actions).any(|action| action.action.is_fault())
}
