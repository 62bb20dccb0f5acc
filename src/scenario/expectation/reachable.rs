//! `reachable`, `unreachable`: a TCP port, seen from a network.

use super::{Kind, Timed, Times, expectation};
use crate::error::Result;
use crate::scenario::check::Checker;
use crate::scenario::{Families, Host, Name};
use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use toml::Spanned;

expectation! {
    /// Which port, seen from where.
    pub struct Reach {
        /// Whose address.
        pub to: Spanned<Host>,
        /// TCP's number.
        pub port: u16,
        /// The network in which the one who tries is.
        pub from: Name,
        /// Over which IP versions; both, if nothing is said.
        #[serde(default)]
        pub over: Families,
    }
}

/// The port answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Reachable(pub Reach);

/// The port does not answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Unreachable(pub Reach);

impl Reach {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.network(&self.from)?;
        checker.host(self.to.span(), self.to.get_ref())
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, is: &str) -> fmt::Result {
        let (to, port, from) = (self.to.get_ref(), self.port, self.from.get_ref());
        write!(f, "port {port} of {to} is {is} from {from}")
    }
}

impl Timed for Reachable {
    fn times(&self) -> Times {
        self.0.times()
    }
}

impl Timed for Unreachable {
    fn times(&self) -> Times {
        self.0.times()
    }
}

impl Kind for Reachable {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        self.0.check(checker)
    }
}

impl Kind for Unreachable {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        self.0.check(checker)
    }
}

impl fmt::Display for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "reachable")
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f, "unreachable")
    }
}
