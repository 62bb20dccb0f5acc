//! A voter: it votes on the register, and if it is a database, decides by the register's value
//! what its own MariaDB does.

mod deciding;
mod hearing;
mod rounds;
#[cfg(test)]
mod tests;

use crate::config::{Config, Members, Node};
use crate::database::{Command, Data, Status};
use crate::message::{Alive, Message};
use crate::register::{Acceptor, Round};
use crate::times::Times;
use std::collections::{BTreeMap, VecDeque};

/// What a voter is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time has passed, and the database was looked at.
    Tick {
        /// Milliseconds of a clock that never goes back.
        now: u64,
        /// What the database says; nothing if it does not answer, or if this is a witness.
        database: Option<Status>,
        /// Of two databases without a witness: whether this machine sees others (a gateway, at
        /// this moment), so that a silent peer is taken for lost. Both may think so of each
        /// other when all links between them are cut: then both write, and at the end the
        /// writes of one are set aside.
        is_connected: bool,
    },
    /// A message has come.
    Message {
        /// From whom.
        from: Node,
        /// Which.
        message: Message,
    },
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Write the acceptor's state to disk, synced, before the next action.
    Save(Acceptor),
    /// Send a message; it may be lost, late, twice.
    Send(Node, Message),
    /// Tell the own database.
    Database(Command),
}

/// What only a person can decide, as otherwise acknowledged writes might be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// More than one voter has lost its state of the register.
    RegisterLost,
    /// There is no register yet, and both databases have data.
    TwoHistories,
    /// This database is the primary, alone, and its data is gone.
    DataLost,
    /// The primary is gone, and this database may lack writes that it acknowledged.
    MayLackWrites,
    /// This database is the primary, alone, and cannot take writes.
    CannotOpen,
    /// No majority answers; or a voter that has lost its state misses another's.
    VoterMissing,
}

/// A voter's state in memory: all of it may be lost at any time but the acceptor's.
#[derive(Debug, Clone)]
pub struct Member {
    own: Node,
    members: Members,
    times: Times,
    now: u64,
    started: Option<u64>,
    acceptor: Option<Acceptor>,
    recovery: Recovery,
    round: Option<Round>,
    /// The highest number of a round that was heard of.
    highest: u64,
    /// For how long the peer has been silent while this one was watching.
    silence: u64,
    is_connected: bool,
    /// Whether the register was read since the start with the votes of a majority.
    has_met: bool,
    /// No round begins before.
    next_round: u64,
    /// Whether a change may have been chosen that is not known.
    in_doubt: bool,
    /// The register's value, once it was read. It may be an old one.
    known: Option<Config>,
    /// Whether the register was read, and was empty.
    is_empty: bool,
    heard: BTreeMap<Node, Heard>,
    status: Option<Status>,
    has_data: Option<bool>,
    was_open: bool,
    /// The number of the last sign of life, and when the last ones were sent.
    beats: u64,
    sent: VecDeque<(u64, u64)>,
    unfollowed_since: Option<u64>,
    /// Since when readers would get what is too old.
    stale_since: Option<u64>,
    /// Whether it is about to take over.
    takes_over: bool,
    /// Whether the machine is about to be stopped.
    leaves: bool,
    /// Whether a person has said that the primary will not come back, or which of two histories
    /// goes on.
    is_forced: bool,
    /// Whether a person has said that what the others know of the register is to count.
    recovers_anyway: bool,
    /// Whether the own data are a backup's, and have taken no writes since.
    is_restored: bool,
    /// Since when no majority was heard.
    isolated_since: Option<u64>,
    /// The epoch in which the primary was told to wait for its replica, to count on it again.
    joining: Option<u64>,
    /// After a replica that was too far behind: when it is tried again, and the pause before.
    join_after: u64,
    join_pause: u64,
    /// Since when both have had everything.
    both_since: Option<u64>,
    /// When the database was looked at last.
    looked_at: u64,
    /// Whether a person has made it the primary though it cannot apply all it has received.
    opens_unapplied: bool,
    /// What the register holds once a database that was started anew is not counted on.
    stepped_out: Option<Config>,
    /// Since when a change is in doubt, or nothing is known.
    in_doubt_since: Option<u64>,
    /// Since when this database is the primary, and takes no writes.
    closed_since: Option<u64>,
    need: Option<Need>,
}

/// What was last heard of another voter. Times are when our own sign of life was sent that the
/// other one had got: it has said so after that.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Option<u64>,
    /// When it last said that its database is fit.
    fit_at: Option<u64>,
    alive: Alive,
}

/// How a lost state is recovered.
#[derive(Debug, Clone, Default)]
struct Recovery {
    number: u64,
    since: Option<u64>,
    asked_at: Option<u64>,
    replies: BTreeMap<Node, Option<Acceptor>>,
}

impl Member {
    /// A voter that has just started, with its acceptor's state from disk, if it has one.
    /// `number` is a random one: it must differ from that of every start before, also where the
    /// disk was lost.
    pub fn new(
        own: Node,
        members: Members,
        times: Times,
        acceptor: Option<Acceptor>,
        number: u64,
    ) -> Member {
        Member {
            own,
            members,
            times,
            now: 0,
            started: None,
            acceptor,
            recovery: Recovery { number, ..Recovery::default() },
            round: None,
            highest: 0,
            silence: 0,
            is_connected: false,
            has_met: false,
            next_round: 0,
            in_doubt: true,
            known: None,
            is_empty: false,
            heard: BTreeMap::new(),
            status: None,
            has_data: None,
            was_open: false,
            beats: number,
            sent: VecDeque::new(),
            unfollowed_since: None,
            stale_since: None,
            takes_over: false,
            leaves: false,
            is_forced: false,
            recovers_anyway: false,
            is_restored: false,
            isolated_since: None,
            joining: None,
            join_after: 0,
            join_pause: 0,
            opens_unapplied: false,
            both_since: None,
            looked_at: 0,
            stepped_out: None,
            in_doubt_since: None,
            closed_since: None,
            need: None,
        }
    }

