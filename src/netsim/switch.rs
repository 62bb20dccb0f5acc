//! The switch of a segment, as a state machine without threads, sockets or a clock of its
//! own: frames go in with the time, and come out when they are due.

use super::capture::Capture;
use super::frame::{Frame, Headers, Mac};
use super::lease::Leases;
use super::link::{Direction, Impairment, Link, Passage};
use super::mac_table::MacTable;
use super::observation::{self, Log, Observation};
use super::provider::Provider;
use super::random::Random;
use super::router::{Routed, Router};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Instant;

/// The hardware address with which the segment itself asks who has an address. It is
/// behind no port: answers to it are seen and go nowhere.
pub(super) const OBSERVER: Mac = Mac([0x02, 0x69, 0x6d, 0x67, 0x00, 0x01]);

/// A switch, its cables, and what it saw.
#[derive(Debug)]
pub(super) struct Switch {
    ports: Vec<Port>,
    table: MacTable,
    groups: Vec<BTreeSet<usize>>,
    pub(super) provider: Option<Provider>,
    pub(super) leases: Option<Leases>,
    pub(super) router: Option<Router>,
    random: Random,
    agenda: BinaryHeap<Reverse<Event>>,
    number: u64,
    pub(super) log: Log,
    pub(super) capture: Option<Capture>,
}

#[derive(Debug)]
struct Port {
    name: String,
    from_machine: Link,
    to_machine: Link,
}

/// Where a frame will be at a time; ordered by time, then by number.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Instant,
    number: u64,
    place: PlaceOf,
    frame: Frame,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PlaceOf {
    /// It reaches the switch from this port.
    Switch(usize),
    /// It reaches the machine at this port.
    Machine(usize),
}

impl Switch {
    pub(super) fn new(seed: u64) -> Switch {
        Switch {
            ports: Vec::new(),
            table: MacTable::default(),
            groups: Vec::new(),
            provider: None,
            leases: None,
            router: None,
            random: Random::new(seed),
            agenda: BinaryHeap::new(),
            number: 0,
            log: Log::default(),
            capture: None,
        }
    }

    /// A new port; gives its number.
    pub(super) fn add_port(&mut self, name: &str) -> usize {
        let port =
            Port { name: name.to_owned(), from_machine: Link::new(), to_machine: Link::new() };
        self.ports.push(port);
        if let Some(capture) = &mut self.capture {
            capture.interface(name);
        }
        self.ports.len() - 1
    }

    pub(super) fn port(&self, name: &str) -> Option<usize> {
        self.ports.iter().position(|port| port.name == name)
    }

    pub(super) fn port_names(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(|port| port.name.as_str())
    }

    /// Sets what is wrong with a cable; what is on its way stays so.
    pub(super) fn set_impairment(
        &mut self,
        port: usize,
        direction: Direction,
        impairment: Impairment,
    ) {
        let Some(port) = self.ports.get_mut(port) else { return };
        if direction != Direction::ToMachine {
            port.from_machine.set(impairment);
        }
        if direction != Direction::FromMachine {
            port.to_machine.set(impairment);
        }
    }

    /// Frames pass only inside a group; ports in none pass all.
    pub(super) fn set_groups(&mut self, groups: Vec<BTreeSet<usize>>) {
        self.groups = groups;
    }

    /// The machine at `port` sends a frame.
    pub(super) fn sent(&mut self, now: Instant, port: usize, frame: Frame) {
        let passage = self.ports[port].from_machine.pass(now, frame.len(), &mut self.random);
        match passage {
            Passage::Arrives(at, copies) => {
                (0..copies).for_each(|_| self.plan(at, PlaceOf::Switch(port), &frame));
            }
            Passage::Dropped(why) => self.record(now, port, &frame, Some(why)),
        }
    }

    /// The segment itself sends a frame to all.
    pub(super) fn ask(&mut self, now: Instant, frame: &Frame) {
        (0..self.ports.len()).for_each(|port| self.leave(now, port, frame));
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.agenda.peek().map(|Reverse(event)| event.at)
    }

