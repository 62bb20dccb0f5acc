//! `log`: a line of the journal since the scenario started.

use super::{Probe, Prober};
use crate::error::Result;
use crate::exec::quote;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Log;

impl Probe for Log {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let unit = self.unit.as_ref().map_or(String::new(), |unit| format!("-u {} ", quote(unit)));
        let seconds = prober.clock.now().ceil() as u64 + 1;
        let words = quote(&self.contains);
        let command = format!(
            "journalctl -q --no-pager -o cat {unit}--since=-{seconds}s | grep -F -- {words} || true"
        );
        let seen = prober.output(&self.on, &command)?;
        Ok(ProbeResult::of(!seen.is_empty(), || "no such line".to_owned()))
    }
}
