//! `held`: a floating address is held by exactly one machine.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::Name;
use crate::scenario::check::Checker;
use std::fmt;
use std::ops::Range;

expectation! {
    /// Who holds a floating address: exactly one machine, for both IP versions.
    pub struct Held {
        /// The floating address.
        pub floating: Name,
        /// Who must hold it; any one machine, if nothing is said.
        pub by: Option<Name>,
        /// Who must not.
        pub other_than: Option<Name>,
    }
}

impl Kind for Held {
    fn check(&self, checker: &Checker<'_>, _: Range<usize>) -> Result<()> {
        let floating = checker.floating(&self.floating)?;
        for who in self.by.iter().chain(&self.other_than) {
            checker.machine(who)?;
            let name = who.get_ref();
            let is_server = checker.architecture.servers.contains_key(name);
            if is_server && !floating.holders.contains(name) {
                let message = format!("{name} can never hold `{}`", floating.name);
                let hint = format!("its holders are: {}", floating.holders.join(", "));
                return Err(checker.sources.error(who.span(), message).hint(hint));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by ", self.floating.get_ref())?;
        match (&self.by, &self.other_than) {
            (Some(by), _) => write!(f, "{} alone", by.get_ref()),
            (None, Some(other)) => write!(f, "one machine other than {}", other.get_ref()),
            (None, None) => f.write_str("exactly one machine"),
        }
    }
}
