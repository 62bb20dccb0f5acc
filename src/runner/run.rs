//! Runs a scenario, or its negative control, on a healthy cluster, and makes its outcome.
//! A failed expectation and a broken harness are distinguished here.

use super::clock::Clock;
use super::cluster::Cluster;
use super::cluster_checks;
use super::holders;
use super::loads::Loads;
use super::measure;
use super::outcome::{Failure, Outcome, Request, Verdict};
use super::scenario_run::{ScenarioRun, has_fault};
use crate::error::{Error, Kind, Result};
use crate::exec;
use crate::progress::{self, Status};
use crate::scenario::{Aliases, Promises, Scenario};
use std::collections::BTreeMap;

impl Cluster<'_> {
    /// Runs a scenario, or its negative control, from a restored cluster. When the cluster does not
    /// come back to health, or the harness breaks, that is the outcome, and all machines
    /// boot anew for the next one.
    ///
    /// # Errors
    /// Only for a signal.
    pub fn run_from_baseline(&mut self, scenario: &Scenario, is_control: bool) -> Result<Outcome> {
        let restored = self.restore();
        let outcome = match restored {
            Ok(()) => self.run(scenario, is_control)?,
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => {
                let error =
                    Error::build(format!("no healthy machines to begin with: {}", error.message()))
                        .detail(error.to_string());
                let mut outcome = self.blank(scenario, is_control);
                judge(&mut outcome, Err(error), has_fault(scenario))?;
                outcome
            }
        };
        // Other scenarios go on; if even this fails, each of them says so.
        if outcome.verdict == Verdict::Broke {
            match self.start_over() {
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                Err(error) => progress::warn(error.to_string()),
                Ok(()) => {}
            }
        }
        Ok(outcome)
    }

    /// Runs a scenario; with `is_control`, without the mechanism that the promise rests on, and
    /// then it must fail. The cluster is healthy before, and as it may be afterwards.
    ///
    /// # Errors
    /// Only for a signal: whatever else goes wrong is in the outcome.
    pub fn run(&mut self, scenario: &Scenario, is_control: bool) -> Result<Outcome> {
        self.is_touched = true;
        let clock = Clock::start(f64::from(self.time_scale));
        let mut run = ScenarioRun {
            cluster: self,
            scenario,
            aliases: Aliases::default(),
            clock,
            loads: Loads::default(),
            steps: Vec::new(),
            is_control: false,
            status: Status::new(),
        };
        let result = run_all(&mut run, is_control);
        let ScenarioRun { aliases, loads, steps, .. } = run;
        let (requests, result) = match result {
            Err(error) => (loads.abandon(clock), Err(error)),
            Ok(()) => match loads.finish(clock) {
                Ok(requests) => (requests, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            },
        };
        let seconds = clock.now();
        let blank = self.blank(scenario, is_control);
        let mut outcome = Outcome { seconds, aliases: aliases.0, steps, requests, ..blank };
        self.measure(&mut outcome, clock);
        judge(&mut outcome, result, has_fault(scenario))?;
        // Nobody reads those of a run that went as it must, and each costs machines a second.
        if outcome.verdict != Verdict::Passed {
            outcome.journals = cluster_checks::journals(self, seconds);
        }
        Ok(outcome)
    }

    /// The impact of each step on clients, and who held what.
    fn measure(&self, outcome: &mut Outcome, clock: Clock) {
        let advert = self.advert();
        let ends: Vec<f64> = outcome.steps.iter().skip(1).map(|step| step.at).collect();
        let ends = ends.into_iter().chain([outcome.seconds]);
        let requests: &[Request] = &outcome.requests;
        for (step, end) in outcome.steps.iter_mut().zip(ends) {
            let moved = holders::moved(self, clock, step.at, end);
            step.impact = measure::impact(requests, step.at, end, advert)
                .map(|impact| super::outcome::Impact { moved, ..impact });
        }
        outcome.holds = holders::holds(self, clock, outcome.seconds);
    }

    /// The outcome of a scenario of which nothing has run yet.
    fn blank(&self, scenario: &Scenario, is_control: bool) -> Outcome {
        Outcome {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            about: scenario.about.clone(),
            promise: promise(scenario),
            negative_control: scenario
                .negative_control
                .as_ref()
                .filter(|_| is_control)
                .map(|(say, _)| say.clone()),
            verdict: Verdict::Passed,
            seconds: 0.0,
            aliases: BTreeMap::new(),
            steps: Vec::new(),
            requests: Vec::new(),
            holds: Vec::new(),
            journals: BTreeMap::new(),
            failure: None,
            logs: self.config.logs.display().to_string(),
        }
    }
}

