//! MariaDB as far as it matters here: a history, what was received of the other's, commits that
//! wait for the replica. The history survives a crash, as with `sync_binlog=1` and
//! `innodb_flush_log_at_trx_commit=1` (or 3). What was received and not applied does not:
//! MariaDB 11.8 with GTIDs deletes it when replication is started.

use imagebuild_pair::{Command, Data, Node, Replication, Status};
use std::collections::VecDeque;

/// A transaction: its number says nothing but which it is.
pub(crate) type Write = u32;

/// Between the two databases.
#[derive(Debug, Clone)]
pub(crate) enum Stream {
    /// From the replica: how much it has, and what the last of it is.
    Connect { connection: u32, length: usize, last: Option<Write> },
    /// To it: what follows.
    Writes { connection: u32, from: usize, writes: Vec<Write> },
    /// To it: it has what is not here.
    Parted { connection: u32 },
    /// From it: it has so much, on disk.
    Received { connection: u32, length: usize },
}

/// A copy takes so long, in milliseconds.
const COPY: u64 = 1200;
/// A connection without a word for so long is gone.
const SILENT: u64 = 500;

/// What is planted, to see that the simulator notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Commits wait for the replica for so many milliseconds only, as semi-sync does.
    WaitEnds(u64),
    /// To close acknowledges what waits, instead of ending its sessions first.
    CloseAcknowledges,
    /// A replica is told to have everything as soon as it is connected.
    HasAllAtOnce,
    /// To stop following is answered, but not done.
    NeverStops,
    /// A database that was started anew says nothing of it.
    RestartIsNotSeen,
    /// A voter's state of the register is not on disk: after a crash it is as on the first day.
    RegisterForgotten,
}

#[derive(Debug, Clone, Copy)]
struct Replica {
    connection: u32,
    received: usize,
    heard: u64,
}

/// One database.
#[derive(Debug, Clone)]
pub(crate) struct Maria {
    pub(crate) defect: Option<Defect>,
    /// Until when it is hung: it answers nobody.
    pub(crate) hung_until: u64,
    pub(crate) runs: bool,
    /// Whether a crash cuts off what was not acknowledged.
    pub(crate) cuts: bool,
    /// How often it was started: commands of before are gone.
    pub(crate) generation: u32,
    /// Until when a command is carried out: it gives no status meanwhile.
    pub(crate) busy_until: u64,
    /// What was received is applied so often, in milliseconds, and when next.
    pub(crate) applies_every: u64,
    applies_at: u64,
    data: Data,
    pub(crate) history: Vec<Write>,
    received: Vec<Write>,
    pub(crate) open: bool,
    pub(crate) waits: bool,
    readers: bool,
    waiting: VecDeque<(usize, Write, u64)>,
    replication: Replication,
    connection: u32,
    /// When the other one was last heard on the connection.
    heard: u64,
    copy_until: u64,
    pub(crate) copy_from: Option<Node>,
    replica: Option<Replica>,
    /// The length of the history when it was told to wait.
    mark: usize,
    /// Its log begins after so much of its history.
    log_from: usize,
    /// Its data are a backup's, and have taken no writes since.
    pub(crate) restored: bool,
}

impl Maria {
    pub(crate) fn blank(defect: Option<Defect>) -> Maria {
        Maria {
            defect,
            hung_until: 0,
            runs: true,
            cuts: false,
            generation: 0,
            busy_until: 0,
            applies_every: 150,
            applies_at: 0,
            data: Data::None,
            history: Vec::new(),
            received: Vec::new(),
            open: false,
            waits: false,
            readers: true,
            waiting: VecDeque::new(),
            replication: Replication::Stopped,
            connection: 0,
            heard: 0,
            copy_until: 0,
            copy_from: None,
            replica: None,
            mark: 0,
            log_from: 0,
            restored: false,
        }
    }

    /// One with an empty disk in its place. Commands and streams that are late were for this one.
    pub(crate) fn replaced(&self) -> Maria {
        Maria {
            runs: false,
            applies_every: self.applies_every,
            generation: self.generation,
            connection: self.connection,
            ..Maria::blank(self.defect)
        }
    }

    pub(crate) fn has_data(&self) -> bool {
        self.data == Data::Some
    }

    pub(crate) fn answers(&self, now: u64) -> bool {
        self.runs && now >= self.hung_until
    }

