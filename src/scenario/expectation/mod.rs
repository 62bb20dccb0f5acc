//! What a step expects: one key a kind, and a file for each. How it is probed is in a file of
//! the same name in `runner/expectation`.

mod addresses;
mod answers;
mod command;
mod file;
mod healthy;
mod held;
mod ledger;
mod listens;
mod load;
mod log;
mod no_unexpected_ports;
mod reachable;
mod unit;

pub use addresses::Addresses;
pub use answers::Answers;
pub use command::Command;
pub use file::File;
pub use healthy::Healthy;
pub use held::Held;
pub use ledger::Ledger;
pub use listens::Listens;
pub use load::Load;
pub use log::Log;
pub use no_unexpected_ports::NoUnexpectedPorts;
pub use reachable::{Reach, Reachable, Unreachable};
pub use unit::{State, Unit};

use super::Name;
use super::check::Checker;
use super::url::Url;
use super::values::Seconds;
use crate::error::Result;
use serde::Deserialize;
use std::fmt;
use std::ops::Range;

/// Calls a macro with the name of every kind: the one list of them. In a file a kind's key is
/// its name in kebab-case.
macro_rules! each_expectation {
    ($then:ident) => {
        $then! {
            Addresses, Answers, Command, File, Healthy, Held, Ledger, Listens, Load, Log,
            NoUnexpectedPorts, Reachable, Unit, Unreachable,
        }
    };
}
pub(crate) use each_expectation;

/// The struct of a kind, with the keys that all kinds have.
macro_rules! expectation {
    (
        $(#[$of_struct:meta])*
        pub struct $name:ident { $($(#[$of_field:meta])* pub $field:ident: $type:ty,)* }
    ) => {
        $(#[$of_struct])*
        #[derive(Debug, Clone, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            $($(#[$of_field])* pub $field: $type,)*
            /// How long it has to be met; at once, if nothing is said.
            pub within: Option<crate::scenario::Seconds>,
            /// For how long it must then stay so.
            pub stays: Option<crate::scenario::Seconds>,
        }

        impl super::Timed for $name {
            fn times(&self) -> super::Times {
                super::Times { within: self.within, stays: self.stays }
            }
        }
    };
}
use expectation;

/// When an expectation counts as met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// How long it has to be met.
    pub within: Option<Seconds>,
    /// For how long it must then stay so.
    pub stays: Option<Seconds>,
}

/// What has `within` and `stays`.
trait Timed {
    fn times(&self) -> Times;
}

/// What is known of an expectation before any machine is asked; it is shown without its times.
trait Kind: Timed + fmt::Display {
    /// Every name in it leads somewhere. `span` is the whole expectation's.
    fn check(&self, checker: &Checker<'_>, span: Range<usize>) -> Result<()>;

    /// The machine whose shell is asked, if one is.
    fn machine(&self) -> Option<&Name> {
        None
    }

    /// The URL that is asked for, if one is.
    fn url(&self) -> Option<&Url> {
        None
    }

    /// The load that it is about, if it is about one.
    fn load(&self) -> Option<&Name> {
        None
    }
}

macro_rules! define {
    ($($kind:ident),* $(,)?) => {
        /// One expectation.
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[allow(missing_docs, reason = "each type has its own")]
        pub enum Expectation {
            $($kind($kind),)*
        }

        impl Expectation {
            fn kind(&self) -> &dyn Kind {
                match self {
                    $(Expectation::$kind(one) => one,)*
                }
            }
        }
    };
}
each_expectation!(define);

impl Expectation {
    /// When it counts as met.
    pub fn times(&self) -> Times {
        self.kind().times()
    }

    /// The machine whose shell is asked, if one is.
    pub fn machine(&self) -> Option<&Name> {
        self.kind().machine()
    }

    pub(super) fn check(&self, checker: &Checker<'_>, span: Range<usize>) -> Result<()> {
        self.kind().check(checker, span)
    }

    pub(super) fn url(&self) -> Option<&Url> {
        self.kind().url()
    }

    pub(super) fn load(&self) -> Option<&Name> {
        self.kind().load()
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)?;
        let Times { within, stays } = self.times();
        if let Some(within) = within {
            write!(f, ", within {within}")?;
        }
        match stays {
            Some(stays) => write!(f, ", for {stays}"),
            None => Ok(()),
        }
    }
}
