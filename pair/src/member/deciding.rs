//! What a database does, by what the register holds.

use super::{Action, Heard, Member, Need};
use crate::config::{Config, DATABASES, Node};
use crate::database::{Command, Data, Replication, Status};
use crate::register::Operation;

impl Member {
    pub(super) fn decide(&mut self, actions: &mut Vec<Action>) {
        self.read_if_old(actions);
        if self.is_long(self.in_doubt_since, self.times.lease) {
            self.need = Some(Need::VoterMissing);
        }
        let leads = self.known.is_some_and(|config| config.primary == self.own);
        let is_closed = !self.status.is_some_and(|status| status.open);
        self.closed_since = self.since(self.closed_since, leads && is_closed);
        let Some(status) = self.status else {
            self.unfollowed_since = None;
            self.stepped_out = None;
            self.takes_over &= self.now < self.looked_at + self.times.lease;
            return;
        };
        self.takes_over = false;
        match self.known {
            None => self.found(status, actions),
            Some(config) if config.primary == self.own => self.lead(config, status, actions),
            Some(config) => self.follow(config, status, actions),
        }
        self.lock_readers(status, actions);
    }

    /// Reads the register if nothing is known, or somebody knows something newer.
    pub(super) fn read_if_old(&mut self, actions: &mut Vec<Action>) {
        let known = self.known.map_or(0, |config| config.epoch);
        // Of the same epoch: two that took each other for lost.
        let is_other = |config: Config| {
            config.epoch > known || (config.epoch == known && self.known != Some(config))
        };
        let newer = |heard: &Heard| heard.alive.config.is_some_and(is_other);
        if self.known.is_none() && !self.is_empty || self.in_doubt || self.heard.values().any(newer)
        {
            self.begin(Operation::Read, actions);
        }
    }

    /// There is no register yet, as far as is known. Only when all voters are there, so that
    /// none of them has one that was forgotten elsewhere.
    pub(super) fn found(&mut self, status: Status, actions: &mut Vec<Action>) {
        // Not by an agent that has just started, and has not heard yet who it is: commits of a
        // database that was deposed wait.
        if (status.open || status.writers) && self.is_long(self.started, self.times.lease) {
            actions.push(Action::Database(Command::Close));
        }
        if status.open || status.writers {
            return;
        }
        let peer = self.heard.get(&self.own.peer()).and_then(|heard| heard.alive.has_data);
        let is_first_day = self.is_empty && self.all_vote();
        let (true, Some(peer_has_data)) = (is_first_day, peer) else { return };
        match (status.data, peer_has_data) {
            (Data::Some, true) if self.is_forced => {
                let to = Config::first(self.own).of_this_history();
                self.begin(Operation::CompareAndSwap { from: None, to }, actions);
            }
            (Data::Some, true) => self.need = Some(Need::TwoHistories),
            (Data::Some, false) => {
                let to = Config::first(self.own);
                self.begin(Operation::CompareAndSwap { from: None, to }, actions);
            }
            (Data::None, false) if self.own == DATABASES[0] => {
                actions.push(Action::Database(Command::Found));
            }
            (Data::None, _) => {}
        }
    }

    /// This database is the primary.
    pub(super) fn lead(&mut self, config: Config, status: Status, actions: &mut Vec<Action>) {
        self.is_forced = false;
        if status.data == Data::None {
            // The other one takes over, if it has everything; unless that is blank, too.
            let peer = self.heard.get(&self.own.peer()).and_then(|heard| heard.alive.has_data);
            if !config.both || peer == Some(false) {
                self.need = Some(Need::DataLost);
            }
            return;
        }
        if !config.both && self.is_long(self.closed_since, self.times.lease) {
            self.need = Some(Need::CannotOpen);
        }
        // The other one may have taken over meanwhile: what is read here may be old.
        let is_cut_off = self.is_long(self.isolated_since, self.times.lease);
        let may_be_deposed = is_cut_off && (config.both || self.in_doubt);
        if !status.open || may_be_deposed {
            self.joining = None;
            self.unfollowed_since = None;
            match (status.open, may_be_deposed) {
                (true, _) => actions.push(Action::Database(Command::Close)),
                (false, false) => self.open(config, status, actions),
                (false, true) => {}
            }
            return;
        }
        if status.replication != Replication::Stopped {
            actions.push(Action::Database(Command::StopFollowing));
            return;
        }
        self.opens_unapplied = false;
        self.both_since = self.since(self.both_since, config.both);
        self.unfollowed_since = self.since(self.unfollowed_since, !status.replica_follows);
        if config.both {
            self.joining = None;
            if self.is_long(self.both_since, 20 * self.times.lease) {
                self.join_pause = 0;
            }
            if !status.waits {
                actions.push(Action::Database(Command::Wait));
            }
            let is_lost = self.is_long(self.unfollowed_since, self.times.stalled);
            // Who is about to be stopped leaves the role to the other one, if that is there.
            let hands_over = self.leaves && self.hears_fit(self.own.peer());
            if (status.stalled >= self.times.stalled || is_lost) && !hands_over {
                self.join_after = self.now + self.join_pause.max(self.times.stalled);
                self.change(config, config.alone(), actions);
            }
        } else {
            self.lead_alone(config, status, actions);
        }
    }

