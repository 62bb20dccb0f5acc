//! What goes wrong.

use crate::random::Random;
use std::time::Duration;

/// Which machine: by what it is when the fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Primary,
    Replica,
    Witness,
}

/// A fault; it lasts for a time that is said with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes, and comes back.
    PowerCut(Whom),
    /// It comes back with empty disks.
    Replaced(Whom),
    /// MariaDB is killed, and started again.
    DatabaseKilled(Whom),
    /// MariaDB stands still (SIGSTOP).
    DatabaseHangs(Whom),
    /// Nothing passes between it and the switch; its own link stays up.
    CutOff(Whom),
    /// The databases do not reach each other.
    Apart,
    /// The agent is killed, and started again.
    AgentKilled(Whom),
    /// The agent stands still.
    AgentHangs(Whom),
    /// keepalived is killed, and started again.
    KeepalivedKilled(Whom),
    /// It is stopped in order, and started again.
    Stopped(Whom),
    /// All lose their power.
    AllOff,
}

use Whom::{Primary, Replica, Witness};

/// Each with how long it lasts, and how soon writes must go on, in milliseconds.
pub(crate) const NAMED: [(&str, (Fault, u64), Option<u64>); 15] = [
    ("writer_loses_power", (Fault::PowerCut(Primary), 5000), Some(2500)),
    ("writers_database_is_killed", (Fault::DatabaseKilled(Primary), 5000), Some(2500)),
    ("writers_database_hangs", (Fault::DatabaseHangs(Primary), 8000), Some(4000)),
    ("writer_is_stopped", (Fault::Stopped(Primary), 4000), Some(1000)),
    ("writer_is_cut_off", (Fault::CutOff(Primary), 12_000), Some(3000)),
    ("writer_is_replaced", (Fault::Replaced(Primary), 4000), Some(2500)),
    ("writers_agent_is_killed", (Fault::AgentKilled(Primary), 200), None),
    ("writers_agent_hangs", (Fault::AgentHangs(Primary), 6000), None),
    ("writers_keepalived_is_killed", (Fault::KeepalivedKilled(Primary), 1000), None),
    ("replica_loses_power", (Fault::PowerCut(Replica), 5000), Some(2000)),
    ("replica_is_cut_off", (Fault::CutOff(Replica), 12_000), Some(2000)),
    ("replica_is_replaced", (Fault::Replaced(Replica), 4000), Some(2000)),
    ("databases_are_apart", (Fault::Apart, 12_000), Some(2000)),
    ("witness_loses_power", (Fault::PowerCut(Witness), 4000), None),
    ("all_lose_their_power", (Fault::AllOff, 2000), None),
];

/// One to three faults, one soon after the other's beginning, with how long each lasts. What
/// could take the only copy is left out: disks are not lost while another fault lasts.
pub(crate) fn random(random: &mut Random) -> Vec<(Fault, Duration)> {
    let count = 1 + random.below(3);
    let of_all = if count == 1 { 13 } else { 11 };
    let fault = |random: &mut Random| {
        let whom = [Primary, Replica, Witness][random.below(3) as usize];
        let database = [Primary, Replica][random.below(2) as usize];
        match random.below(of_all) {
            0 | 1 => Fault::PowerCut(whom),
            2 | 3 => Fault::CutOff(whom),
            4 => Fault::Apart,
            5 => Fault::DatabaseKilled(database),
            6 => Fault::DatabaseHangs(database),
            7 => Fault::AgentKilled(whom),
            8 => Fault::AgentHangs(whom),
            9 => Fault::KeepalivedKilled(database),
            10 => Fault::AllOff,
            11 => Fault::Stopped(database),
            _ => Fault::Replaced(whom),
        }
    };
    (0..count).map(|_| (fault(random), Duration::from_millis(200 + random.below(7000)))).collect()
}
