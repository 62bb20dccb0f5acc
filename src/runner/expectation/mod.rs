//! Probes whether an expectation is met just now, and says what is seen instead. How each kind
//! is written and checked is in a file of the same name in `scenario/expectation`.

mod addresses;
mod answers;
mod command;
mod file;
mod healthy;
mod held;
mod ledger;
mod listens;
mod load;
mod log;
mod no_unexpected_ports;
mod reachable;
mod unit;

use super::clock::Clock;
use super::cluster::Cluster;
use super::loads::Loads;
use super::probe_result::ProbeResult;
use crate::error::Result;
use crate::scenario::expectation::each_expectation;
use crate::scenario::{Aliases, Expectation, Name};
use std::collections::BTreeSet;
use std::time::Duration;

/// Native time for a command whose output is looked at.
const COMMAND: Duration = Duration::from_secs(5);

/// All that the probes of one scenario look at.
pub(super) struct Prober<'s, 'a> {
    pub(super) cluster: &'s mut Cluster<'a>,
    pub(super) aliases: &'s Aliases,
    pub(super) clock: Clock,
    pub(super) loads: &'s Loads,
    /// Servers that have answered since this expectation was first probed.
    pub(super) answered: &'s mut BTreeSet<String>,
}

/// A kind of expectation that can be probed.
trait Probe {
    /// Looks once.
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult>;
}

macro_rules! define {
    ($($kind:ident),* $(,)?) => {
        fn probe_of(expectation: &Expectation) -> &dyn Probe {
            match expectation {
                $(Expectation::$kind(one) => one,)*
            }
        }
    };
}
each_expectation!(define);

impl Prober<'_, '_> {
    /// Looks once.
    pub(super) fn probe(&mut self, expectation: &Expectation) -> Result<ProbeResult> {
        if let Some(name) = expectation.machine().map(|name| self.aliases.machine(name.get_ref()))
            && self.cluster.machine(name)?.is_shut_down()
        {
            return Ok(ProbeResult::NotMet(format!("{name}: it is off")));
        }
        probe_of(expectation).probe(self)
    }

    /// What a command prints, which must end with 0.
    fn output(&mut self, on: &Name, command: &str) -> Result<String> {
        self.cluster.machine(self.aliases.machine(on.get_ref()))?.succeed(command, COMMAND)
    }
}

/// The first line that says something, cut.
fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(empty)");
    line.chars().take(120).collect()
}