fn run_all(run: &mut ScenarioRun<'_, '_>, is_control: bool) -> Result<()> {
    let scenario = run.scenario;
    run.resolve_aliases()?;
    if let Some((_, actions)) = scenario.negative_control.as_ref().filter(|_| is_control) {
        run.remove_mechanism(actions)?;
    }
    run.run_steps()?;
    run.cluster.always()
}

fn promise(scenario: &Scenario) -> Option<(String, String)> {
    let number = scenario.promise.as_ref()?;
    let text = Promises::built_in().get(number).map(|promise| promise.text.clone());
    Some((number.clone(), text.unwrap_or_default()))
}

/// The verdict. A negative control passes when an expectation failed after its first fault:
/// one that fails before says nothing about the mechanism.
fn judge(outcome: &mut Outcome, result: Result<()>, has_fault: bool) -> Result<()> {
    // Ctrl-C ends QEMU, too: what was seen then says nothing.
    if exec::interrupted() {
        return Err(exec::interruption());
    }
    let is_control = outcome.negative_control.is_some();
    let error = match result {
        Ok(()) if is_control => {
            outcome.verdict = Verdict::Failed;
            let error =
                Error::check("the negative control changed nothing: every expectation held")
                    .hint("take away what the promise rests on, or expect what depends on it");
            outcome.failure = Some(failure(&error, outcome));
            return Ok(());
        }
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // A run without any fault, of many visitors say, has no such moment.
    let went_red_too_soon =
        is_control && has_fault && !outcome.steps.iter().any(|step| step.is_fault);
    outcome.verdict = match error.kind() {
        Kind::Interrupted => return Err(error),
        Kind::Check if is_control && !went_red_too_soon => Verdict::Passed,
        Kind::Check => Verdict::Failed,
        Kind::Build | Kind::Input | Kind::Archive | Kind::Bug => Verdict::Broke,
    };
    let error = match (went_red_too_soon, outcome.verdict) {
        (true, Verdict::Failed) => error.context("red before the first fault"),
        _ => error,
    };
    outcome.failure = Some(failure(&error, outcome));
    Ok(())
}

fn failure(error: &Error, outcome: &Outcome) -> Failure {
    Failure {
        text: error.to_string(),
        message: error.message().to_owned(),
        step: outcome.steps.len().checked_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::StepOutcome;
    use super::*;

    fn outcome(is_control: bool, is_fault: bool) -> Outcome {
        let step = StepOutcome {
            name: "x".to_owned(),
            at: 0.0,
            end: 1.0,
            is_fault,
            actions: Vec::new(),
            expectations: Vec::new(),
            impact: None,
        };
        Outcome {
            name: "x".to_owned(),
            title: "x".to_owned(),
            about: String::new(),
            promise: None,
            negative_control: is_control.then(|| "nothing is there".to_owned()),
            verdict: Verdict::Passed,
            seconds: 1.0,
            aliases: BTreeMap::new(),
            steps: vec![step],
            requests: Vec::new(),
            holds: Vec::new(),
            journals: BTreeMap::new(),
            failure: None,
            logs: String::new(),
        }
    }

    fn verdict(is_control: bool, is_fault: bool, result: Result<()>) -> (Verdict, String) {
        let mut outcome = outcome(is_control, is_fault);
        judge(&mut outcome, result, true).unwrap();
        (outcome.verdict, outcome.failure.map_or(String::new(), |failure| failure.message))
    }

    #[test]
    fn a_failed_expectation_is_not_a_broken_harness() {
        let red = || Err(Error::check("nobody answers"));
        let broke = || Err(Error::build("QEMU ended by itself"));
        assert_eq!(verdict(false, true, Ok(())), (Verdict::Passed, String::new()));
        assert_eq!(verdict(false, true, red()), (Verdict::Failed, "nobody answers".to_owned()));
        assert_eq!(verdict(false, true, broke()).0, Verdict::Broke);
        assert_eq!(verdict(true, true, broke()).0, Verdict::Broke);
    }

    #[test]
    fn a_negative_control_must_fail_and_not_before_the_fault() {
        let red = || Err(Error::check("nobody answers"));
        assert_eq!(verdict(true, true, red()).0, Verdict::Passed);
        let (early, message) = verdict(true, false, red());
        assert_eq!(early, Verdict::Failed);
        assert_eq!(message, "red before the first fault: nobody answers");
        let (green, message) = verdict(true, true, Ok(()));
        assert_eq!(green, Verdict::Failed);
        assert!(message.starts_with("the negative control changed nothing"), "{message}");
        // Many visitors, and nothing is done to a machine.
        let mut without_faults = outcome(true, false);
        judge(&mut without_faults, red(), false).unwrap();
        assert_eq!(without_faults.verdict, Verdict::Passed);
    }

    #[test]
    fn a_signal_is_nobodys_verdict() {
        let error = judge(&mut outcome(true, true), Err(crate::exec::interruption()), true);
        assert_eq!(error.unwrap_err().kind(), Kind::Interrupted);
    }
}
