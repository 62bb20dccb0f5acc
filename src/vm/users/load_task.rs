//! What a load does on the users' thread.

use super::connection::Connection;
use super::engine::{Task, Turn};
use super::flight::{Flight, Landed, Manner};
use super::host::Host;
use super::load::{Felt, Pace};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A load keeps so much of each body.
const KEPT: usize = 64 << 10;

/// A user whose request failed without a packet rests so long at least.
const REST: Duration = Duration::from_millis(10);

/// A load on its way.
pub(super) struct LoadTask {
    manner: Manner,
    pace: Pace,
    /// The numbers of the hosts that take turns.
    clients: Vec<usize>,
    turns: usize,
    /// Open loop: when the next request is due.
    next: Instant,
    /// Closed loop: users who make their next request at this time, with their connection.
    resting: Vec<(Instant, Option<Connection>)>,
    /// Open loop: connections that can serve another request.
    idle: Vec<Connection>,
    flights: Vec<Flight>,
    felt: Arc<Felt>,
    tell: Sender<()>,
}

impl LoadTask {
    pub(super) fn new(
        manner: Manner,
        pace: Pace,
        clients: Vec<usize>,
        felt: Arc<Felt>,
        tell: Sender<()>,
    ) -> LoadTask {
        let next = Instant::now();
        let users = if let Pace::Closed { users, .. } = pace { users } else { 0 };
        let resting = (0..users).map(|_| (next, None)).collect();
        let (turns, idle, flights) = (0, Vec::new(), Vec::new());
        LoadTask { manner, pace, clients, turns, next, resting, idle, flights, felt, tell }
    }

    fn start_due(&mut self, hosts: &mut [Host], now: Instant) {
        match self.pace {
            Pace::Open { per_second } => {
                while self.next <= now {
                    let (due, kept) = (self.next, self.idle.pop());
                    self.next += Duration::from_secs_f64(1.0 / per_second);
                    self.start(hosts, due, now, kept);
                }
            }
            Pace::Closed { .. } => {
                let (ready, resting) =
                    std::mem::take(&mut self.resting).into_iter().partition(|(at, _)| *at <= now);
                self.resting = resting;
                let ready: Vec<(Instant, Option<Connection>)> = ready;
                ready.into_iter().for_each(|(_, kept)| self.start(hosts, now, now, kept));
            }
        }
    }

    fn start(&mut self, hosts: &mut [Host], due: Instant, now: Instant, kept: Option<Connection>) {
        let kept = match kept {
            Some(connection) if !connection.is_alive(hosts) => {
                connection.end(hosts, now, true);
                None
            }
            kept => kept,
        };
        self.turns += 1;
        let host = self.clients[self.turns % self.clients.len()];
        match Flight::start(&self.manner, hosts, host, due, kept) {
            Ok(flight) => self.flights.push(flight),
            Err(failed) => self.land((*failed, None), now + REST),
        }
    }

    fn land(&mut self, (mut exchange, kept): Landed, again: Instant) {
        if let Ok(answer) = &mut exchange.result {
            answer.body.truncate(KEPT);
        }
        self.felt.push(exchange);
        match self.pace {
            Pace::Open { .. } => self.idle.extend(kept),
            Pace::Closed { pause, .. } => self.resting.push((again + pause, kept)),
        }
    }

    fn move_on(&mut self, hosts: &mut [Host], now: Instant) {
        for flight in std::mem::take(&mut self.flights) {
            match flight.turn(&self.manner, hosts, now) {
                Ok(landed) => self.land(landed, now),
                Err(flight) => self.flights.push(flight),
            }
        }
    }

    fn when(&self) -> Option<Instant> {
        let deadlines = self.flights.iter().filter_map(Flight::deadline);
        let resting = self.resting.iter().map(|(at, _)| *at);
        let open = matches!(self.pace, Pace::Open { .. }).then_some(self.next);
        deadlines.chain(resting).chain(open).min()
    }

    fn end(&mut self, hosts: &mut [Host], now: Instant) -> Turn {
        let resting = std::mem::take(&mut self.resting).into_iter().filter_map(|(_, kept)| kept);
        for connection in std::mem::take(&mut self.idle).into_iter().chain(resting) {
            connection.end(hosts, now, true);
        }
        // Who started it may have dropped it.
        self.tell.send(()).ok();
        Turn::Over
    }
}

impl Task for LoadTask {
    fn turn(&mut self, hosts: &mut [Host], now: Instant) -> Turn {
        let shall_stop = self.felt.shall_stop();
        if !shall_stop {
            self.start_due(hosts, now);
        }
        self.move_on(hosts, now);
        if shall_stop && self.flights.is_empty() {
            return self.end(hosts, now);
        }
        let deadlines = self.flights.iter().filter_map(Flight::deadline).min();
        Turn::Until(if shall_stop { deadlines } else { self.when() })
    }
}
