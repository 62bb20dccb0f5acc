//! What a step does to machines, links and loads: one key a kind, and a file for each subject.
//! How it is carried out is in a file of the same name in `runner/action`.

mod clock;
mod command;
mod file;
mod link;
mod load;
mod network;
mod power;
mod process;
mod unit;

pub use clock::SetClock;
pub use command::Run;
pub use file::{Delete, OnFile, Restore, Write};
pub use link::{
    ClearImpairment, Disconnect, Impair, LinkDown, LinkUp, OnInterface, OnLink, Reconnect,
};
pub use load::{StartLoad, StopLoad};
pub use network::{Partition, Provider, ResetNetwork};
pub use power::{Pause, PowerOff, Reboot, ReplaceDisks, Reset, Resume, ShutDown, Start};
pub use process::Kill;
pub use unit::{MaskUnit, OnUnit, RestartUnit, StartUnit, StopUnit, UnmaskUnit};

use super::Name;
use super::check::Checker;
use crate::error::Result;
use serde::Deserialize;
use std::fmt;

/// Calls a macro with the name of every kind: the one list of them. In a file a kind's key is
/// its name in kebab-case.
macro_rules! each_action {
    ($then:ident) => {
        $then! {
            ClearImpairment, Delete, Disconnect, Impair, Kill, LinkDown, LinkUp, MaskUnit,
            Partition, Pause, PowerOff, Provider, Reboot, Reconnect, ReplaceDisks, Reset, ResetNetwork,
            RestartUnit, Restore, Resume, Run, SetClock, ShutDown, Start, StartLoad, StartUnit,
            StopLoad, StopUnit, UnmaskUnit, Write,
        }
    };
}
pub(crate) use each_action;

/// What an action does to the loads.
#[derive(Debug, Clone, Copy)]
pub(super) enum OnLoad<'a> {
    Starts(&'a Name),
    Stops(&'a Name),
}

/// What is known of an action before it is carried out.
trait Kind: fmt::Display {
    /// Every name in it leads somewhere.
    fn check(&self, checker: &Checker<'_>) -> Result<()>;

    /// The load that it starts or stops; such an action is no fault.
    fn load(&self) -> Option<OnLoad<'_>> {
        None
    }
}

/// Kinds that hold one value, which is checked and shown in the same way for all of them.
macro_rules! action_kinds {
    ($($(#[$doc:meta])* $kind:ident($value:ty): $check:path, $show:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $kind(pub $value);

        impl super::Kind for $kind {
            fn check(
                &self,
                checker: &$crate::scenario::check::Checker<'_>,
            ) -> $crate::error::Result<()> {
                $check(&self.0, checker)
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let show: fn(&$value) -> String = $show;
                f.write_str(&show(&self.0))
            }
        }
    )*};
}
use action_kinds;

macro_rules! define {
    ($($kind:ident),* $(,)?) => {
        /// One action. Every name in it is a server's or an alias.
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "each type has its own")]
        pub enum Action {
            $($kind($kind),)*
        }

        impl Action {
            fn kind(&self) -> &dyn Kind {
                match self {
                    $(Action::$kind(one) => one,)*
                }
            }
        }
    };
}
each_action!(define);

impl Action {
    /// Whether it is done to machines or links, so that clients may notice.
    pub fn is_fault(&self) -> bool {
        self.kind().load().is_none()
    }

    pub(super) fn check(&self, checker: &Checker<'_>) -> Result<()> {
        self.kind().check(checker)
    }

    pub(super) fn load(&self) -> Option<OnLoad<'_>> {
        self.kind().load()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)
    }
}
