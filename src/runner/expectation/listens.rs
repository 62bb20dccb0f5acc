//! `listens`: whether `ss` shows a listener.

use super::{Probe, Prober};
use crate::error::Result;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Listens;

impl Probe for Listens {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let command = format!("ss -Hltn 'sport = :{}'", self.port);
        let seen = prober.output(&self.on, &command)?;
        Ok(ProbeResult::of(seen.is_empty() != self.is, || match seen.as_str() {
            "" => "nothing listens there".to_owned(),
            lines => format!("it listens:\n{lines}"),
        }))
    }
}
