use super::super::frame::tests::{A, B, arp_frame, ethernet, ipv4_frame};
use super::super::observation::AddressMessage;
use super::*;
use std::time::Duration;

const C: Mac = Mac([2, 0, 0, 0, 0, 0xc]);
const X: [u8; 4] = [172, 16, 0, 10];
const Y: [u8; 4] = [172, 16, 0, 11];

/// A switch with three ports: A at 0, B at 1, C at 2.
fn three() -> (Switch, Instant) {
    let mut switch = Switch::new(1);
    for name in ["web1", "web2", "users"] {
        switch.add_port(name);
    }
    (switch, Instant::now())
}

fn plain(to: Mac, from: Mac) -> Frame {
    ethernet(to, from, 0x88b5, b"hello")
}

/// The ports that get a frame that is sent now.
fn reached(switch: &mut Switch, now: Instant, port: usize, frame: Frame) -> Vec<usize> {
    switch.sent(now, port, frame);
    switch.due(now).into_iter().map(|(port, _)| port).collect()
}

#[test]
fn floods_what_it_does_not_know_and_learns() {
    let (mut switch, now) = three();
    assert_eq!(reached(&mut switch, now, 0, plain(B, A)), [1, 2]);
    assert_eq!(reached(&mut switch, now, 1, plain(A, B)), [0], "A was learnt");
    assert_eq!(reached(&mut switch, now, 0, plain(B, A)), [1], "B was learnt");
    assert_eq!(reached(&mut switch, now, 0, plain(Mac::BROADCAST, A)), [1, 2]);
    let vrrp = Mac([1, 0, 0x5e, 0, 0, 18]);
    assert_eq!(reached(&mut switch, now, 1, plain(vrrp, B)), [0, 2], "multicast is flooded");
    assert_eq!(reached(&mut switch, now, 0, plain(A, A)), [0; 0], "nothing goes back");
    let later = now + Duration::from_secs(301);
    assert_eq!(reached(&mut switch, later, 0, plain(B, A)), [1, 2], "B was forgotten");
}

#[test]
fn an_address_moves_with_its_announcement() {
    let (mut switch, now) = three();
    reached(&mut switch, now, 0, plain(Mac::BROADCAST, A));
    assert_eq!(reached(&mut switch, now, 2, plain(A, C)), [0]);
    let announcement = arp_frame(Mac::BROADCAST, A, true, [X, X]);
    assert_eq!(reached(&mut switch, now, 1, announcement), [0, 2]);
    assert_eq!(reached(&mut switch, now, 2, plain(A, C)), [1], "A is at web2 now");
    let seen: Vec<&Observation> = switch.log.all().collect();
    let expected = Observation {
        at: now,
        port: "web2".to_owned(),
        mac: A,
        message: AddressMessage::Announcement(X.into()),
    };
    assert_eq!(seen, [&expected]);
}

#[test]
fn a_disconnected_link_is_silent_in_its_direction() {
    let (mut switch, now) = three();
    switch.set_impairment(0, Direction::FromMachine, Impairment::disconnected());
    assert_eq!(reached(&mut switch, now, 0, plain(Mac::BROADCAST, A)), [0; 0]);
    assert_eq!(reached(&mut switch, now, 1, plain(Mac::BROADCAST, B)), [0, 2]);
    switch.set_impairment(0, Direction::Both, Impairment::disconnected());
    assert_eq!(reached(&mut switch, now, 1, plain(Mac::BROADCAST, B)), [2]);
    switch.set_impairment(0, Direction::Both, Impairment::none());
    assert_eq!(reached(&mut switch, now, 0, plain(Mac::BROADCAST, A)), [1, 2]);
}

