//! What a switch has learnt: behind which port each hardware address is.

use super::frame::Mac;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A switch forgets who has not spoken for so long (IEEE 802.1D's default).
const AGE: Duration = Duration::from_secs(300);

/// Hardware addresses and their ports.
#[derive(Debug, Default)]
pub(super) struct MacTable {
    entries: BTreeMap<Mac, (usize, Instant)>,
}

impl MacTable {
    /// `mac` has just spoken on `port`: it is there now, wherever it was before. This is
    /// what moves a floating hardware address at the first gratuitous ARP.
    pub(super) fn learn(&mut self, mac: Mac, port: usize, now: Instant) {
        if !mac.is_group() {
            self.entries.insert(mac, (port, now));
        }
    }

    /// The port of `mac`, if it is known and not too old.
    pub(super) fn port(&self, mac: Mac, now: Instant) -> Option<usize> {
        let (port, heard) = self.entries.get(&mac)?;
        (now.saturating_duration_since(*heard) < AGE).then_some(*port)
    }

    /// The address that spoke last on `port`.
    pub(super) fn last_on(&self, port: usize) -> Option<Mac> {
        let on_port = self.entries.iter().filter(|(_, (own, _))| *own == port);
        on_port.max_by_key(|(_, (_, heard))| *heard).map(|(mac, _)| *mac)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{A, B};
    use super::*;

    #[test]
    fn learns_moves_and_forgets() {
        let (mut table, start) = (MacTable::default(), Instant::now());
        assert_eq!(table.port(A, start), None);
        table.learn(A, 1, start);
        table.learn(Mac::BROADCAST, 1, start);
        assert_eq!(table.port(A, start), Some(1));
        assert_eq!(table.port(Mac::BROADCAST, start), None);
        let later = start + Duration::from_secs(200);
        table.learn(A, 2, later);
        assert_eq!(table.port(A, later), Some(2));
        assert_eq!(table.port(A, start + Duration::from_secs(400)), Some(2));
        assert_eq!(table.port(A, later + AGE), None);
        table.learn(B, 2, later + AGE);
        assert_eq!(table.last_on(2), Some(B));
        assert_eq!(table.last_on(1), None);
    }
}
