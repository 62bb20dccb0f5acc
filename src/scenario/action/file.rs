//! `write`, `delete`, `restore`: files on a machine.

use super::{Kind, action_kinds};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use serde::Deserialize;
use std::fmt;

/// A file on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnFile {
    /// The machine.
    pub on: Name,
    /// Its whole path.
    pub file: Name,
}

/// Writes a file; what was there comes back with `restore`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Write {
    /// The machine.
    pub on: Name,
    /// Its whole path.
    pub file: Name,
    /// All that is in it then.
    pub text: String,
}

action_kinds! {
    /// Removes a file.
    Delete(OnFile): is_a_path, |one| one.shown("delete");
    /// Brings back a file as it was before the scenario changed it.
    Restore(OnFile): is_a_path, |one| one.shown("restore");
}

fn is_a_path(one: &OnFile, checker: &Checker<'_>) -> Result<()> {
    checker.machine(&one.on)?;
    checker.path(&one.file)
}

impl OnFile {
    fn shown(&self, verb: &str) -> String {
        format!("{verb} {} on {}", self.file.get_ref(), self.on.get_ref())
    }
}

impl Kind for Write {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.machine(&self.on)?;
        checker.path(&self.file)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} on {}", self.file.get_ref(), self.on.get_ref())
    }
}
