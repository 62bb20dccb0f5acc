//! `addresses`: every address of the spec is on its interface.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::check::Checker;
use std::fmt;
use std::ops::Range;

expectation! {
    /// Every address of the spec is on its interface.
    pub struct Addresses {}
}

impl Kind for Addresses {
    fn check(&self, _: &Checker<'_>, _: Range<usize>) -> Result<()> {
        Ok(())
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every address is on its interface")
    }
}
