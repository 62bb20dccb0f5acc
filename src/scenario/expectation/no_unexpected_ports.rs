//! `no-unexpected-ports`: a full scan finds what the spec lists, and nothing else.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use std::fmt;
use std::ops::Range;

expectation! {
    /// All TCP ports of all addresses, against what the spec lists.
    pub struct NoUnexpectedPorts {
        /// The network from which is scanned; from each, if nothing is said.
        pub from: Option<Name>,
    }
}

impl Kind for NoUnexpectedPorts {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        self.from.iter().try_for_each(|from| checker.network(from).map(drop))
    }
}

impl fmt::Display for NoUnexpectedPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only the ports that the spec lists answer")?;
        match &self.from {
            Some(from) => write!(f, " on {}", from.get_ref()),
            None => Ok(()),
        }
    }
}
