//! `command`: what a command prints, and how it ends.

use super::{COMMAND, Probe, Prober};
use crate::error::Result;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Command;

impl Probe for Command {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let machine = prober.cluster.machine(prober.aliases.machine(self.on.get_ref()))?;
        let output = machine.run(&self.run, COMMAND)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_missing = self.contains.as_ref().is_some_and(|words| !printed.contains(words));
        let is_there = self.lacks.as_ref().is_some_and(|words| printed.contains(words));
        Ok(ProbeResult::of(output.code == self.code && !is_missing && !is_there, || {
            let words = String::from_utf8_lossy(&output.stderr);
            format!("it ended with {}:\n{}{}", output.code, printed, words).trim_end().to_owned()
        }))
    }
}
