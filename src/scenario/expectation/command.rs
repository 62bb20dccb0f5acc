//! `command`: what a command prints, and how it ends.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use std::fmt;
use std::ops::Range;

expectation! {
    /// What a command prints on a machine, and how it ends.
    pub struct Command {
        /// The machine.
        pub on: Name,
        /// For its shell.
        #[serde(deserialize_with = "some_text")]
        pub run: String,
        /// Its exit code.
        #[serde(default)]
        pub code: i32,
        /// Words that are in its standard output.
        pub contains: Option<String>,
        /// Words that are not.
        pub lacks: Option<String>,
    }
}

impl Kind for Command {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        checker.machine(&self.on)
    }

    fn machine(&self) -> Option<&Name> {
        Some(&self.on)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on {} ends with {}", self.run, self.on.get_ref(), self.code)?;
        if let Some(words) = &self.contains {
            write!(f, " and prints {words:?}")?;
        }
        match &self.lacks {
            Some(words) => write!(f, " and does not print {words:?}"),
            None => Ok(()),
        }
    }
}
