//! `healthy`: whether every machine is up and well.

use super::{Probe, Prober};
use crate::error::Result;
use crate::runner::cluster_checks;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Healthy;

impl Probe for Healthy {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        cluster_checks::healthy(prober.cluster)
    }
}
