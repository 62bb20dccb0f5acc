//! `partition`, `reset-network`, `provider`: a whole network.

use super::{Kind, action_kinds};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::list;
use serde::Deserialize;
use std::fmt;

/// No frames pass between machines of different groups.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Partition {
    /// Which network.
    pub network: Name,
    /// Machines, and `clients`; a machine in no group still reaches all.
    pub groups: Vec<Vec<Name>>,
}

action_kinds! {
    /// No partition, every machine connected, nothing impaired.
    ResetNetwork(Name): is_network, |name| format!("reset the network {}", name.get_ref());
    /// The network becomes a provider's, as those of many VPSs: multicast is dropped, and so is
    /// what comes from an address that the machine may not have.
    Provider(Name): is_network, |name| format!("make {} a provider's network", name.get_ref());
}

fn is_network(name: &Name, checker: &Checker<'_>) -> Result<()> {
    checker.network(name).map(drop)
}

impl Kind for Partition {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.network(&self.network)?;
        self.groups.iter().flatten().try_for_each(|member| {
            checker.member(member)?;
            checker.attached(member.span(), member.get_ref(), self.network.get_ref())
        })
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self.groups.iter().map(|names| list(names)).collect();
        write!(f, "partition {}: {}", self.network.get_ref(), groups.join(" | "))
    }
}