    /// Nothing is received any more, and all is applied; then writes are taken. Always alone: what
    /// was in MariaDB's log when it ended may be cut off it, and the replica may have it. Its
    /// first transaction has a number that was never given, so that the two are told apart.
    pub(super) fn open(&mut self, config: Config, status: Status, actions: &mut Vec<Action>) {
        if self.in_doubt {
            return;
        }
        if config.both {
            // Else the other one takes over: it has everything.
            if status.writable {
                self.change(config, config.alone(), actions);
            }
            return;
        }
        if self.is_restored && !config.is_forced() {
            self.change(config, config.alone().of_this_history(), actions);
            return;
        }
        // The address need not wait for what is done in a moment.
        self.takes_over = status.writable && !self.is_long(self.closed_since, self.times.lease);
        let command = if status.replication != Replication::Stopped {
            Command::StopFollowing
        } else if !status.applied && !self.opens_unapplied {
            return;
        } else if status.waits {
            Command::NoWait
        } else if config.is_forced() {
            Command::OpenAnew
        } else {
            Command::Open
        };
        actions.push(Action::Database(command));
    }

    /// Nobody has what is acknowledged, until the replica is there again: commits wait for it
    /// first, then it has all that was acknowledged before, then the register says so.
    pub(super) fn lead_alone(&mut self, config: Config, status: Status, actions: &mut Vec<Action>) {
        let is_there = status.replica_follows && self.hears_fit(self.own.peer());
        let may_join = self.joining == Some(config.epoch);
        match (status.waits, is_there) {
            (false, false) => self.joining = None,
            // It was too far behind a moment ago: writes would stall again.
            (false, true) if self.now < self.join_after => self.joining = None,
            (false, true) => {
                self.joining = Some(config.epoch);
                actions.push(Action::Database(Command::Wait));
            }
            // The replica may have lost what it had proved to have: then it has made a new epoch.
            (true, true) if may_join && status.stalled < self.times.stalled => {
                if status.replica_has_all {
                    self.change(config, config.joined(), actions);
                }
            }
            // Not while a change to both may have been chosen: then others would count on it.
            (true, _) => {
                if self.joining.is_some() {
                    let longest = 20 * self.times.lease;
                    self.join_pause = (2 * self.join_pause).clamp(self.times.stalled, longest);
                    self.join_after = self.now + self.join_pause;
                }
                self.joining = None;
                if !self.in_doubt {
                    actions.push(Action::Database(Command::NoWait));
                }
            }
        }
    }