    /// The process ends; what is on disk stays.
    pub(crate) fn crash(&mut self) {
        self.runs = false;
        self.generation += 1;
        self.busy_until = 0;
        self.open = false;
        self.waits = false;
        // What nobody was told of may be gone from its log, as `init_rpl_role = SLAVE` has it.
        if let Some((length, _, _)) = self.waiting.front().filter(|_| self.cuts) {
            self.history.truncate(length - 1);
        }
        self.waiting.clear();
        if self.replication == Replication::Copying {
            self.data = Data::None;
        }
        // It is on disk still, and deleted when replication is started: seen with 11.8.
        self.received.clear();
        let is_silent = self.defect == Some(Defect::RestartIsNotSeen);
        self.replication = if is_silent { Replication::Stopped } else { Replication::Restarted };
        self.copy_from = None;
        self.replica = None;
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Write> {
        self.history.iter().chain(&self.received).copied()
    }

    /// A person puts a backup back: an empty one will do.
    pub(crate) fn restore(&mut self) {
        self.data = Data::Some;
        self.restored = true;
    }

    /// Whether it knows that it may have lost what it had received.
    pub(crate) fn may_lack(&self) -> bool {
        self.replication == Replication::Restarted
    }

    pub(crate) fn follows(&self) -> bool {
        self.replication == Replication::Following
    }

    /// All that it has, also what is not applied yet.
    pub(crate) fn has(&self, write: Write) -> bool {
        // Writes are numbered, and a history is in their order.
        let among = |writes: &[Write]| writes.binary_search(&write).is_ok();
        self.data == Data::Some && (among(&self.history) || among(&self.received))
    }

    pub(crate) fn status(&self, now: u64) -> Option<Status> {
        if !self.answers(now) {
            return None;
        }
        let replica = self.replica.filter(|replica| now < replica.heard + SILENT);
        let has_all = self.defect == Some(Defect::HasAllAtOnce);
        Some(Status {
            data: self.data,
            open: self.open,
            waits: self.waits,
            writers: !self.waiting.is_empty(),
            replication: self.replication,
            applied: self.received.is_empty(),
            replica_has_all: replica.is_some_and(|one| has_all || one.received >= self.mark),
            replica_follows: replica.is_some(),
            cannot_apply: false,
            writable: true,
            readers: self.readers,
            fresh: self.open
                || (self.replication == Replication::Following && now < self.heard + 2 * SILENT),
            stalled: self.waiting.front().map_or(0, |(_, _, since)| now - since),
        })
    }

    /// Time passes: what was received is applied, connections are made, a copy ends. Gives what
    /// is said to the other one, and what is acknowledged.
    pub(crate) fn tick(&mut self, now: u64) -> (Option<Stream>, Vec<Write>) {
        // What was received is applied some time later.
        if self.applies_at <= now {
            self.history.append(&mut self.received);
            self.applies_at = now + self.applies_every;
        }
        let mut acknowledged = Vec::new();
        if let Some(Defect::WaitEnds(limit)) = self.defect {
            if self.waiting.front().is_some_and(|(_, _, since)| now >= since + limit) {
                acknowledged = self.release(usize::MAX);
            }
        }
        if self.replication != Replication::Following {
            return (None, acknowledged);
        }
        let length = self.history.len() + self.received.len();
        let said = if now >= self.heard + SILENT {
            self.connection += 1;
            self.heard = now;
            let last = self.received.last().or(self.history.last()).copied();
            Stream::Connect { connection: self.connection, length, last }
        } else {
            Stream::Received { connection: self.connection, length }
        };
        (Some(said), acknowledged)
    }

    /// Whether a copy is to be made now, and whose.
    pub(crate) fn copy_due(&mut self, now: u64) -> Option<Node> {
        let is_due = self.replication == Replication::Copying && now >= self.copy_until;
        if is_due { self.copy_from } else { None }
    }

    /// The copy is there, or has failed.
    pub(crate) fn copied(&mut self, history: Option<Vec<Write>>) {
        self.replication = Replication::Stopped;
        self.copy_from = None;
        if let Some(history) = history {
            self.log_from = history.len();
            self.history = history;
            self.data = Data::Some;
        }
    }

    /// A client writes. Gives what is said to the replica, and whether it is acknowledged.
    pub(crate) fn write(&mut self, write: Write, now: u64) -> (Option<Stream>, bool) {
        let from = self.history.len();
        self.history.push(write);
        let said = self.replica.map(|replica| Stream::Writes {
            connection: replica.connection,
            from,
            writes: vec![write],
        });
        if self.waits {
            self.waiting.push_back((from + 1, write, now));
        }
        (said, !self.waits)
    }

    /// The other one says something. Gives the answer, and what is acknowledged.
    pub(crate) fn hear(&mut self, stream: Stream, now: u64) -> (Option<Stream>, Vec<Write>) {
        match stream {
            Stream::Connect { connection, length, last } => {
                let same = match length {
                    0 => true,
                    _ => self.history.get(length - 1).copied() == last,
                };
                if !same || length < self.log_from || self.data == Data::None {
                    return (Some(Stream::Parted { connection }), Vec::new());
                }
                self.replica = Some(Replica { connection, received: length, heard: now });
                let writes = self.history[length..].to_vec();
                let acknowledged = self.release(length);
                (Some(Stream::Writes { connection, from: length, writes }), acknowledged)
            }
            Stream::Received { connection, length } => {
                let Some(replica) = &mut self.replica else { return (None, Vec::new()) };
                if replica.connection != connection {
                    return (None, Vec::new());
                }
                replica.heard = now;
                replica.received = replica.received.max(length);
                // Again whatever it may not have got.
                let writes = self.history.get(length..).unwrap_or_default().to_vec();
                (Some(Stream::Writes { connection, from: length, writes }), self.release(length))
            }
            Stream::Writes { connection, from, writes } => {
                let follows = self.replication == Replication::Following
                    || self.defect == Some(Defect::NeverStops);
                if !follows || connection != self.connection {
                    return (None, Vec::new());
                }
                let length = self.history.len() + self.received.len();
                if from > length {
                    // Something was lost: connect anew.
                    self.heard = 0;
                    return (None, Vec::new());
                }
                self.heard = now;
                if writes.is_empty() {
                    return (None, Vec::new());
                }
                self.received.extend(writes.into_iter().skip(length - from));
                let length = self.history.len() + self.received.len();
                (Some(Stream::Received { connection, length }), Vec::new())
            }
            Stream::Parted { connection } => {
                if connection == self.connection && self.replication == Replication::Following {
                    self.replication = Replication::Parted;
                }
                (None, Vec::new())
            }
        }
    }

    /// Acknowledges what waits up to a length of the history.
    fn release(&mut self, length: usize) -> Vec<Write> {
        let mut released = Vec::new();
        while self.waiting.front().is_some_and(|(at, _, _)| *at <= length) {
            released.extend(self.waiting.pop_front().map(|(_, write, _)| write));
        }
        released
    }

    /// Carries a command out; gives what is acknowledged by it.
    pub(crate) fn command(&mut self, command: Command, now: u64) -> Vec<Write> {
        if !self.answers(now) {
            return Vec::new();
        }
        match command {
            Command::Found => self.data = Data::Some,
            Command::Open | Command::OpenAnew => {
                if command == Command::OpenAnew {
                    // With a transaction that nobody else has.
                    self.log_from = self.history.len() + 1;
                    self.restored = false;
                }
                assert!(self.received.is_empty(), "opened before all is applied");
                self.open = true;
            }
            Command::Close => {
                self.open = false;
                if self.defect == Some(Defect::CloseAcknowledges) {
                    return self.release(usize::MAX);
                }
                self.waiting.clear();
            }
            Command::Wait => {
                if !self.waits {
                    self.waits = true;
                    self.mark = self.history.len();
                }
            }
            Command::NoWait => {
                self.waits = false;
                return self.release(usize::MAX);
            }
            Command::Follow(_) => {
                // MariaDB with GTIDs begins by deleting all that was received.
                if matches!(self.replication, Replication::Stopped | Replication::Restarted) {
                    self.received.clear();
                }
                self.replication = Replication::Following;
                self.heard = 0;
                self.replica = None;
            }
            Command::StopFollowing => {
                self.replication = Replication::Stopped;
                if self.defect != Some(Defect::NeverStops) {
                    self.connection += 1;
                }
            }
            Command::Copy(from) => {
                self.data = Data::None;
                self.history.clear();
                self.received.clear();
                self.replication = Replication::Copying;
                self.copy_until = now + COPY;
                self.copy_from = Some(from);
            }
            Command::LockReaders => self.readers = false,
            Command::LetReadersIn => self.readers = true,
        }
        Vec::new()
    }
}
