//! The register, from a voter's side: its rounds, and how a lost state is recovered.

use super::{Action, Member, Need, Recovery};
use crate::config::Node;
use crate::message::Message;
use crate::register::{Acceptor, Ballot, Operation, Progress, Reply, Request, Round};
use std::collections::BTreeMap;

impl Member {
    /// Asks all others for their states: again and again, with a new number each time, as all
    /// must have answered the same request.
    pub(super) fn recover(&mut self, actions: &mut Vec<Action>) {
        let is_due = |at: u64| self.now >= at + self.times.round;
        if self.recovery.asked_at.is_none_or(is_due) {
            let number = self.recovery.number.wrapping_add(1);
            let (asked_at, since) = (Some(self.now), self.recovery.since.or(Some(self.now)));
            self.recovery = Recovery { number, since, asked_at, replies: BTreeMap::new() };
            self.send_others(Message::Recover { number }, actions);
        }
        if self.need.is_none() && self.is_long(self.recovery.since, self.times.lease) {
            self.need = Some(Need::VoterMissing);
        }
    }

    pub(super) fn try_recovery(&mut self, actions: &mut Vec<Action>) {
        let replies = &self.recovery.replies;
        if replies.len() < self.members.count() - 1 {
            return;
        }
        let known: Vec<Acceptor> = replies.values().flatten().copied().collect();
        let all_know = known.len() == replies.len();
        if all_know || known.iter().all(|one| one.is_empty()) || self.recovers_anyway {
            let is_majority = known.len() >= self.members.majority();
            let mut acceptor = Acceptor::of_others(known);
            if self.recovers_anyway && !is_majority {
                // What was decided last may be another value, which only those knew that have
                // forgotten it: nobody may count on both, and what the other one has is kept. As
                // if this voter had accepted that in a round of its own, which all find who ask
                // so many that it could have been chosen: those that still have to recover, too.
                acceptor.accepted = acceptor.accepted.map(|(_, config)| {
                    let ballot = Ballot { by: self.own, ..acceptor.promised };
                    (ballot, config.alone().of_this_history())
                });
                acceptor.promised.by = self.own;
            }
            self.recovers_anyway = false;
            self.acceptor = Some(acceptor);
            self.need = None;
            actions.push(Action::Save(acceptor));
        } else {
            self.need = Some(Need::RegisterLost);
        }
    }

    /// Begins a round, unless one is under way or it is too early.
    pub(super) fn begin(&mut self, operation: Operation, actions: &mut Vec<Action>) {
        let Some(acceptor) = &self.acceptor else { return };
        if self.round.is_some() || self.now < self.next_round {
            return;
        }
        // Nobody has ever asked anything: who still has to recover must find it so.
        if acceptor.is_empty() && !self.all_vote() {
            return;
        }
        let number = acceptor.promised.number.max(self.highest) + 1;
        let ballot = Ballot { number, by: self.own };
        let round = Round::new(ballot, self.now, operation);
        let request = round.request();
        self.in_doubt |= operation != Operation::Read;
        self.round = Some(round);
        self.ask_all(request, actions);
    }

    /// Asks all voters, oneself first.
    pub(super) fn ask_all(&mut self, request: Request, actions: &mut Vec<Action>) {
        let Some(acceptor) = &mut self.acceptor else { return };
        let reply = acceptor.reply(request);
        actions.push(Action::Save(*acceptor));
        self.send_others(Message::Request(request), actions);
        self.take_reply(self.own, reply, actions);
    }

    pub(super) fn take_reply(&mut self, from: Node, reply: Reply, actions: &mut Vec<Action>) {
        let quorum = self.quorum();
        let Some(round) = &mut self.round else { return };
        match round.take(from, reply, self.members, quorum) {
            Progress::Waiting => {}
            Progress::Ask(request) => self.ask_all(request, actions),
            Progress::Chosen(config) => {
                self.round = None;
                self.in_doubt = false;
                self.has_met = true;
                self.is_empty = config.is_none();
                self.known = config;
            }
            Progress::Overtaken(ballot) => {
                // The next round is newer than that one.
                self.highest = self.highest.max(ballot.number);
                self.end_round();
            }
        }
    }

    /// Gives the round up. Whoever tries at the same time waits for another time than we do.
    pub(super) fn end_round(&mut self) {
        if self.round.take().is_some() {
            self.next_round = self.now + self.times.beat * (1 + 2 * u64::from(self.own.0));
        }
    }
}
