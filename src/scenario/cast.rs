//! Parts: names for machines whose role in a story is known only when it starts, such
//! as the server that holds the floating address just then.

use super::Name;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How the machine for a part is found, when the scenario starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It holds this floating address.
    HolderOf(Name),
    /// It may hold this floating address, and does not.
    StandbyOf(Name),
}

impl Part {
    /// The floating address by which it is found.
    pub fn floating(&self) -> &Name {
        match self {
            Part::HolderOf(floating) | Part::StandbyOf(floating) => floating,
        }
    }
}

/// Who plays which part: machines by the names that a scenario uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cast(pub BTreeMap<String, String>);

impl Cast {
    /// The machine that a name means: a part's, else the machine of that name.
    pub fn machine<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }
}
