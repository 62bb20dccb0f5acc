//! `stop-unit`, `start-unit`, `restart-unit`, `mask-unit`, `unmask-unit`: what systemctl does.

use super::action_kinds;
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use serde::Deserialize;

/// A unit on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnUnit {
    /// The machine.
    pub on: Name,
    /// `haproxy.service`.
    #[serde(deserialize_with = "some_text")]
    pub unit: String,
}

action_kinds! {
    /// `systemctl stop`.
    StopUnit(OnUnit): is_on_a_machine, |one| one.shown("stop");
    /// `systemctl start`.
    StartUnit(OnUnit): is_on_a_machine, |one| one.shown("start");
    /// `systemctl restart`.
    RestartUnit(OnUnit): is_on_a_machine, |one| one.shown("restart");
    /// Forbids every start of a unit, also its own after a crash; one that runs goes on.
    MaskUnit(OnUnit): is_on_a_machine, |one| one.shown("mask");
    /// Allows it again.
    UnmaskUnit(OnUnit): is_on_a_machine, |one| one.shown("unmask");
}

fn is_on_a_machine(one: &OnUnit, checker: &Checker<'_>) -> Result<()> {
    checker.machine(&one.on)
}

impl OnUnit {
    fn shown(&self, verb: &str) -> String {
        format!("{verb} {} on {}", self.unit, self.on.get_ref())
    }
}
