//! `start-load`, `stop-load`: the loads of the file.

use super::{Kind, OnLoad};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use serde::Deserialize;
use std::fmt;

/// Starts a load of `[loads]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StartLoad(pub Name);

/// Ends a load.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct StopLoad(pub Name);

impl Kind for StartLoad {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.load(&self.0)
    }

    fn load(&self) -> Option<OnLoad<'_>> {
        Some(OnLoad::Starts(&self.0))
    }
}

impl Kind for StopLoad {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.load(&self.0)
    }

    fn load(&self) -> Option<OnLoad<'_>> {
        Some(OnLoad::Stops(&self.0))
    }
}

impl fmt::Display for StartLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start the load {}", self.0.get_ref())
    }
}

impl fmt::Display for StopLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop the load {}", self.0.get_ref())
    }
}