    /// All that reaches machines up to now, in order.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(usize, Frame)> {
        let mut out = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            let Some(Reverse(event)) = self.agenda.pop() else { break };
            match event.place {
                PlaceOf::Machine(port) => out.push((port, event.frame)),
                PlaceOf::Switch(port) => self.arrive(event.at, port, event.frame),
            }
        }
        out
    }

    fn plan(&mut self, at: Instant, place: PlaceOf, frame: &Frame) {
        self.number += 1;
        let event = Event { at, number: self.number, place, frame: Frame::clone(frame) };
        self.agenda.push(Reverse(event));
    }

    /// A frame has come through its cable.
    fn arrive(&mut self, now: Instant, port: usize, mut frame: Frame) {
        let Some(headers) = Headers::parse(&frame) else { return };
        if self.router.is_some() {
            return self.route(now, port, &headers, &frame);
        }
        let name = &self.ports[port].name;
        let refused = self.provider.as_ref().and_then(|rules| rules.refuses(name, &headers));
        self.record(now, port, &frame, refused);
        if refused.is_some() {
            return;
        }
        self.see(now, port, &headers);
        self.table.learn(headers.source, port, now);
        if let Some(answer) = self.leases.as_ref().and_then(|leases| leases.answer(&frame)) {
            self.leave(now, port, &answer);
        }
        let mut destination = headers.destination;
        if let Some(mac) = self.routed(&headers) {
            destination = mac;
            frame = with_destination(&frame, mac);
        }
        for to in self.ways(now, port, destination) {
            self.leave(now, to, &frame);
        }
    }

    /// A frame on a segment that is routed.
    fn route(&mut self, now: Instant, port: usize, headers: &Headers, frame: &Frame) {
        let Some(router) = &mut self.router else { return };
        // What the observer asked is answered by whoever has the address.
        let routed = if headers.destination == OBSERVER {
            Routed::Dropped("it is for the observer")
        } else {
            router.take(&self.ports[port].name, headers, frame)
        };
        let dropped = if let Routed::Dropped(why) = routed { Some(why) } else { None };
        self.record(now, port, frame, dropped);
        self.see(now, port, headers);
        let (to, frame) = match routed {
            Routed::Answer(answer) => (Some(port), answer),
            Routed::Pass(name, frame) | Routed::Ask(name, frame) => (self.port(&name), frame),
            Routed::Dropped(_) => return,
        };
        if let Some(to) = to.filter(|to| self.may_pass(port, *to)) {
            self.leave(now, to, &frame);
        }
    }

    fn see(&mut self, now: Instant, port: usize, headers: &Headers) {
        if let Some((mac, message)) = observation::in_frame(headers) {
            self.log.push(Observation {
                at: now,
                port: self.ports[port].name.clone(),
                mac,
                message,
            });
        }
    }

    /// The hardware address to which a provider routes a packet for a floating address.
    fn routed(&self, headers: &Headers) -> Option<Mac> {
        let address = headers.destination_address()?;
        let port = self.port(self.provider.as_ref()?.route(address)?)?;
        self.table.last_on(port)
    }

    /// The ports where a frame goes.
    fn ways(&self, now: Instant, from: usize, destination: Mac) -> Vec<usize> {
        if destination == OBSERVER {
            return Vec::new();
        }
        let all = 0..self.ports.len();
        let known = if destination.is_group() { None } else { self.table.port(destination, now) };
        all.filter(|to| *to != from && known.is_none_or(|one| one == *to))
            .filter(|to| self.may_pass(from, *to))
            .collect()
    }

    fn may_pass(&self, from: usize, to: usize) -> bool {
        let group = |port| self.groups.iter().position(|group| group.contains(&port));
        group(from).is_none() || group(to).is_none() || group(from) == group(to)
    }

    fn leave(&mut self, now: Instant, port: usize, frame: &Frame) {
        let passage = self.ports[port].to_machine.pass(now, frame.len(), &mut self.random);
        if let Passage::Arrives(at, copies) = passage {
            (0..copies).for_each(|_| self.plan(at, PlaceOf::Machine(port), frame));
        }
    }

    fn record(&mut self, now: Instant, port: usize, frame: &Frame, dropped: Option<&str>) {
        if let Some(capture) = &mut self.capture {
            let comment = dropped.map(|why| format!("dropped: {why}"));
            capture.frame(now, port, frame, comment.as_deref());
        }
    }
}

fn with_destination(frame: &Frame, mac: Mac) -> Frame {
    let mut bytes = frame.to_vec();
    bytes[..6].copy_from_slice(&mac.0);
    bytes.into()
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
