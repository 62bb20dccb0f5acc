//! Which TCP ports of an address are open, asked from a web client's place: by real calls,
//! each of which is hung up at once.

use super::engine::{Task, TaskPoll};
use super::host::Host;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Nothing is ever sent or received on a scan's connections.
const BUFFER: usize = 64;

/// Calls are made in batches: a turn looks at all that are open, and guests need the
/// processor, too.
const BATCH: Duration = Duration::from_millis(10);

/// A scan that is behind by more than this does not hurry.
const LAG: Duration = Duration::from_millis(50);

/// What a port says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortState {
    /// Something listens.
    Open,
    /// The machine refuses.
    Closed,
    /// Nothing comes back.
    Filtered,
}

/// How a scan goes about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scan {
    /// Ports per second.
    pub per_second: u32,
    /// How long a port may take; a call is repeated after one second, as TCP does.
    pub patience: Duration,
}

impl Default for Scan {
    /// What an emulated guest survives: 65 535 ports in 25 s, each asked twice.
    fn default() -> Scan {
        Scan { per_second: 3000, patience: Duration::from_millis(2500) }
    }
}

/// What a scan finds, by port; none when nobody answers for the address.
pub(super) type Found = Option<Vec<(u16, PortState)>>;

/// A scan on its way.
pub(super) struct ScanTask {
    pub(super) host: usize,
    pub(super) target: IpAddr,
    pub(super) how: Scan,
    pub(super) ports: VecDeque<u16>,
    pub(super) calls: VecDeque<Call>,
    pub(super) found: Vec<(u16, PortState)>,
    pub(super) next: Instant,
    /// When the search for the neighbour is given up: a host asks for one a second, and other scans
    /// may be waiting for theirs.
    pub(super) give_up: Instant,
    pub(super) done: Sender<Found>,
}

/// A call of one port.
pub(super) struct Call {
    port: u16,
    handle: SocketHandle,
    end: Instant,
}

impl ScanTask {
    fn start_due(&mut self, host: &mut Host, now: Instant) -> bool {
        // Calls that wait for the neighbour to be found would all be made when it is. One
        // asks for it; and time that was lost is not made up for.
        let is_asking = !self.calls.is_empty() && !host.has_neighbour(self.target);
        self.next = self.next.max(if is_asking { now + BATCH } else { now - LAG });
        while self.next <= now {
            let Some(port) = self.ports.pop_front() else { return true };
            let Ok(handle) = host.connect(SocketAddr::new(self.target, port), BUFFER) else {
                return false;
            };
            self.calls.push_back(Call { port, handle, end: now + self.how.patience });
            self.next += Duration::from_secs(1) / self.how.per_second.max(1);
        }
        true
    }

    fn listen(&mut self, host: &mut Host, now: Instant) {
        let (found, ports) = (&mut self.found, &mut self.ports);
        let is_searching = !host.has_neighbour(self.target) && now < self.give_up;
        self.calls.retain(|call| {
            let state = host.tcp(call.handle).state();
            if state == State::SynSent && now < call.end {
                return true;
            }
            let state = if state == State::SynSent {
                PortState::Filtered
            } else if state == State::Closed {
                PortState::Closed
            } else {
                PortState::Open
            };
            if state == PortState::Filtered && is_searching {
                ports.push_front(call.port);
            } else {
                found.push((call.port, state));
            }
            match state {
                PortState::Open => host.abort(call.handle, now),
                PortState::Closed | PortState::Filtered => host.forget(call.handle),
            }
            false
        });
    }

    fn when(&self, now: Instant) -> Option<Instant> {
        let next = (!self.ports.is_empty()).then_some(self.next.max(now + BATCH));
        next.into_iter().chain(self.calls.front().map(|call| call.end)).min()
    }

    fn over(&mut self, host: &mut Host, is_known: bool) -> TaskPoll {
        self.calls.drain(..).for_each(|call| host.forget(call.handle));
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable();
        // Who asked may have gone.
        drop(self.done.send(is_known.then_some(found)));
        TaskPoll::Done
    }
}

impl Task for ScanTask {
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        let host = &mut hosts[self.host];
        let has_route = self.start_due(host, now);
        self.listen(host, now);
        let is_over = self.ports.is_empty() && self.calls.is_empty();
        let is_first = self.found.iter().any(|(_, state)| *state == PortState::Filtered);
        let is_lost = is_first && !host.has_neighbour(self.target);
        if is_over || is_lost || !has_route {
            return self.over(host, has_route && !is_lost);
        }
        TaskPoll::Pending(self.when(now))
    }
}
