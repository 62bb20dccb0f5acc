//! `held`: who answers for both addresses of a floating one.

use super::{Probe, Prober};
use crate::error::Result;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::Name;
use crate::scenario::expectation::Held;

impl Probe for Held {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        for (address, holders) in prober.cluster.holders_of(self.floating.get_ref())? {
            let [holder] = holders.as_slice() else {
                let who =
                    if holders.is_empty() { "nobody".to_owned() } else { holders.join(" and ") };
                return Ok(ProbeResult::NotMet(format!("{who} answers for {address}")));
            };
            let name = |name: &Name| prober.aliases.machine(name.get_ref()).to_owned();
            let is_by = self.by.as_ref().map(name).is_none_or(|by| by == *holder);
            let is_other = self.other_than.as_ref().map(name).is_none_or(|other| other != *holder);
            if !(is_by && is_other) {
                return Ok(ProbeResult::NotMet(format!("{holder} answers for {address}")));
            }
        }
        Ok(ProbeResult::Met)
    }
}
