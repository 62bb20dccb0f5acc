//! `kill`: a signal to all processes of a name.

use super::Kind;
use crate::error::Result;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use crate::scenario::{Name, Signal};
use serde::Deserialize;
use std::fmt;

/// A signal to all processes of a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kill {
    /// The machine.
    pub on: Name,
    /// The name of the program, as `ps -C` takes it.
    #[serde(deserialize_with = "some_text")]
    pub process: String,
    /// Which signal.
    #[serde(default)]
    pub signal: Signal,
}

impl Kind for Kill {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.machine(&self.on)
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "send {} to {} on {}", self.signal, self.process, self.on.get_ref())
    }
}
