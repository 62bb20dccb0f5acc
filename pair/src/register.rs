//! One value that all voters agree on, changed by compare-and-swap: CASPaxos (Rystsov 2018,
//! <https://arxiv.org/abs/1802.07000>), which is Paxos for a single register without a log.
//! A voter that has lost its state votes on nothing until it has asked all others for theirs.

use crate::config::{Config, Members, Node};
use std::collections::BTreeSet;

/// Orders rounds: by number, then by proposer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The number.
    pub number: u64,
    /// The proposer.
    pub by: Node,
}

impl Ballot {
    /// Before all.
    pub const NONE: Ballot = Ballot { number: 0, by: Node(0) };
}

/// The state of an acceptor: on disk before any reply leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptor {
    /// It takes part in no older round than this.
    pub promised: Ballot,
    /// The newest value that it has accepted, and in which round.
    pub accepted: Option<(Ballot, Config)>,
}

impl Acceptor {
    /// Never asked for anything.
    pub const EMPTY: Acceptor = Acceptor { promised: Ballot::NONE, accepted: None };

    /// Whether nobody has ever asked for anything.
    pub fn is_empty(self) -> bool {
        self == Acceptor::EMPTY
    }

    /// Replies to a request; the state must be on disk before the reply leaves.
    pub fn reply(&mut self, request: Request) -> Reply {
        let (Request::Prepare(ballot) | Request::Accept(ballot, _)) = request;
        let too_old = match request {
            Request::Prepare(_) => ballot <= self.promised,
            Request::Accept(..) => ballot < self.promised,
        };
        if too_old {
            return Reply::TooOld { ballot, promised: self.promised };
        }
        self.promised = ballot;
        match request {
            Request::Prepare(_) => Reply::Promise { ballot, accepted: self.accepted },
            Request::Accept(_, config) => {
                self.accepted = Some((ballot, config));
                Reply::Accepted { ballot }
            }
        }
    }

    /// The state of a voter that has lost its own, from those of all others, which have
    /// ended their rounds: what it may have taken part in is among theirs, or is too old from
    /// now on.
    pub fn of_others(others: impl IntoIterator<Item = Acceptor>) -> Acceptor {
        let mut all = Acceptor::EMPTY;
        for one in others {
            all.promised = all.promised.max(one.promised);
            let newer = |(ballot, _): &(Ballot, Config)| {
                all.accepted.is_none_or(|(known, _)| *ballot > known)
            };
            all.accepted = one.accepted.filter(newer).or(all.accepted);
        }
        if !all.is_empty() {
            all.promised.number += 1;
        }
        all
    }
}

/// From a proposer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Take part in nothing older, and say what was accepted.
    Prepare(Ballot),
    /// Accept this value.
    Accept(Ballot, Config),
}

/// From an acceptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// To [`Request::Prepare`].
    Promise {
        /// Of the request.
        ballot: Ballot,
        /// What it has accepted before.
        accepted: Option<(Ballot, Config)>,
    },
    /// To [`Request::Accept`].
    Accepted {
        /// Of the request.
        ballot: Ballot,
    },
    /// It has promised to take part in nothing as old.
    TooOld {
        /// Of the request.
        ballot: Ballot,
        /// What it has promised.
        promised: Ballot,
    },
}

/// What is done to the register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Know its value.
    Read,
    /// Put a value in the place of another; of none, if it is the first.
    CompareAndSwap {
        /// What must be there.
        from: Option<Config>,
        /// What is to be there.
        to: Config,
    },
}

/// A round that is under way.
#[derive(Debug, Clone)]
pub struct Round {
    ballot: Ballot,
    operation: Operation,
    /// When it began.
    pub since: u64,
    promised_by: BTreeSet<Node>,
    newest: Option<(Ballot, Config)>,
    proposal: Option<Config>,
    accepted_by: BTreeSet<Node>,
}

/// What came of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More replies are needed.
    Waiting,
    /// A majority has promised: ask all this.
    Ask(Request),
    /// This value holds, whoever put it there; none was there yet, for who wanted to read.
    Chosen(Option<Config>),
    /// There is a newer round.
    Overtaken(Ballot),
}

impl Round {
    /// A new one; ask all voters [`Request::Prepare`] with its ballot.
    pub fn new(ballot: Ballot, now: u64, operation: Operation) -> Round {
        Round {
            ballot,
            operation,
            since: now,
            promised_by: BTreeSet::new(),
            newest: None,
            proposal: None,
            accepted_by: BTreeSet::new(),
        }
    }

    /// The first request.
    pub fn request(&self) -> Request {
        Request::Prepare(self.ballot)
    }