    /// The other database is the primary.
    pub(super) fn follow(&mut self, config: Config, status: Status, actions: &mut Vec<Action>) {
        self.joining = None;
        self.unfollowed_since = None;
        if status.replication == Replication::Copying {
            self.stepped_out = None;
        }
        if status.open || status.writers {
            actions.push(Action::Database(Command::Close));
            return;
        }
        // Nobody follows this one: what it applies would wait, too.
        if status.waits {
            actions.push(Action::Database(Command::NoWait));
            return;
        }
        let primary_is_there = self.hears_fit(config.primary);
        let in_sync = config.in_sync(self.own) && status.data == Data::Some;
        // An agent that has just started has heard nobody yet.
        let listens = self.is_long(self.started, self.times.gone);
        let is_gone = listens && !primary_is_there && !self.is_heard_by_others(config.primary);
        // A person's word is of a primary that is lost.
        self.is_forced &= !primary_is_there;
        // It may have lost what it had received, and may be counted on for that, or soon be: the
        // primary's request to join it, from before, must fail.
        let restarted = status.data == Data::Some && status.replication == Replication::Restarted;
        if restarted && self.stepped_out != Some(config) {
            self.step_out(config, actions);
            return;
        }
        // What it has and the primary has not, it received to be acknowledged.
        let must = is_gone || status.replication == Replication::Parted;
        let is_forced = self.is_forced && is_gone && status.data == Data::Some;
        if (in_sync && must && status.writable) || is_forced {
            if status.cannot_apply {
                self.need = Some(Need::MayLackWrites);
            }
            self.take_over(config, status, actions);
            return;
        }
        if is_gone {
            self.need = Some(Need::MayLackWrites);
        }
        // Its data is about to be given up: nobody may count on it, or soon do so.
        let cannot_go_on = status.cannot_apply && !status.applied;
        let gives_up = matches!(status.replication, Replication::Parted | Replication::Broken)
            || (status.replication == Replication::Stopped && cannot_go_on);
        if status.data == Data::Some && gives_up && self.stepped_out != Some(config) {
            self.step_out(config, actions);
            return;
        }
        // A takeover that may have been chosen was asked for with what was applied then: what is
        // received now would be acknowledged, and lost in a crash.
        if self.in_doubt {
            return;
        }
        let command = match (status.data, status.replication) {
            (_, Replication::Copying) => return,
            // Its readers go before: what they see will not change until the copy is there.
            _ if (gives_up || status.data == Data::None) && primary_is_there => {
                if status.readers {
                    Command::LockReaders
                } else {
                    Command::Copy(config.primary)
                }
            }
            // What waits to be applied would be deleted.
            (Data::Some, Replication::Stopped) if !status.applied => return,
            (Data::Some, Replication::Stopped | Replication::Restarted) => {
                Command::Follow(config.primary)
            }
            (Data::None, _) | (Data::Some, _) => return,
        };
        // A copy that fails is tried again; nobody counts on this database meanwhile.
        if command == Command::Follow(config.primary) {
            self.stepped_out = None;
        }
        actions.push(Action::Database(command));
    }

    /// The register gets a value of a new epoch in which this database does not count.
    fn step_out(&mut self, config: Config, actions: &mut Vec<Action>) {
        self.stepped_out = Some(config.alone());
        self.change(config, config.alone(), actions);
    }

    pub(super) fn take_over(&mut self, config: Config, status: Status, actions: &mut Vec<Action>) {
        self.takes_over = true;
        // Applied before it is asked for: a primary that crashes has what it has applied.
        if status.replication != Replication::Stopped {
            actions.push(Action::Database(Command::StopFollowing));
        } else if status.applied && config.in_sync(self.own) {
            self.change(config, config.taken_over(), actions);
        } else if self.is_forced && (status.applied || status.cannot_apply) {
            self.opens_unapplied = !status.applied;
            self.change(config, config.forced(), actions);
        }
    }

    /// Whether a witness hears the database, and that it is fit: it will go alone by itself.
    pub(super) fn is_heard_by_others(&self, database: Node) -> bool {
        self.heard.iter().any(|(node, heard)| {
            !node.is_database() && self.hears(*node) && heard.alive.hears[usize::from(database.0)]
        })
    }

    pub(super) fn change(&mut self, from: Config, to: Config, actions: &mut Vec<Action>) {
        self.begin(Operation::CompareAndSwap { from: Some(from), to }, actions);
    }

    /// Readers get nothing that is old: a database that hears no majority may follow one that is
    /// not the primary any more. Not at once, as they have nowhere else to go while the role
    /// moves.
    pub(super) fn lock_readers(&mut self, status: Status, actions: &mut Vec<Action>) {
        self.stale_since = self.since(self.stale_since, !status.fresh);
        let is_old = self.is_long(self.stale_since, self.times.lease)
            || self.is_long(self.isolated_since, self.times.lease);
        if status.readers && is_old && !status.open {
            actions.push(Action::Database(Command::LockReaders));
        } else if !status.readers && status.fresh && !is_old {
            actions.push(Action::Database(Command::LetReadersIn));
        }
    }
}
