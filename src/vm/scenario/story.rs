//! Tells one scenario to the stage: steps in their order, each expectation with its
//! deadline, everything recorded.

use super::addresses::of_host;
use super::clock::Clock;
use super::deeds::Doer;
use super::loads::Loads;
use super::look::{Look, Looker};
use super::outcome::StepOutcome;
use super::stage::Stage;
use crate::error::{Error, Kind, Place, Result};
use crate::exec;
use crate::progress::{self, Status};
use crate::scenario::{Act, Action, Cast, Expect, Scenario, Step};
use crate::vm::Machine;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two looks: each asks machines for an answer, which takes its own time.
const PAUSE: Duration = Duration::from_millis(50);

/// A scenario being told.
pub(super) struct Story<'s, 'a> {
    pub(super) stage: &'s mut Stage<'a>,
    pub(super) scenario: &'s Scenario,
    pub(super) cast: Cast,
    pub(super) clock: Clock,
    pub(super) loads: Loads,
    pub(super) steps: Vec<StepOutcome>,
    /// Whether the mechanism has been taken away, so that only a red is right.
    pub(super) is_masked: bool,
    /// What is going on.
    pub(super) status: Status,
}

impl Story<'_, '_> {
    /// Finds out who plays which part.
    pub(super) fn find_cast(&mut self) -> Result<()> {
        let mut cast = BTreeMap::new();
        for (name, part) in &self.scenario.cast {
            let floating = part.floating().get_ref();
            let holder = self.stage.holder_of(floating)?;
            let floating = &self.stage.architecture.floating[floating];
            let machine = part.machine(floating, &holder).unwrap_or_default();
            cast.insert(name.clone(), machine.to_owned());
        }
        self.cast = Cast(cast);
        Ok(())
    }

    /// Takes the mechanism away.
    pub(super) fn mask(&mut self, deeds: &[Act]) -> Result<()> {
        self.is_masked = true;
        deeds.iter().try_for_each(|deed| self.act(deed))
    }

    fn name(&self) -> String {
        format!("{}{}", self.scenario.name, if self.is_masked { " (masked)" } else { "" })
    }

    /// Shows what is waited for, since when, and what the machines do.
    fn show(&self, what: impl Display, since: Instant) {
        self.status.show(|| {
            let machines = self.stage.machines.iter();
            let state = |machine: &Machine| if machine.is_on() { "on" } else { "off" };
            let states = machines.map(|(name, machine)| format!("{name} {}", state(machine)));
            let states = states.collect::<Vec<_>>().join(", ");
            format!("{}: {:.0} s: {what}; {states}", self.name(), since.elapsed().as_secs_f64())
        });
    }

    /// All steps.
    pub(super) fn tell(&mut self) -> Result<()> {
        let scenario = self.scenario;
        scenario.steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        progress::step("Step", format!("{}: {}", self.name(), step.say));
        self.stage.mark(&step.say);
        let at = self.clock.now();
        self.steps.push(StepOutcome {
            say: step.say.clone(),
            at,
            end: at,
            is_fault: step.deeds.iter().any(|deed| is_fault(&deed.action)),
            deeds: step.deeds.iter().map(|deed| deed.action.to_string()).collect(),
            expectations: Vec::new(),
            felt: None,
        });
        let done = self.deeds_and_expectations(step);
        let end = self.clock.now();
        if let Some(last) = self.steps.last_mut() {
            last.end = end;
        }
        done
    }

    fn deeds_and_expectations(&mut self, step: &Step) -> Result<()> {
        step.deeds.iter().try_for_each(|deed| self.act(deed))?;
        // Deadlines count from when the last deed was done.
        let since = Instant::now();
        step.expectations.iter().try_for_each(|expect| self.expect(expect, since))
    }

    fn act(&mut self, act: &Act) -> Result<()> {
        let action = &act.action;
        self.stage.mark(&action.to_string());
        self.status.show_now(|| format!("{}: {action}", self.name()));
        let done = if let Action::StartLoad(name) = action {
            self.start_load(name.get_ref())
        } else if let Action::StopLoad(name) = action {
            self.loads.stop(name.get_ref(), self.clock)
        } else {
            Doer { stage: self.stage, cast: &self.cast }.act(action)
        };
        // A machine that does not come back is a red.
        done.map_err(|error| self.not_done(error, act.place.as_ref()))
    }

