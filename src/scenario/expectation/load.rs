//! `load`: what a load has seen so far.

use super::{Kind, expectation};
use crate::error::Result;
use crate::scenario::check::Checker;
use crate::scenario::values::list;
use crate::scenario::{Name, Seconds};
use std::fmt;
use std::ops::Range;

expectation! {
    /// What a load has seen so far.
    pub struct Load {
        /// The load, running or ended.
        pub name: Name,
        /// At least so many good answers.
        pub good: Option<u32>,
        /// At most so many failed requests.
        pub failed: Option<u32>,
        /// At most so long without a good answer.
        pub outage: Option<Seconds>,
        /// Each of these servers answered.
        #[serde(default)]
        pub from_each: Vec<Name>,
    }
}

impl Kind for Load {
    fn check(&self, checker: &Checker<'_>, span: Range<usize>) -> Result<()> {
        checker.load(&self.name)?;
        let says_nothing = self.good.is_none()
            && self.failed.is_none()
            && self.outage.is_none()
            && self.from_each.is_empty();
        if says_nothing {
            let hint =
                "add `good` (at least), `failed` (at most), `outage` (at most) or `from-each`";
            return Err(checker.sources.error(span, "nothing is expected of this load").hint(hint));
        }
        self.from_each.iter().try_for_each(|server| checker.machine(server))
    }

    fn load(&self) -> Option<&Name> {
        Some(&self.name)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(good) = self.good {
            parts.push(format!("at least {good} good answers"));
        }
        if let Some(failed) = self.failed {
            parts.push(match failed {
                0 => "no failed request".to_owned(),
                some => format!("at most {some} failed requests"),
            });
        }
        if let Some(outage) = self.outage {
            parts.push(format!("no good answer for {outage} at most"));
        }
        if !self.from_each.is_empty() {
            parts.push(format!("answers from each of {}", list(&self.from_each)));
        }
        write!(f, "{} saw {}", self.name.get_ref(), parts.join(", "))
    }
}
