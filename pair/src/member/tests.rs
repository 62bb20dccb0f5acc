//! Single voters, without the simulator.

use super::*;
use crate::register::{Ballot, Reply, Request};

const A: Node = Node(0);
const W: Node = Node(2);

fn asked(actions: &[Action]) -> Vec<Request> {
    let request = |action: &Action| match action {
        Action::Send(W, Message::Request(request)) => Some(*request),
        _ => None,
    };
    actions.iter().filter_map(request).collect()
}

/// A database with a register, whose round is under way: it asks everybody to promise.
fn asking() -> (Member, Ballot) {
    let ballot = Ballot { number: 1, by: A };
    let config = Config { epoch: 1, primary: A, both: false };
    let acceptor = Acceptor { promised: ballot, accepted: Some((ballot, config)) };
    let members = Members::with_witnesses(1);
    let mut member = Member::new(A, members, Times::default(), Some(acceptor), 9);
    let actions = member.handle(Event::Tick { now: 1, database: None, is_connected: false });
    let [Request::Prepare(ballot)] = asked(&actions)[..] else { panic!("{actions:?}") };
    (member, ballot)
}

fn promise(ballot: Ballot) -> Event {
    let message = Message::Reply(Reply::Promise { ballot, accepted: None });
    Event::Message { from: W, message }
}

/// The promise of a voter that has forgotten it does not count.
#[test]
fn a_round_ends_when_a_voter_has_lost_its_state() {
    let (mut member, ballot) = asking();
    let actions = member.handle(promise(ballot));
    assert!(matches!(asked(&actions)[..], [Request::Accept(..)]), "{actions:?}");

    let (mut member, ballot) = asking();
    let recover = Message::Recover { number: 4 };
    let actions = member.handle(Event::Message { from: W, message: recover });
    let Some(Action::Send(W, Message::Recovered { number: 4, state: Some(state) })) =
        actions.last()
    else {
        panic!("{actions:?}")
    };
    assert_eq!(state.promised, ballot);
    assert_eq!(asked(&member.handle(promise(ballot))), []);
}

/// A primary that takes writes, and whose replica follows.
const OPEN: Status = Status {
    data: Data::Some,
    open: true,
    waits: false,
    writers: false,
    replication: crate::database::Replication::Stopped,
    applied: true,
    cannot_apply: false,
    writable: true,
    readers: true,
    fresh: true,
    replica_has_all: false,
    replica_follows: true,
    stalled: 0,
};

/// A tick in which the replica is heard with this value, and what the others vote for then.
fn turn(member: &mut Member, now: u64, status: Status, config: Config) -> Vec<Command> {
    let tick = Event::Tick { now, database: Some(status), is_connected: false };
    let mut actions = VecDeque::from(member.handle(tick));
    let mut commands = Vec::new();
    while let Some(action) = actions.pop_front() {
        let (from, message) = match action {
            Action::Database(command) => {
                commands.push(command);
                continue;
            }
            Action::Send(W, Message::Request(Request::Prepare(ballot))) => {
                let newest = Ballot { number: ballot.number - 1, by: A.peer() };
                let accepted = Some((newest, config));
                (W, Message::Reply(Reply::Promise { ballot, accepted }))
            }
            Action::Send(W, Message::Request(Request::Accept(ballot, _))) => {
                (W, Message::Reply(Reply::Accepted { ballot }))
            }
            Action::Send(to, Message::Alive(own)) if to == A.peer() => {
                let (config, has_data) = (Some(config), Some(true));
                let heard = Alive { number: now, echo: own.number, config, has_data, ..own };
                (to, Message::Alive(heard))
            }
            _ => continue,
        };
        actions.extend(member.handle(Event::Message { from, message }));
    }
    commands
}

/// A replica that has proved to have everything, and was started anew after that, may have
/// lost it: it says so by a new epoch, and has to prove it again.
#[test]
fn a_proof_is_of_one_epoch() {
    let first = Config { epoch: 1, primary: A, both: false };
    let has_all = Status { waits: true, replica_has_all: true, ..OPEN };
    for (heard, then) in [(first, Vec::new()), (first.alone(), vec![Command::NoWait])] {
        let mut member = Member::new(A, Members::with_witnesses(1), Times::default(), None, 9);
        member.acceptor = Some(Acceptor { promised: Ballot { number: 1, by: A }, accepted: None });
        let begins = (0..6).map(|turn_of| turn(&mut member, turn_of * 100, OPEN, first));
        assert_eq!(begins.last(), Some(vec![Command::Wait]), "{:?}", member.known());
        // The register is read when something newer is heard of.
        let not_yet = Status { waits: true, ..OPEN };
        turn(&mut member, 600, not_yet, heard);
        turn(&mut member, 700, not_yet, heard);
        assert_eq!(member.known(), Some(heard));
        assert_eq!(turn(&mut member, 800, has_all, heard), then);
        assert_eq!(member.known().is_some_and(|one| one.both), then.is_empty());
    }
}

/// Replies of before its last request are no replies to it.
#[test]
fn a_lost_state_is_recovered_from_one_request() {
    let members = Members::with_witnesses(1);
    let mut member = Member::new(W, members, Times::default(), None, 70);
    let recovered = |number| {
        let state = Some(Acceptor { promised: Ballot { number: 8, by: A }, accepted: None });
        Message::Recovered { number, state }
    };
    member.handle(Event::Tick { now: 0, database: None, is_connected: false });
    member.handle(Event::Message { from: A, message: recovered(71) });
    member.handle(Event::Tick { now: 1000, database: None, is_connected: false });
    let actions = member.handle(Event::Message { from: A.peer(), message: recovered(71) });
    assert_eq!(actions, []);
    member.handle(Event::Message { from: A, message: recovered(72) });
    let actions = member.handle(Event::Message { from: A.peer(), message: recovered(72) });
    let promised = Ballot { number: 9, by: A };
    assert_eq!(actions, [Action::Save(Acceptor { promised, accepted: None })]);
}
