//! `load`: what a load has seen so far.

use super::{Probe, Prober};
use crate::error::Result;
use crate::runner::measure;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Load;

impl Probe for Load {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let (requests, from, to) = prober.loads.so_far(self.name.get_ref(), prober.clock);
        let good = requests.iter().filter(|one| one.is_good()).count();
        let failed = requests.len() - good;
        let bad = || {
            let first = requests.iter().find(|one| !one.is_good());
            first.map_or(String::new(), |one| {
                let why = one.failure.as_deref().unwrap_or_default();
                format!(", first at {:.1} s over IPv{}: {why}", one.at, one.version)
            })
        };
        let not_met = |seen: String| Ok(ProbeResult::NotMet(seen));
        if self.good.is_some_and(|least| good < least as usize) {
            return not_met(format!("{good} good answers, {failed} failed requests{}", bad()));
        }
        if self.failed.is_some_and(|most| failed > most as usize) {
            return not_met(format!("{failed} of {} requests failed{}", requests.len(), bad()));
        }
        if let Some(most) = self.outage {
            let outage = measure::outage(&requests, from, to);
            let allowed = prober.clock.scaled(most).as_secs_f64();
            if outage > allowed {
                return not_met(format!(
                    "{outage:.1} s without a good answer, where {allowed:.1} s are allowed"
                ));
            }
        }
        let answered =
            |name: &&str| requests.iter().any(|one| one.server.as_deref() == Some(*name));
        let wanted = self.from_each.iter().map(|name| prober.aliases.machine(name.get_ref()));
        let missing: Vec<&str> = wanted.filter(|name| !answered(name)).collect();
        Ok(ProbeResult::of(missing.is_empty(), || {
            format!("no good answer from {}{}", missing.join(", "), bad())
        }))
    }
}
