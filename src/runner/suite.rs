//! The test suite of an architecture: every scenario and its negative control on one boot,
//! as many at a time as there are clusters.

use super::cluster::ClusterConfig;
use super::outcome::{Outcome, Run, Verdict};
use super::pool::ClusterPool;
use crate::error::Result;
use crate::progress::{self, Event};
use crate::scenario::Scenario;
use crate::spec::{Architecture, Spec};
use crate::threads;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Suite<'a> {
    /// The spec.
    pub spec: &'a Spec,
    /// Whose machines.
    pub architecture: &'a Architecture,
    /// In this order.
    pub scenarios: &'a [Scenario],
    /// Whether negative controls are run, too.
    pub negative_controls: bool,
    /// How many at a time, each on machines of its own.
    pub jobs: NonZeroUsize,
}

impl Suite<'_> {
    /// Boots the machines, runs all, and ends the machines; each outcome is shown as it
    /// comes.
    ///
    /// # Errors
    /// When the machines do not come up. What went wrong later, and a signal, stands beside
    /// the outcomes until then; a scenario that fails is an outcome.
    pub fn run(&self, config: ClusterConfig) -> Result<(Run, Result<()>)> {
        let list = self.list();
        // More machines than scenarios would have nothing to do.
        let jobs = self.jobs.min(NonZeroUsize::new(list.len()).unwrap_or(NonZeroUsize::MIN));
        let pool = ClusterPool::set_up(self.spec, self.architecture, config, jobs)?;
        let mut run = pool.facts();
        let outcomes = Mutex::new(BTreeMap::new());
        let finished = threads::for_each_of(jobs, &list, |(number, scenario, is_control)| {
            let outcome = {
                let mut cluster = pool.acquire();
                let negative_control =
                    if *is_control { " (negative control: must fail)" } else { "" };
                progress::step("Scenario", format!("{}{negative_control}", scenario.title));
                cluster.run_from_baseline(scenario, *is_control)?
            };
            report(&outcome, &run);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(*number, outcome);
            Ok(())
        });
        run.outcomes =
            outcomes.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
        run.machines = pool.facts().machines;
        let end = finished.and(pool.shut_down());
        run.cut_short = end.as_ref().err().map(|error| error.message().to_owned());
        Ok((run, end))
    }

    /// All, with their places in the order of the reports.
    fn list(&self) -> Vec<(usize, &Scenario, bool)> {
        let twice = |scenario| [(scenario, false), (scenario, true)];
        let wanted = |(scenario, is_control): &(&Scenario, bool)| {
            !is_control || (self.negative_controls && scenario.negative_control.is_some())
        };
        let all = self.scenarios.iter().flat_map(twice).filter(wanted).enumerate();
        all.map(|(number, (scenario, is_control))| (number, scenario, is_control)).collect()
    }
}

fn report(outcome: &Outcome, run: &Run) {
    let verb = match (outcome.verdict, outcome.negative_control.is_some()) {
        (Verdict::Passed, false) => "Passed",
        (Verdict::Passed, true) => "Passed",
        (Verdict::Failed, false) => "FAILED",
        (Verdict::Failed, true) => "FAILED",
        (Verdict::Broke, _) => "BROKE",
    };
    let how = match (outcome.verdict, outcome.negative_control.is_some()) {
        (Verdict::Passed, true) => " (failed as expected)",
        (Verdict::Failed, true) => " (unexpectedly passed)",
        (Verdict::Passed | Verdict::Failed | Verdict::Broke, _) => "",
    };
    let mut line = format!("{}{how} in {:.0} s", outcome.full_name(), outcome.seconds);
    if let Some(impact) = outcome.worst() {
        let native = impact.outage / run.time_scale.max(1.0);
        line += &format!(
            "; without a good answer {:.1} s = {:.1} adverts ({native:.2} s native)",
            impact.outage, impact.adverts
        );
    }
    let (failed, requests) = outcome.failed_requests();
    if requests > 0 {
        line += &format!("; {failed} of {requests} requests failed");
    }
    progress::step(verb, line);
    progress::event(Event::Scenario {
        name: &outcome.name,
        negative_control: outcome.negative_control.is_some(),
        verdict: outcome.verdict.word(),
        seconds: outcome.seconds,
    });
    let is_wrong = outcome.verdict != Verdict::Passed;
    if let Some(failure) = outcome.failure.as_ref().filter(|_| is_wrong) {
        progress::warn(&failure.text);
    }
}
