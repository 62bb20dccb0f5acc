//! `set-clock`: a machine's clock jumps.

use super::Kind;
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use serde::Deserialize;
use std::fmt;

/// Sets the clock forward (or back, if negative) by so many seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SetClock {
    /// The machine.
    pub on: Name,
    /// Seconds.
    pub by: i64,
}

impl Kind for SetClock {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.machine(&self.on)
    }
}

impl fmt::Display for SetClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set the clock of {} {:+} s", self.on.get_ref(), self.by)
    }
}
