//! The programme of one evening: every scenario, and its masked twin, on one boot, as many
//! at a time as there are copies of the machines.

use super::copies::Copies;
use super::outcome::{Outcome, Run, Verdict};
use super::stage::Props;
use crate::error::Result;
use crate::progress;
use crate::scenario::Scenario;
use crate::spec::{Architecture, Spec};
use crate::threads;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

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
    /// How many at a time, each on machines of its own.
    pub jobs: NonZeroUsize,
}

impl Programme<'_> {
    /// Boots the machines, runs all, and ends the machines; each outcome is shown as it
    /// comes.
    ///
    /// # Errors
    /// When the machines do not come up. What went wrong later, and a signal, stands beside
    /// the outcomes until then; a scenario that fails is an outcome.
    pub fn run(&self, props: Props) -> Result<(Run, Result<()>)> {
        let list = self.list();
        // More machines than scenarios would have nothing to do.
        let jobs = self.jobs.min(NonZeroUsize::new(list.len()).unwrap_or(NonZeroUsize::MIN));
        let copies = Copies::set_up(self.spec, self.architecture, props, jobs)?;
        let mut run = copies.facts();
        let outcomes = Mutex::new(BTreeMap::new());
        let told = threads::for_each_of(jobs, &list, |(number, scenario, masked)| {
            let outcome = {
                let mut stage = copies.lend();
                let mask = if *masked { " (masked: must fail)" } else { "" };
                progress::step("Scenario", format!("{}{mask}", scenario.title));
                stage.attempt(scenario, *masked)?
            };
            tell(&outcome, &run);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(*number, outcome);
            Ok(())
        });
        run.outcomes =
            outcomes.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
        run.machines = copies.facts().machines;
        let end = told.and(copies.strike());
        run.cut_short = end.as_ref().err().map(|error| error.message().to_owned());
        Ok((run, end))
    }

    /// All, with their places in the order of the reports.
    fn list(&self) -> Vec<(usize, &Scenario, bool)> {
        let twice = |scenario| [(scenario, false), (scenario, true)];
        let wanted = |(scenario, masked): &(&Scenario, bool)| {
            !masked || (self.masks && scenario.mask.is_some())
        };
        let all = self.scenarios.iter().flat_map(twice).filter(wanted).enumerate();
        all.map(|(number, (scenario, masked))| (number, scenario, masked)).collect()
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
