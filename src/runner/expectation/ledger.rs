//! `ledger`: what became of the numbered rows that a load has written.

use super::{Probe, Prober};
use crate::error::Result;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Ledger;
use std::collections::{BTreeMap, BTreeSet};

/// So many of those that are missing are named.
const NAMED: usize = 10;

impl Probe for Ledger {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let (requests, _, _) = prober.loads.so_far(self.load.get_ref(), prober.clock);
        let acknowledged = requests.iter().filter(|one| one.is_good()).map(|one| one.number);
        let acknowledged: BTreeSet<u64> = acknowledged.collect();
        let printed = prober.output(&self.on, &self.run)?;
        Ok(match judge(&acknowledged, &printed) {
            None => ProbeResult::Met,
            Some(wrong) => ProbeResult::NotMet(wrong),
        })
    }
}

/// What is wrong, if anything.
fn judge(acknowledged: &BTreeSet<u64>, printed: &str) -> Option<String> {
    let mut there: BTreeMap<u64, usize> = BTreeMap::new();
    for number in printed.lines().filter_map(|line| line.trim().parse().ok()) {
        *there.entry(number).or_default() += 1;
    }
    let lost: Vec<u64> =
        acknowledged.iter().copied().filter(|number| !there.contains_key(number)).collect();
    let twice: Vec<u64> = there.iter().filter(|(_, count)| **count > 1).map(|(n, _)| *n).collect();
    let named = |numbers: &[u64]| {
        let first: Vec<String> = numbers.iter().take(NAMED).map(u64::to_string).collect();
        let more = if numbers.len() > NAMED { ", ..." } else { "" };
        format!("{} ({}{more})", numbers.len(), first.join(", "))
    };
    let all = acknowledged.len();
    if all == 0 {
        Some("no row was acknowledged".to_owned())
    } else if !lost.is_empty() {
        Some(format!("lost, of {all} acknowledged rows: {}", named(&lost)))
    } else if !twice.is_empty() {
        Some(format!("there twice, of {all} acknowledged rows: {}", named(&twice)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lost_or_there_twice() {
        let acknowledged = BTreeSet::from([1, 2, 30]);
        assert_eq!(judge(&acknowledged, "30\n1\n2\nhello\n4\n"), None);
        let wrong = |printed: &str| judge(&acknowledged, printed).unwrap();
        assert_eq!(wrong("1\n4\n"), "lost, of 3 acknowledged rows: 2 (2, 30)");
        assert_eq!(wrong("1\n2\n30\n4\n4\n"), "there twice, of 3 acknowledged rows: 1 (4)");
        assert_eq!(judge(&BTreeSet::new(), "1\n").unwrap(), "no row was acknowledged");
        let many: BTreeSet<u64> = (1..=12).collect();
        assert!(judge(&many, "").unwrap().ends_with("12 (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)"));
    }
}
