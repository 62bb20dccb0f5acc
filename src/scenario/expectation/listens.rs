//! `listens`: a port on which a machine listens, seen from itself.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::yes;
use std::fmt;
use std::ops::Range;

expectation! {
    /// A TCP port on which a machine listens, or does not.
    pub struct Listens {
        /// The machine.
        pub on: Name,
        /// TCP's number.
        pub port: u16,
        /// Whether anything listens there.
        #[serde(default = "yes")]
        pub is: bool,
    }
}

impl Kind for Listens {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        checker.machine(&self.on)
    }

    fn machine(&self) -> Option<&Name> {
        Some(&self.on)
    }
}

impl fmt::Display for Listens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is { "listens" } else { "does not listen" };
        write!(f, "{} {verb} on port {}", self.on.get_ref(), self.port)
    }
}
