//! `file`: a file on a machine, and what it contains.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::yes;
use std::fmt;
use std::ops::Range;

expectation! {
    /// A file on a machine.
    pub struct File {
        /// The machine.
        pub on: Name,
        /// Its whole path.
        pub file: Name,
        /// Whether it is there.
        #[serde(default = "yes")]
        pub exists: bool,
        /// Words that are in it.
        pub contains: Option<String>,
    }
}

impl Kind for File {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        checker.machine(&self.on)?;
        checker.path(&self.file)
    }

    fn machine(&self) -> Option<&Name> {
        Some(&self.on)
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, on) = (self.file.get_ref(), self.on.get_ref());
        match (&self.contains, self.exists) {
            (Some(words), _) => write!(f, "{path} on {on} contains {words:?}"),
            (None, true) => write!(f, "{path} is on {on}"),
            (None, false) => write!(f, "{path} is not on {on}"),
        }
    }
}