    /// The register's value, as far as it is known here.
    pub fn known(&self) -> Option<Config> {
        self.known
    }

    /// The same, and for a witness what it has accepted: it never asks.
    pub fn last_heard(&self) -> Option<Config> {
        let accepted = self.acceptor.and_then(|acceptor| acceptor.accepted);
        self.known.or(accepted.filter(|_| !self.own.is_database()).map(|(_, config)| config))
    }

    /// What a person has to decide, if anything.
    pub fn need(&self) -> Option<Need> {
        self.need
    }

    /// Whether this database is the primary, and took writes when it was looked at last: it is not
    /// looked at while a command has no answer.
    pub fn may_write(&self) -> bool {
        let is_primary = self.known.is_some_and(|config| config.primary == self.own);
        is_primary && self.was_open
    }

    /// Whether the address for writes may be here. Also where the database is about to take over:
    /// the address takes as long to move as that, and a database that is not the primary yet
    /// takes no writes.
    pub fn may_hold_address(&self) -> bool {
        self.may_write() || self.takes_over
    }

    /// Whether this database, or the one that it follows, is the primary and was heard lately to
    /// be fit: whether a write has somewhere to go, as far as is known here.
    pub fn knows_a_writer(&self) -> bool {
        let heard = |config: Config| self.hears_fit(config.primary);
        self.may_write() || self.known.is_some_and(heard)
    }

    /// Whether so many voters are heard that something could be decided.
    pub fn has_majority(&self) -> bool {
        self.hears_majority()
    }

    /// Whether a voter was heard lately.
    pub fn is_heard(&self, node: Node) -> bool {
        node == self.own || self.hears(node)
    }

    /// Whether the machine is about to be stopped: then the other one is to take over, if it may.
    pub fn leave(&mut self, leaves: bool) {
        self.leaves = leaves;
    }

    /// Whether a person has put a backup back: then the other one may have what was acknowledged
    /// after it, and is not counted on, nor is its data given up for good.
    pub fn restored(&mut self, is_restored: bool) {
        self.is_restored = is_restored;
    }

    /// A person says that the primary is lost for good: this database takes over as soon as it
    /// hears a majority, and no fit primary, though it may lack acknowledged writes. Or that this
    /// one of two histories goes on ([`Need::TwoHistories`]).
    pub fn force_takeover(&mut self) {
        self.is_forced = true;
    }

    /// A person says that what the others know of the register is to count, though more than one
    /// voter has lost it ([`Need::RegisterLost`]): what was decided last may be forgotten.
    pub fn recover_anyway(&mut self) {
        self.recovers_anyway = self.need == Some(Need::RegisterLost);
    }

    /// What [`Member::recover_anyway`] would make the register's value.
    pub fn recoverable(&self) -> Option<Config> {
        let known = self.recovery.replies.values().flatten().copied();
        let is_lost = self.acceptor.is_none() && self.need == Some(Need::RegisterLost);
        is_lost.then(|| Acceptor::of_others(known).accepted).flatten().map(|(_, config)| config)
    }

    /// Takes an event; gives what is to be done.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick { now, database, is_connected } => {
                self.watch_peer(now, is_connected);
                self.tick(now, database, &mut actions);
            }
            Event::Message { from, message } => self.take(from, message, &mut actions),
        }
        actions
    }

    fn tick(&mut self, now: u64, database: Option<Status>, actions: &mut Vec<Action>) {
        self.now = now;
        self.started = self.started.or(Some(now));
        self.status = database;
        // Longer than a command takes: it hangs, or is dead.
        self.was_open &= now < self.looked_at + self.times.lease;
        if let Some(status) = database {
            self.has_data = Some(status.data == Data::Some);
            (self.was_open, self.looked_at) = (status.open, now);
        }
        if self.acceptor.is_some() {
            self.need = None;
        }
        self.in_doubt_since = self.since(self.in_doubt_since, self.in_doubt);
        if self.sent.back().is_none_or(|(_, at)| now >= at + self.times.beat) {
            self.beat(actions);
        }
        self.isolated_since = self.since(self.isolated_since, !self.hears_majority());
        if self.acceptor.is_none() {
            self.recover(actions);
            return;
        }
        if self.round.as_ref().is_some_and(|round| now >= round.since + self.times.round) {
            self.end_round();
        }
        if self.own.is_database() {
            self.decide(actions);
        }
    }

    fn take(&mut self, from: Node, message: Message, actions: &mut Vec<Action>) {
        match message {
            Message::Alive(alive) => self.hear(from, alive),
            Message::Request(request) => {
                let Some(acceptor) = &mut self.acceptor else { return };
                let before = *acceptor;
                let reply = acceptor.reply(request);
                if *acceptor != before {
                    actions.push(Action::Save(*acceptor));
                }
                actions.push(Action::Send(from, Message::Reply(reply)));
            }
            Message::Reply(reply) => self.take_reply(from, reply, actions),
            // An old one that comes again: who votes has not lost its state.
            Message::Recover { .. } if self.is_heard_to_vote(from) => {}
            Message::Recover { number } => {
                // What was promised to a round of ours by who has forgotten it does not count.
                self.end_round();
                let state = self.acceptor;
                actions.push(Action::Send(from, Message::Recovered { number, state }));
            }
            Message::Recovered { number, state } => {
                if self.acceptor.is_none() && number == self.recovery.number {
                    self.recovery.replies.insert(from, state);
                    self.try_recovery(actions);
                }
            }
        }
    }
}
