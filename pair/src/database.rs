//! What the agent asks of its own MariaDB, and what that one says.
//!
//! Who carries commands out keeps to this, or writes are lost:
//!
//! - There is no [`Status`] while a command has no answer. A command that is given up is dead
//!   first: its session is killed and seen to be gone. An agent that starts ends all sessions of
//!   its own account.
//! - A database starts read-only, with the application locked out, waiting for nobody, and
//!   without replication. Until then its replication is [`Replication::Restarted`].
//! - [`Status::replica_has_all`] is yes only if the agent itself saw how long the history was
//!   after [`Command::Wait`] had been answered.

use crate::config::Node;

/// What a look at the database found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it holds.
    pub data: Data,
    /// Whether it takes writes: not read-only, and the application may log in.
    pub open: bool,
    /// Whether it acknowledges only what its replica has received. There is no end to the wait.
    pub waits: bool,
    /// Sessions of clients that may still write: of commits that wait, above all.
    pub writers: bool,
    /// How it follows the other one.
    pub replication: Replication,
    /// Whether all that it has received is applied: by transactions, not by bytes, as half of
    /// one is never applied.
    pub applied: bool,
    /// Whether it cannot apply what it has received, or will not: an error has ended that.
    pub cannot_apply: bool,
    /// Whether a write of the agent's own would be taken, or only waits for the replica: a full
    /// or broken disk takes none.
    pub writable: bool,
    /// Whether readers are let in.
    pub readers: bool,
    /// Whether what is read here is new enough: it takes writes, or follows and is not late.
    pub fresh: bool,
    /// Whether the other one follows it, and has received all that was committed when it was
    /// last told to wait.
    pub replica_has_all: bool,
    /// Whether the other one follows it.
    pub replica_follows: bool,
    /// For how long the oldest commit has been waiting for the replica, in milliseconds.
    pub stalled: u64,
}

/// What a database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Nothing, or a copy that was not finished.
    None,
    /// A history.
    Some,
}

/// How a database follows the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It does not: nothing is received any more.
    Stopped,
    /// The database was started anew, and has neither followed nor been told not to since. What
    /// it had received and not applied is gone as soon as it follows: MariaDB deletes it.
    Restarted,
    /// It does, or tries to.
    Following,
    /// It cannot: it has what the other one has not, or lacks what that one has no more.
    Parted,
    /// It receives, and cannot apply: the data differ.
    Broken,
    /// Its data is being replaced by a copy of the other's.
    Copying,
}

/// What the database is told. Each may be told again, and may fail: only the next look says
/// what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Make an empty database: there never was one.
    Found,
    /// Take writes.
    Open,
    /// The same, and begin a history that the other one can follow only from a copy: what it has
    /// may be another one, whatever the numbers of its transactions say.
    OpenAnew,
    /// Take none: lock the application out, end its sessions, wait until they are gone, become
    /// read-only. Only then may commits be waited for no longer. Commits that wait must not be
    /// acknowledged by it: cut the clients' connections before the first session is killed, or
    /// kill the database.
    Close,
    /// Acknowledge only what the replica has received.
    Wait,
    /// Acknowledge at once. What waits is acknowledged.
    NoWait,
    /// Receive from the other one.
    Follow(Node),
    /// Receive nothing any more.
    StopFollowing,
    /// Set the own data aside, if there is any, and fetch a copy.
    Copy(Node),
    /// Let nobody read: what is here may be old.
    LockReaders,
    /// Let readers in.
    LetReadersIn,
}
