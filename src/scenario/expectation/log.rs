//! `log`: a line of the journal since the scenario started.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use std::fmt;
use std::ops::Range;

expectation! {
    /// A line of a machine's journal, since the scenario started.
    pub struct Log {
        /// The machine.
        pub on: Name,
        /// Of this unit only.
        pub unit: Option<String>,
        /// Words of a line.
        #[serde(deserialize_with = "some_text")]
        pub contains: String,
    }
}

impl Kind for Log {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        checker.machine(&self.on)
    }

    fn machine(&self) -> Option<&Name> {
        Some(&self.on)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} logs {:?}", self.on.get_ref(), self.contains)
    }
}
