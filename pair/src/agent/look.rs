//! What a look at MariaDB finds: one query, whose row is read here.

use imagebuild_pair::{Data, Replication, Status};

/// One row of words. What does not exist is `-`.
///
/// Disk space is of the plugin DISKS: what MariaDB itself may still write, without the share
/// that the file system keeps for root.
pub(crate) fn query(data: &str, clients: &str) -> String {
    let data = crate::session::literal(data);
    let clients: Vec<String> = clients.lines().map(crate::session::literal).collect();
    let clients = clients.join(", ");
    let variable = |name: &str| {
        format!(
            "(SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
             WHERE VARIABLE_NAME = 'Rpl_semi_sync_master_{name}')"
        )
    };
    let replica = |column: &str| {
        format!("COALESCE((SELECT {column} FROM information_schema.SLAVE_STATUS LIMIT 1), '-')")
    };
    let words = [
        "@@read_only".to_owned(),
        "IF(@@gtid_binlog_pos = '', '-', @@gtid_binlog_pos)".to_owned(),
        "IF(@@gtid_slave_pos = '', '-', @@gtid_slave_pos)".to_owned(),
        format!(
            "(SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'app' \
             AND Host IN ({clients}) AND JSON_VALUE(Priv, '$.account_locked') = 1)"
        ),
        variable("status"),
        variable("clients"),
        "COALESCE((SELECT GROUP_CONCAT(CONCAT(ID, '/', QUERY_ID)) \
         FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for semi-sync%'), '-')"
            .to_owned(),
        replica("Slave_IO_Running"),
        replica("Slave_SQL_Running"),
        replica("Last_IO_Errno"),
        replica("Last_SQL_Errno"),
        replica("Seconds_Behind_Master"),
        replica("IF(Gtid_IO_Pos = '', '-', Gtid_IO_Pos)"),
        format!(
            "COALESCE((SELECT MIN(Available) FROM information_schema.DISKS \
             WHERE {data} = Path), '-')"
        ),
    ];
    // Columns by tabs: a list of positions has commas, and no blanks.
    format!("SELECT {};", words.join(", "))
}

/// Counts tables that somebody has made: asked where there is no history yet.
pub(crate) fn tables() -> String {
    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN \
     ('mysql', 'sys', 'information_schema', 'performance_schema') \
     AND TABLE_SCHEMA NOT LIKE '#mysql50#%' AND NOT (TABLE_SCHEMA = 'app' AND TABLE_NAME = 'demo_visits');"
        .to_owned()
}

/// What this process of MariaDB was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Follow,
    Stop,
}

/// The row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) read_only: bool,
    /// The number of the last transaction in its own log.
    pub(crate) written: u64,
    /// That of the last one which it got from the other one and has applied.
    pub(crate) applied: u64,
    /// Whether there are tables without a history: of a server that was alone before.
    pub(crate) has_tables: bool,
    /// All positions, for people.
    pub(crate) position: String,
    /// How many of the application's accounts are locked.
    pub(crate) locked: u64,
    pub(crate) waits: bool,
    pub(crate) replicas: u64,
    /// Commits that wait for the replica: connection and query.
    pub(crate) waiting: Vec<String>,
    pub(crate) receives: bool,
    pub(crate) applies: bool,
    pub(crate) receiving_error: u64,
    pub(crate) applying_error: u64,
    pub(crate) lag: Option<u64>,
    /// The number of the last transaction that was received.
    pub(crate) received: u64,
    /// Kibibytes that MariaDB may still write; not known where the plugin is missing.
    pub(crate) room: Option<u64>,
}

/// It cannot follow: the primary has not what is here, or no longer what is missing here.
const PARTED: u64 = 1236;

impl Look {
    /// Reads the row; nothing if it is none.
    pub(crate) fn read(row: &str) -> Option<Look> {
        let words: Vec<&str> = row.split('\t').collect();
        let [
            read_only,
            written,
            applied,
            locked,
            semi_sync,
            clients,
            waiting,
            io,
            sql,
            io_error,
            sql_error,
            lag,
            received,
            room,
        ] = words[..]
        else {
            return None;
        };
        let number = |word: &str| if word == "-" { Some(0) } else { word.parse().ok() };
        let list = |word: &str| match word {
            "-" => Vec::new(),
            list => list.split(',').map(str::to_owned).collect(),
        };
        Some(Look {
            // NO_LOCK and the like of newer versions: anything but 0 and OFF takes no writes.
            read_only: !matches!(read_only, "0" | "OFF"),
            written: sequence(written)?,
            applied: sequence(applied)?,
            has_tables: false,
            position: written.to_owned(),
            locked: number(locked)?,
            waits: semi_sync == "ON",
            replicas: number(clients)?,
            waiting: list(waiting),
            receives: matches!(io, "Yes" | "Connecting" | "Preparing"),
            applies: sql == "Yes",
            receiving_error: number(io_error)?,
            applying_error: number(sql_error)?,
            lag: lag.parse().ok(),
            received: sequence(received)?,
            room: room.parse().ok(),
        })
    }

