//! `unit`: what `systemctl is-active` says.

use super::{Probe, Prober};
use crate::error::Result;
use crate::exec::quote;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Unit;

impl Probe for Unit {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let command = format!("systemctl is-active {} || true", quote(&self.unit));
        let seen = prober.output(&self.on, &command)?;
        Ok(ProbeResult::of(seen == self.is.word(), || format!("{} is {seen}", self.unit)))
    }
}
