//! Signs of life: what is said to the other voters, and who is heard.

use super::Action;
use super::{Heard, Member};
use crate::config::{Config, DATABASES, Node};
use crate::database::{Data, Replication, Status};
use crate::message::{Alive, Message};

impl Member {
    pub(super) fn hear(&mut self, from: Node, alive: Alive) {
        let echoed = self.sent.iter().find(|(number, _)| *number == alive.echo);
        let echoed = echoed.map(|(_, at)| *at);
        let known = self.heard.get(&from);
        let (before, fit_before) = known.map_or((None, None), |heard| (heard.at, heard.fit_at));
        let is_late = echoed < before;
        if !is_late && from == self.own.peer() {
            self.silence = 0;
        }
        let fit_at = if alive.fit { fit_before.max(echoed) } else { fit_before };
        // What is older than what was heard last says nothing new; nor is it answered, while the
        // sender is heard: it would take our answers for old ones.
        let keeps = is_late && self.hears(from);
        let latest = known.filter(|_| keeps).map_or(alive.number, |heard| heard.alive.number);
        let alive = known.map_or(alive, |heard| if is_late { heard.alive } else { alive });
        let alive = Alive { number: latest, ..alive };
        self.heard.insert(from, Heard { at: before.max(echoed), fit_at, alive });
    }

    pub(super) fn beat(&mut self, actions: &mut Vec<Action>) {
        let accepted = self.acceptor.and_then(|acceptor| acceptor.accepted);
        let accepted = accepted.map(|(_, config)| config);
        let newer = |own: &Config| accepted.is_none_or(|other| own.epoch > other.epoch);
        self.beats = self.beats.wrapping_add(1);
        self.sent.push_back((self.beats, self.now));
        let oldest = self.now.saturating_sub(self.times.gone);
        self.sent.retain(|(_, at)| *at >= oldest);
        let alive = Alive {
            number: self.beats,
            echo: 0,
            votes: self.acceptor.is_some(),
            config: self.known.filter(newer).or(accepted),
            fit: self.is_fit(),
            leaves: self.leaves,
            has_data: self.has_data,
            hears: DATABASES.map(|node| node == self.own || self.hears_fit(node)),
        };
        for node in self.members.others(self.own) {
            let echo = self.heard.get(&node).map_or(0, |heard| heard.alive.number);
            actions.push(Action::Send(node, Message::Alive(Alive { echo, ..alive })));
        }
    }

    pub(super) fn send_others(&self, message: Message, actions: &mut Vec<Action>) {
        actions.extend(self.members.others(self.own).map(|node| Action::Send(node, message)));
    }

    /// Whether the own database may take writes as far as it can be seen from here.
    pub(super) fn is_fit(&self) -> bool {
        let usable = |status: Status| {
            let has_all = status.data == Data::Some && status.replication != Replication::Copying;
            has_all && status.writable
        };
        self.status.is_some_and(usable)
            && self.isolated_since.is_none()
            && !self.is_long(self.in_doubt_since, self.times.stalled)
            && !self.is_long(self.closed_since, self.times.lease)
    }

    /// Since when something is so, if it is so now.
    pub(super) fn since(&self, before: Option<u64>, is_so: bool) -> Option<u64> {
        is_so.then(|| before.unwrap_or(self.now))
    }

    pub(super) fn is_long(&self, since: Option<u64>, limit: u64) -> bool {
        since.is_some_and(|since| self.now >= since + limit)
    }

    pub(super) fn hears(&self, node: Node) -> bool {
        let at = self.heard.get(&node).and_then(|heard| heard.at);
        at.is_some_and(|at| self.now < at + self.times.gone)
    }

    /// Whether a database was fit lately: a command that takes a moment does not count against
    /// it.
    pub(super) fn hears_fit(&self, node: Node) -> bool {
        let Some(heard) = self.heard.get(&node) else { return false };
        !heard.alive.leaves && heard.fit_at.is_some_and(|at| self.now < at + self.times.gone)
    }

    pub(super) fn is_heard_to_vote(&self, node: Node) -> bool {
        self.hears(node) && self.heard.get(&node).is_some_and(|heard| heard.alive.votes)
    }

    pub(super) fn all_vote(&self) -> bool {
        let votes = |node| self.heard.get(&node).is_some_and(|heard| heard.alive.votes);
        self.members.others(self.own).all(|node| self.hears(node) && votes(node))
    }

    pub(super) fn hears_majority(&self) -> bool {
        let others = self.members.others(self.own).filter(|node| self.hears(*node)).count();
        others + 1 >= self.quorum()
    }

    /// How many votes are enough.
    pub(super) fn quorum(&self) -> usize {
        if self.takes_peer_for_lost() { 1 } else { self.members.majority() }
    }

    /// Two databases without a witness: the other one's vote is not waited for when it is silent
    /// on every network, and this machine is not. Only by one that has heard since its start
    /// what the other one knew, or a person.
    fn takes_peer_for_lost(&self) -> bool {
        let knows = self.has_met || self.is_forced;
        let is_alone = self.members.count() == 2 && self.is_connected;
        is_alone && knows && self.silence >= self.times.gone
    }

    /// A machine that stood still, or was cut off itself, has not watched: what was sent
    /// meanwhile is heard first.
    pub(super) fn watch_peer(&mut self, now: u64, is_connected: bool) {
        let passed = now.saturating_sub(self.now).min(self.times.beat);
        self.silence = if is_connected { self.silence.saturating_add(passed) } else { 0 };
        self.is_connected = is_connected;
    }
}
