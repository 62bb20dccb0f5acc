//! Runs a scenario, or its masked twin, from a healthy topology, and makes its outcome.
//! A failed expectation and a broken harness are told apart here.

use super::clock::Clock;
use super::loads::Loads;
use super::measure;
use super::outcome::{Failure, Outcome, Request, Verdict};
use super::stage::Stage;
use super::story::{Story, has_fault};
use super::sweep;
use super::wire;
use crate::error::{Error, Kind, Result};
use crate::exec;
use crate::progress::{self, Status};
use crate::scenario::{Cast, Promises, Scenario};
use std::collections::BTreeMap;

impl Stage<'_> {
    /// Runs a scenario, or its masked twin, from a restored stage. When the stage does not
    /// come back to health, or the harness breaks, that is the outcome, and all machines
    /// boot anew for the next one.
    ///
    /// # Errors
    /// Only for a signal.
    pub fn attempt(&mut self, scenario: &Scenario, masked: bool) -> Result<Outcome> {
        let restored = self.restore();
        let outcome = match restored {
            Ok(()) => self.perform(scenario, masked)?,
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => {
                let error =
                    Error::build(format!("no healthy machines to begin with: {}", error.message()))
                        .detail(error.to_string());
                let mut outcome = self.blank(scenario, masked);
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

    /// Runs a scenario; with `masked`, without what the promise rests on, and then it must
    /// fail. The stage is healthy before, and as it may be afterwards.
    ///
    /// # Errors
    /// Only for a signal: whatever else goes wrong is in the outcome.
    pub fn perform(&mut self, scenario: &Scenario, masked: bool) -> Result<Outcome> {
        self.is_touched = true;
        let clock = Clock::start(f64::from(self.factor));
        let mut story = Story {
            stage: self,
            scenario,
            cast: Cast::default(),
            clock,
            loads: Loads::default(),
            steps: Vec::new(),
            is_masked: false,
            status: Status::new(),
        };
        let told = tell(&mut story, masked);
        let Story { cast, loads, steps, .. } = story;
        let (requests, told) = match told {
            Err(error) => (loads.abandon(clock), Err(error)),
            Ok(()) => match loads.finish(clock) {
                Ok(requests) => (requests, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            },
        };
        let seconds = clock.now();
        let told_so_far = self.blank(scenario, masked);
        let mut outcome = Outcome { seconds, cast: cast.0, steps, requests, ..told_so_far };
        outcome.journals = sweep::journals(self, seconds);
        self.measure(&mut outcome, clock);
        judge(&mut outcome, told, has_fault(scenario))?;
        Ok(outcome)
    }

    /// What users felt of each step, and who held what.
    fn measure(&self, outcome: &mut Outcome, clock: Clock) {
        let advert = self.advert();
        let ends: Vec<f64> = outcome.steps.iter().skip(1).map(|step| step.at).collect();
        let ends = ends.into_iter().chain([outcome.seconds]);
        let requests: &[Request] = &outcome.requests;
        for (step, end) in outcome.steps.iter_mut().zip(ends) {
            let moved = wire::moved(self, clock, step.at, end);
            step.felt = measure::felt(requests, step.at, end, advert)
                .map(|felt| super::outcome::Felt { moved, ..felt });
        }
        outcome.holds = wire::holds(self, clock, outcome.seconds);
    }

    /// The outcome of a scenario of which nothing was told yet.
    fn blank(&self, scenario: &Scenario, masked: bool) -> Outcome {
        Outcome {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            about: scenario.about.clone(),
            promise: promise(scenario),
            mask: scenario.mask.as_ref().filter(|_| masked).map(|(say, _)| say.clone()),
            verdict: Verdict::Passed,
            seconds: 0.0,
            cast: BTreeMap::new(),
            steps: Vec::new(),
            requests: Vec::new(),
            holds: Vec::new(),
            journals: BTreeMap::new(),
            failure: None,
            logs: self.props.logs.display().to_string(),
        }
    }
}

fn tell(story: &mut Story<'_, '_>, masked: bool) -> Result<()> {
    let scenario = story.scenario;
    story.find_cast()?;
    if let Some((_, deeds)) = scenario.mask.as_ref().filter(|_| masked) {
        story.mask(deeds)?;
    }
    story.tell()?;
    story.stage.always()
}

fn promise(scenario: &Scenario) -> Option<(String, String)> {
    let number = scenario.promise.as_ref()?;
    let text = Promises::built_in().get(number).map(|promise| promise.text.clone());
    Some((number.clone(), text.unwrap_or_default()))
}

/// The verdict. A masked run passes when an expectation failed after its first fault:
/// one that fails before says nothing about the mechanism.
fn judge(outcome: &mut Outcome, told: Result<()>, has_fault: bool) -> Result<()> {
    // Ctrl-C ends QEMU, too: what was seen then says nothing.
    if exec::interrupted() {
        return Err(exec::interruption());
    }
    let masked = outcome.mask.is_some();
    let error = match told {
        Ok(()) if masked => {
            outcome.verdict = Verdict::Failed;
            let error = Error::check("the mask changed nothing: every expectation held")
                .hint("take away what the promise rests on, or expect what depends on it");
            outcome.failure = Some(failure(&error, outcome));
            return Ok(());
        }
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // A story without any fault, of many visitors say, has no such moment.
    let went_red_too_soon = masked && has_fault && !outcome.steps.iter().any(|step| step.is_fault);
    outcome.verdict = match error.kind() {
        Kind::Interrupted => return Err(error),
        Kind::Check if masked && !went_red_too_soon => Verdict::Passed,
        Kind::Check => Verdict::Failed,
        Kind::Build | Kind::Input | Kind::Archive => Verdict::Broke,
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

    fn outcome(masked: bool, is_fault: bool) -> Outcome {
        let step = StepOutcome {
            say: "x".to_owned(),
            at: 0.0,
            end: 1.0,
            is_fault,
            deeds: Vec::new(),
            expectations: Vec::new(),
            felt: None,
        };
        Outcome {
            name: "x".to_owned(),
            title: "x".to_owned(),
            about: String::new(),
            promise: None,
            mask: masked.then(|| "nothing is there".to_owned()),
            verdict: Verdict::Passed,
            seconds: 1.0,
            cast: BTreeMap::new(),
            steps: vec![step],
            requests: Vec::new(),
            holds: Vec::new(),
            journals: BTreeMap::new(),
            failure: None,
            logs: String::new(),
        }
    }

    fn verdict(masked: bool, is_fault: bool, told: Result<()>) -> (Verdict, String) {
        let mut outcome = outcome(masked, is_fault);
        judge(&mut outcome, told, true).unwrap();
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
    fn a_masked_run_must_fail_and_not_before_the_fault() {
        let red = || Err(Error::check("nobody answers"));
        assert_eq!(verdict(true, true, red()).0, Verdict::Passed);
        let (early, message) = verdict(true, false, red());
        assert_eq!(early, Verdict::Failed);
        assert_eq!(message, "red before the first fault: nobody answers");
        let (green, message) = verdict(true, true, Ok(()));
        assert_eq!(green, Verdict::Failed);
        assert!(message.starts_with("the mask changed nothing"), "{message}");
        // Many visitors, and nothing is done to a machine.
        let mut calm = outcome(true, false);
        judge(&mut calm, red(), false).unwrap();
        assert_eq!(calm.verdict, Verdict::Passed);
    }

    #[test]
    fn a_signal_is_nobodys_verdict() {
        let error = judge(&mut outcome(true, true), Err(crate::exec::interruption()), true);
        assert_eq!(error.unwrap_err().kind(), Kind::Interrupted);
    }
}