    /// Takes a reply. `quorum` votes are enough: more than half, or one of two databases whose
    /// other one is lost.
    pub fn take(&mut self, from: Node, reply: Reply, members: Members, quorum: usize) -> Progress {
        match reply {
            Reply::Promise { ballot, accepted } if ballot == self.ballot => {
                if self.proposal.is_some() {
                    return Progress::Waiting;
                }
                self.promised_by.insert(from);
                self.newest = self.newest.max_by_ballot(accepted);
                // The first value of all is known to all: else who lost its state could not
                // tell from the others' that there had been one.
                let is_first =
                    matches!(self.operation, Operation::CompareAndSwap { from: None, .. })
                        && self.newest.is_none();
                let wanted = if is_first { members.count() } else { quorum };
                if self.promised_by.len() < wanted {
                    return Progress::Waiting;
                }
                let current = self.newest.map(|(_, config)| config);
                let next = match self.operation {
                    Operation::CompareAndSwap { from, to } if from == current => Some(to),
                    Operation::CompareAndSwap { .. } | Operation::Read => current,
                };
                // A value that a majority may not have is written again, so that it does.
                let Some(next) = next else { return Progress::Chosen(None) };
                self.proposal = Some(next);
                Progress::Ask(Request::Accept(self.ballot, next))
            }
            Reply::Accepted { ballot } if ballot == self.ballot => {
                self.accepted_by.insert(from);
                if self.accepted_by.len() < quorum {
                    return Progress::Waiting;
                }
                Progress::Chosen(self.proposal)
            }
            // To this very round: the request came twice.
            Reply::TooOld { ballot, promised } if ballot == self.ballot && promised != ballot => {
                Progress::Overtaken(promised)
            }
            Reply::Promise { .. } | Reply::Accepted { .. } | Reply::TooOld { .. } => {
                Progress::Waiting
            }
        }
    }
}

trait MaxByBallot {
    fn max_by_ballot(self, other: Self) -> Self;
}

impl MaxByBallot for Option<(Ballot, Config)> {
    fn max_by_ballot(self, other: Self) -> Self {
        match (self, other) {
            (Some(own), Some(new)) => Some(if new.0 > own.0 { new } else { own }),
            (own, new) => own.or(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Node = Node(0);
    const B: Node = Node(1);
    const W: Node = Node(2);

    fn config(epoch: u64) -> Config {
        Config { epoch, primary: A, both: false }
    }

    #[test]
    fn a_value_that_a_majority_may_have_is_kept() {
        let members = Members::with_witnesses(1);
        let old = Ballot { number: 1, by: B };
        let mut w = Acceptor { promised: old, accepted: Some((old, config(7))) };
        let mut a = Acceptor::EMPTY;
        let ballot = Ballot { number: 2, by: A };
        let mut round = Round::new(ballot, 0, Operation::Read);
        assert_eq!(round.take(A, a.reply(round.request()), members, 2), Progress::Waiting);
        let accept = Request::Accept(ballot, config(7));
        assert_eq!(round.take(W, w.reply(round.request()), members, 2), Progress::Ask(accept));
        // Twice is once, also where it is refused the second time.
        assert_eq!(round.take(W, w.reply(round.request()), members, 2), Progress::Waiting);
        assert_eq!(round.take(W, w.reply(accept), members, 2), Progress::Waiting);
        assert_eq!(round.take(W, w.reply(accept), members, 2), Progress::Waiting);
        assert_eq!(round.take(A, a.reply(accept), members, 2), Progress::Chosen(Some(config(7))));
        let newer = Ballot { number: 3, by: B };
        w.reply(Request::Prepare(newer));
        assert_eq!(round.take(W, w.reply(accept), members, 2), Progress::Overtaken(newer));
    }

    #[test]
    fn the_first_value_is_known_to_all() {
        let members = Members::with_witnesses(1);
        let first = Operation::CompareAndSwap { from: None, to: config(1) };
        let mut round = Round::new(Ballot { number: 1, by: A }, 0, first);
        let request = round.request();
        for node in [A, B] {
            let mut empty = Acceptor::EMPTY;
            let reply = empty.reply(request);
            assert_eq!(round.take(node, reply, members, 2), Progress::Waiting);
        }
        let mut empty = Acceptor::EMPTY;
        let asked = round.take(W, empty.reply(request), members, 2);
        assert!(matches!(asked, Progress::Ask(Request::Accept(_, to)) if to == config(1)));
    }

    /// What a voter promised before it lost its state binds it after.
    #[test]
    fn a_lost_promise_is_not_made_again() {
        let (old, accepted) = (Ballot { number: 3, by: A }, Ballot { number: 5, by: B });
        let a = Acceptor { promised: old, accepted: Some((old, config(3))) };
        let b = Acceptor { promised: accepted, accepted: None };
        let mut w = Acceptor::of_others([a, b]);
        assert_eq!(w.accepted, Some((old, config(3))));
        let late = w.reply(Request::Accept(accepted, config(4)));
        assert!(matches!(late, Reply::TooOld { .. }), "{late:?}");
        assert!(Acceptor::of_others([Acceptor::EMPTY; 2]).is_empty());
    }
}
