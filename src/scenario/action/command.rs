//! `run`: a command that must end with 0.

use super::Kind;
use crate::error::Result;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use crate::scenario::{Name, Seconds};
use serde::Deserialize;
use std::fmt;

/// Runs a command, which must end with 0.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// The machine.
    pub on: Name,
    /// For its shell.
    #[serde(deserialize_with = "some_text")]
    pub command: String,
    /// How long it may take; 10 s if nothing is said.
    pub within: Option<Seconds>,
}

impl Kind for Run {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.machine(&self.on)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run `{}` on {}", self.command, self.on.get_ref())
    }
}