#[test]
fn delays_add_up_and_keep_the_order() {
    let (mut switch, now) = three();
    let delay = Duration::from_millis(30);
    switch.set_impairment(0, Direction::FromMachine, Impairment { delay, ..Impairment::none() });
    switch.set_impairment(1, Direction::ToMachine, Impairment { delay, ..Impairment::none() });
    let frames = [plain(Mac::BROADCAST, A), ethernet(Mac::BROADCAST, A, 0x88b5, b"second")];
    frames.iter().for_each(|frame| switch.sent(now, 0, frame.clone()));
    assert_eq!(switch.due(now), []);
    assert_eq!(switch.next(), Some(now + delay));
    let ports =
        |due: Vec<(usize, Frame)>| due.into_iter().map(|(port, _)| port).collect::<Vec<_>>();
    assert_eq!(ports(switch.due(now + delay)), [2, 2]);
    let [first, second] = frames;
    assert_eq!(switch.due(now + delay * 2), [(1, first), (1, second)]);
    assert_eq!(switch.next(), None);
}

#[test]
fn duplicates_come_twice() {
    let (mut switch, now) = three();
    switch.set_impairment(
        0,
        Direction::FromMachine,
        Impairment { duplicate: 1.0, ..Impairment::none() },
    );
    switch.set_groups(vec![[0, 1].into(), [2].into()]);
    assert_eq!(reached(&mut switch, now, 0, plain(Mac::BROADCAST, A)), [1, 1]);
}

#[test]
fn the_same_seed_loses_the_same_frames() {
    let run = |seed| {
        let mut switch = Switch::new(seed);
        for name in ["web1", "web2"] {
            switch.add_port(name);
        }
        switch.set_impairment(
            1,
            Direction::ToMachine,
            Impairment { loss: 0.5, ..Impairment::none() },
        );
        let now = Instant::now();
        (0..100).map(|_| reached(&mut switch, now, 0, plain(B, A)).len()).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn groups_are_apart_and_the_others_reach_all() {
    let (mut switch, now) = three();
    switch.set_groups(vec![[0].into(), [1].into()]);
    assert_eq!(reached(&mut switch, now, 0, plain(Mac::BROADCAST, A)), [2]);
    assert_eq!(reached(&mut switch, now, 2, plain(Mac::BROADCAST, C)), [0, 1]);
    assert_eq!(reached(&mut switch, now, 1, plain(A, B)), [0; 0]);
    switch.set_groups(Vec::new());
    assert_eq!(reached(&mut switch, now, 1, plain(A, B)), [0]);
}

#[test]
fn the_observer_is_behind_no_port() {
    let (mut switch, now) = three();
    let answer = arp_frame(OBSERVER, A, false, [X, [0; 4]]);
    assert_eq!(reached(&mut switch, now, 0, answer), [0; 0]);
    assert_eq!(switch.log.all().count(), 1);
    switch.ask(now, &plain(Mac::BROADCAST, OBSERVER));
    assert_eq!(switch.due(now).len(), 3);
}

#[test]
fn a_provider_filters_and_routes() {
    let (mut switch, now) = three();
    let rules = Provider::new()
        .allow("web1", [Y.into()])
        .allow("web2", [[172, 16, 0, 12].into()])
        .floating(X.into(), "web1");
    switch.provider = Some(rules);
    let stolen = arp_frame(Mac::BROADCAST, B, true, [X, X]);
    assert_eq!(reached(&mut switch, now, 1, stolen), [0; 0]);
    assert_eq!(switch.log.all().count(), 0, "what the provider drops was never seen");
    let own = arp_frame(Mac::BROADCAST, A, true, [X, X]);
    assert_eq!(reached(&mut switch, now, 0, own), [1, 2]);
    reached(&mut switch, now, 1, plain(Mac::BROADCAST, B));
    // The user has learnt A; the API has moved the address to web2 since.
    assert!(switch.provider.as_mut().unwrap().move_to(X.into(), "web2"));
    switch.sent(now, 2, ipv4_frame((A, C), [[172, 16, 255, 1], X], 6, b""));
    let due = switch.due(now);
    let [(1, frame)] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!(frame[..6], B.0);
}

#[test]
fn noise_is_no_frame() {
    let (mut switch, now) = three();
    assert_eq!(reached(&mut switch, now, 0, (*b"short").into()), [0; 0]);
}
