//! Carries out what a step does. Faults come from outside the guest wherever they can: power
//! and carriers are QEMU's, lost frames the switch's; the rest goes by the shell. How each kind
//! is written and checked is in a file of the same name in `scenario/action`.

mod clock;
mod command;
mod file;
mod link;
mod load;
mod network;
mod power;
mod process;
mod unit;

use super::clock::Clock;
use super::cluster::Cluster;
use super::loads::Loads;
use crate::error::Result;
use crate::qemu::Machine;
use crate::scenario::action::each_action;
use crate::scenario::{Action, Aliases, Load, Name};
use std::collections::BTreeMap;
use std::time::Duration;

/// Native time for a command of the shell that says nothing else.
const COMMAND: Duration = Duration::from_secs(10);

/// All that the actions of one scenario are done to.
pub(super) struct ActionRunner<'s, 'a> {
    pub(super) cluster: &'s mut Cluster<'a>,
    pub(super) aliases: &'s Aliases,
    pub(super) clock: Clock,
    /// The loads of the file, and those that run.
    pub(super) specs: &'s BTreeMap<String, Load>,
    pub(super) loads: &'s mut Loads,
}

/// A kind of action that can be carried out.
trait Perform {
    /// Does it; an error of kind `Check` when the machine does not come along.
    fn perform(&self, runner: &mut ActionRunner<'_, '_>) -> Result<()>;
}

macro_rules! define {
    ($($kind:ident),* $(,)?) => {
        fn performer_of(action: &Action) -> &dyn Perform {
            match action {
                $(Action::$kind(one) => one,)*
            }
        }
    };
}
each_action!(define);

impl ActionRunner<'_, '_> {
    /// Carries an action out.
    pub(super) fn perform(&mut self, action: &Action) -> Result<()> {
        performer_of(action).perform(self)
    }

    fn machine(&mut self, name: &Name) -> Result<&mut Machine> {
        self.cluster.machine(self.aliases.machine(name.get_ref()))
    }

    fn shell(&mut self, on: &Name, command: &str) -> Result<()> {
        self.machine(on)?.succeed(command, COMMAND).map(drop)
    }
}

/// Kinds that are carried out in one expression.
macro_rules! perform {
    ($($kind:ident: |$one:ident, $runner:ident| $do:expr;)*) => {$(
        impl super::Perform for crate::scenario::action::$kind {
            fn perform(
                &self,
                $runner: &mut super::ActionRunner<'_, '_>,
            ) -> crate::error::Result<()> {
                let $one = self;
                $do
            }
        }
    )*};
}
use perform;