    /// The error of a deed that was not done, or of a look that could not be taken: no answer
    /// to what a masked run asks, which must not take it for the red that it waits for.
    fn not_done(&self, error: Error, place: Option<&Place>) -> Error {
        let is_no_red = self.is_masked && error.kind() == Kind::Check;
        let error = if is_no_red { error.of_kind(Kind::Build) } else { error };
        match place {
            Some(place) if error.kind() != Kind::Interrupted => error.at(place.clone()),
            Some(_) | None => error,
        }
    }

    fn start_load(&mut self, name: &str) -> Result<()> {
        let wish = self
            .scenario
            .loads
            .get(name)
            .ok_or_else(|| Error::input(format!("there is no load {name}")))?;
        let url = &wish.url;
        let (network, addresses) =
            of_host(self.stage.architecture, &self.cast, &url.host, wish.over)?;
        let urls: Vec<_> =
            addresses.into_iter().map(|(family, address)| (family, url.at(address))).collect();
        self.loads.start(name, wish, &self.stage.crowd, (&network, &urls), self.clock)
    }

    /// Looks until it holds, then as long as it must stay so.
    fn expect(&mut self, expect: &Expect, since: Instant) -> Result<()> {
        let (within, stays) = expect.expectation.times();
        let mut met = BTreeSet::new();
        let end = since + within.map_or(Duration::ZERO, |within| self.clock.stretched(within));
        loop {
            // A look that began in time counts, however long the machines took.
            let in_time = Instant::now() < end;
            self.show(&expect.expectation, since);
            match self.look_at(expect, &mut met)? {
                Look::Holds => break,
                Look::Not(_) if in_time => std::thread::sleep(PAUSE),
                Look::Not(seen) => return Err(self.failed(expect, &seen)),
            }
        }
        let after = since.elapsed().as_secs_f64();
        let stay =
            Instant::now() + stays.map_or(Duration::ZERO, |stays| self.clock.stretched(stays));
        while Instant::now() < stay {
            std::thread::sleep(PAUSE);
            self.show(&expect.expectation, since);
            if let Look::Not(seen) = self.look_at(expect, &mut met)? {
                return Err(self.failed(expect, &format!("it held, and then: {seen}")));
            }
        }
        self.note(expect, Some(after));
        Ok(())
    }

    fn look_at(&mut self, expect: &Expect, met: &mut BTreeSet<String>) -> Result<Look> {
        self.look(expect, met).map_err(|error| self.not_done(error, expect.place.as_ref()))
    }

    fn look(&mut self, expect: &Expect, met: &mut BTreeSet<String>) -> Result<Look> {
        if exec::interrupted() {
            return Err(exec::interruption());
        }
        let (cast, clock, loads) = (&self.cast, self.clock, &self.loads);
        Looker { stage: self.stage, cast, clock, loads, met }.look(&expect.expectation)
    }

    fn note(&mut self, expect: &Expect, after: Option<f64>) {
        if let Some(step) = self.steps.last_mut() {
            step.expectations.push((expect.expectation.to_string(), after));
        }
    }

    /// The expectation that failed, what was seen instead, and where more can be read.
    fn failed(&mut self, expect: &Expect, seen: &str) -> Error {
        // Nothing is known of an image whose emulator died, or stands still.
        let emulators = self.stage.machines.values().try_for_each(Machine::check_emulator);
        if let Err(broken) = emulators {
            return broken;
        }
        self.note(expect, None);
        let factor = self.stage.factor;
        let mut error = Error::check(format!("expected that {}", expect.expectation));
        if let Some(place) = &expect.place {
            error = error.at(place.clone());
        }
        error = error.detail(format!("seen: {seen}"));
        if factor > 1 {
            error = error.detail(format!("(all times are stretched {factor} times)"));
        }
        for (part, machine) in &self.cast.0 {
            error = error.detail(format!("{part} is {machine}"));
        }
        for (name, machine) in &self.stage.machines {
            error = error.detail(format!("the console of {name}, its last lines:"));
            let tail = machine.console_tail();
            error =
                error.detail(tail.lines().map(|line| format!("  {line}\n")).collect::<String>());
        }
        error.hint(format!(
            "consoles and captures of all packages are in {}",
            self.stage.props.logs.display()
        ))
    }
}

/// Whether anything is done to machines or links.
pub(super) fn has_fault(scenario: &Scenario) -> bool {
    scenario.steps.iter().flat_map(|step| &step.deeds).any(|deed| is_fault(&deed.action))
}

/// Whether web users may feel it.
fn is_fault(action: &Action) -> bool {
    !matches!(action, Action::StartLoad(_) | Action::StopLoad(_))
}
