//! The programme of one evening: every scenario, and its masked twin, one after the other
//! on one boot.

use super::outcome::{MachineFacts, Outcome, Run, Verdict};
use super::stage::{Props, Stage};
use crate::error::Result;
use crate::progress;
use crate::scenario::Scenario;
use crate::spec::{Architecture, Spec};

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Programme<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Whose machines.
    pub architecture: &'a Architecture,
    /// In this order.
    pub scenarios: &'a [Scenario],
    /// Whether masked twins are run, too.
    pub masks: bool,
}

impl Programme<'_> {
    /// Boots the machines, runs all, and ends the machines; each outcome is shown as it
    /// comes.
    ///
    /// # Errors
    /// When the machines do not come up. What went wrong later, and a signal, stands beside
    /// the outcomes until then; a scenario that fails is an outcome.
    pub fn run(&self, props: Props) -> Result<(Run, Result<()>)> {
        let mut stage = Stage::set_up(self.spec, self.architecture, props.clone())?;
        let mut run = stage.facts();
        let told = self.list().into_iter().try_for_each(|(scenario, masked)| {
            let mask = if masked { " (masked: must fail)" } else { "" };
            progress::step("Scenario", format!("{}{mask}", scenario.title));
            let outcome = stage.attempt(scenario, masked)?;
            tell(&outcome, &run);
            run.outcomes.push(outcome);
            Ok(())
        });
        for (name, facts) in stage.facts().machines {
            // A machine that went on from a snapshot knows nothing of its boot's panics.
            let booted = run.machines.get(&name).map_or(0, |booted| booted.forgiven_panics);
            let forgiven_panics = facts.forgiven_panics.max(booted);
            run.machines.insert(name, MachineFacts { forgiven_panics, ..facts });
        }
        let struck = stage.strike();
        Ok((run, told.and(struck)))
    }

    fn list(&self) -> Vec<(&Scenario, bool)> {
        let twice = |scenario| [(scenario, false), (scenario, true)];
        let wanted = |(scenario, masked): &(&Scenario, bool)| {
            !masked || (self.masks && scenario.mask.is_some())
        };
        self.scenarios.iter().flat_map(twice).filter(wanted).collect()
    }
}

fn tell(outcome: &Outcome, run: &Run) {
    let verb = match (outcome.verdict, outcome.mask.is_some()) {
        (Verdict::Passed, false) => "Kept",
        (Verdict::Passed, true) => "Red",
        (Verdict::Failed, false) => "FAILED",
        (Verdict::Failed, true) => "GREEN",
        (Verdict::Broke, _) => "BROKE",
    };
    let mut line = format!("{} in {:.0} s", outcome.full_name(), outcome.seconds);
    if let Some(felt) = outcome.worst() {
        let native = felt.silence / run.factor.max(1.0);
        line += &format!(
            "; without a good answer {:.1} s = {:.1} adverts ({native:.2} s unstretched)",
            felt.silence, felt.adverts
        );
    }
    let (failed, requests) = outcome.failed_requests();
    if requests > 0 {
        line += &format!("; {failed} of {requests} requests failed");
    }
    progress::step(verb, line);
    let is_wrong = outcome.verdict != Verdict::Passed;
    if let Some(failure) = outcome.failure.as_ref().filter(|_| is_wrong) {
        progress::warn(&failure.text);
    }
}
