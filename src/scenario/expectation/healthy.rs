//! `healthy`: every machine is up, no unit has failed, every health check is good.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::check::Checker;
use std::fmt;
use std::ops::Range;

expectation! {
    /// Every machine is up, no unit has failed, every health check is good.
    pub struct Healthy {}
}

impl Kind for Healthy {
    fn check(&self, _: &Checker<'_>, _: Range<usize>) -> Result<()> {
        Ok(())
    }
}

impl fmt::Display for Healthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every machine is healthy")
    }
}
