//! `ledger`: what became of the numbered rows that a load has written.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use crate::scenario::values::some_text;
use std::fmt;
use std::ops::Range;

expectation! {
    /// A load writes rows with numbers (`{number}` in its `url` or `body`). A command prints those
    /// that are there, one a line: each that was acknowledged by a good answer, and none twice.
    pub struct Ledger {
        /// The load, running or ended.
        pub load: Name,
        /// The machine that has the rows.
        pub on: Name,
        /// For its shell; lines that are no numbers are passed over.
        #[serde(deserialize_with = "some_text")]
        pub run: String,
    }
}

impl Kind for Ledger {
    fn check(&self, checker: &Checker<'_>, span: Range<usize>) -> Result<()> {
        checker.load(&self.load)?;
        if !checker.numbers.iter().any(|name| name == self.load.get_ref()) {
            let message = format!("the load {} writes no numbers", self.load.get_ref());
            let hint = "write `{number}` into its `url` or `body`, where each request has another";
            return Err(checker.sources.error(span, message).hint(hint));
        }
        checker.machine(&self.on)
    }

    fn machine(&self) -> Option<&Name> {
        Some(&self.on)
    }

    fn load(&self) -> Option<&Name> {
        Some(&self.load)
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (load, on) = (self.load.get_ref(), self.on.get_ref());
        write!(f, "all that {load} was told of is there once, by `{}` on {on}", self.run)
    }
}
