//! `unit`: a unit's state.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use serde::Deserialize;
use std::fmt;
use std::ops::Range;

/// A unit's state, as `systemctl is-active` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    #[default]
    Active,
    /// It does not.
    Inactive,
    /// It ended with an error.
    Failed,
}

impl State {
    /// systemd's word.
    pub fn word(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Inactive => "inactive",
            State::Failed => "failed",
        }
    }
}

expectation! {
    /// A unit's state.
    pub struct Unit {
        /// The machine.
        pub on: Name,
        /// `haproxy.service`.
        #[serde(deserialize_with = "some_text")]
        pub unit: String,
        /// Its state.
        #[serde(default)]
        pub is: State,
    }
}

impl Kind for Unit {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        checker.machine(&self.on)
    }

    fn machine(&self) -> Option<&Name> {
        Some(&self.on)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} is {}", self.unit, self.on.get_ref(), self.is.word())
    }
}