    /// Whether it has any transaction with a number.
    pub(crate) fn has_history(&self) -> bool {
        self.written > 0 || self.applied > 0
    }

    /// What it means for the deciding part. `told` is what this very process of MariaDB was told
    /// last; `stalled` for how long the oldest commit has been waiting, in milliseconds.
    pub(crate) fn status(&self, told: Option<Told>, stalled: u64, more: More) -> Status {
        // Errors stay until it is told to follow again.
        let replication = if told == Some(Told::Stop) && !self.receives {
            Replication::Stopped
        } else if self.receiving_error == PARTED {
            Replication::Parted
        } else if self.applying_error != 0 {
            Replication::Broken
        } else if self.receives {
            Replication::Following
        } else if told.is_some() {
            Replication::Stopped
        } else {
            Replication::Restarted
        };
        let has_data = (self.has_history() || self.has_tables) && more.has_position;
        let is_late = self.lag.is_none_or(|lag| lag > more.max_lag);
        let follows = self.receives && self.applies && !is_late;
        let open = !self.read_only && self.locked == 0;
        Status {
            data: if has_data { Data::Some } else { Data::None },
            open,
            waits: self.waits,
            cannot_apply: self.applying_error != 0,
            // Also one that was cut short while it was being opened.
            writers: !open && (!self.read_only || !self.waiting.is_empty()),
            replication,
            applied: self.received <= self.applied.max(self.written),
            writable: more.disk_writes && self.room.is_none_or(|room| room >= LEAST_ROOM),
            readers: self.locked == 0,
            fresh: open || follows,
            replica_has_all: more.replica_has_all && self.replicas > 0,
            replica_follows: self.replicas > 0,
            stalled,
        }
    }
}

/// Kibibytes; MariaDB waits for somebody to make room when there is none for its log.
const LEAST_ROOM: u64 = 16 * 1024;

/// What is known from elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct More {
    /// Seconds.
    pub(crate) max_lag: u64,
    /// Whether the disk takes writes.
    pub(crate) disk_writes: bool,
    /// Whether the other one has received all that was committed before the wait.
    pub(crate) replica_has_all: bool,
    /// Whether its data are not a copy whose position is not set yet.
    pub(crate) has_position: bool,
}

/// The highest sequence number of a list of positions (`0-1-17,1-1-3`): there is one domain, 0.
fn sequence(positions: &str) -> Option<u64> {
    if positions == "-" {
        return Some(0);
    }
    let numbers = positions.split(',').map(|position| {
        let mut words = position.trim().split('-');
        let domain: u64 = words.next()?.parse().ok()?;
        let number: u64 = words.nth(1)?.parse().ok()?;
        Some((domain, number))
    });
    let all: Vec<(u64, u64)> = numbers.collect::<Option<_>>()?;
    Some(all.into_iter().filter(|(domain, _)| *domain == 0).map(|(_, n)| n).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORE: More =
        More { max_lag: 5, disk_writes: true, replica_has_all: true, has_position: true };

    fn look(row: &str) -> Look {
        Look::read(&row.replace(' ', "\t")).unwrap()
    }

    #[test]
    fn a_primary_that_waits() {
        let look = look("0 0-1-17 - 0 ON 1 40/700,41/702 - - - - - - 900000");
        assert_eq!((look.written, look.waiting.len(), look.room), (17, 2, Some(900_000)));
        let status = look.status(Some(Told::Follow), 30, MORE);
        assert!(status.open && status.waits && status.readers && status.replica_has_all);
        assert_eq!(status.replication, Replication::Stopped);
        // They may still write once it is closed.
        assert!(!status.writers);
        assert!(Look { read_only: true, ..look }.status(Some(Told::Stop), 30, MORE).writers);
    }

    #[test]
    fn a_replica() {
        let row = "1 0-1-17 0-1-17 0 OFF 0 - Yes Yes 0 0 0 0-1-19 -";
        let status = look(row).status(None, 0, MORE);
        assert_eq!(status.replication, Replication::Following);
        assert!(!status.applied && status.fresh && !status.open && status.writable);
        let late = look(&row.replace("0 0 0 0-1-19", "0 0 6 0-1-17")).status(None, 0, MORE);
        assert!(late.applied && !late.fresh);
        let parted = look(&row.replace("Yes Yes 0", "No Yes 1236")).status(None, 0, MORE);
        assert_eq!(parted.replication, Replication::Parted);
        let broken = look(&row.replace("Yes 0 0", "No 0 1062")).status(None, 0, MORE);
        assert_eq!(broken.replication, Replication::Broken);
    }

    #[test]
    fn one_that_has_just_started() {
        let blank = look("1 - - 2 OFF 0 - - - - - - - 15000").status(None, 0, MORE);
        assert_eq!((blank.data, blank.replication), (Data::None, Replication::Restarted));
        assert!(blank.applied && !blank.readers && !blank.writable);
        assert_eq!(Look::read("1\t2"), None);
        assert_eq!(Look::read(&"1 x - 2 OFF 0 - - - - - - - 15000".replace(' ', "\t")), None);
    }
}
