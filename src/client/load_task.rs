//! What a load does on the clients' thread.

use super::connection::Connection;
use super::engine::{Task, TaskPoll};
use super::host::Host;
use super::in_flight::{Completed, InFlight, RequestOptions};
use super::load::{LoadLog, Pace};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A load keeps so much of each body.
const KEPT: usize = 64 << 10;

/// A client whose request failed without a packet rests so long at least.
const REST: Duration = Duration::from_millis(10);

/// A load on its way.
pub(super) struct LoadTask {
    options: RequestOptions,
    pace: Pace,
    numbers: Arc<AtomicU64>,
    /// The numbers of the hosts that take turns.
    host_numbers: Vec<usize>,
    turns: usize,
    /// Open loop: when the next request is due.
    next: Instant,
    /// Closed loop: clients who make their next request at this time, with their connection.
    resting: Vec<(Instant, Option<Connection>)>,
    /// Open loop: connections that can serve another request.
    idle: Vec<Connection>,
    in_flight: Vec<InFlight>,
    log: Arc<LoadLog>,
    done: Sender<()>,
}

impl LoadTask {
    pub(super) fn new(
        options: RequestOptions,
        (pace, numbers): (Pace, Arc<AtomicU64>),
        host_numbers: Vec<usize>,
        log: Arc<LoadLog>,
        done: Sender<()>,
    ) -> LoadTask {
        let next = Instant::now();
        let clients = if let Pace::Closed { clients, .. } = pace { clients } else { 0 };
        let resting = (0..clients).map(|_| (next, None)).collect();
        let (turns, idle, in_flight) = (0, Vec::new(), Vec::new());
        LoadTask {
            options,
            pace,
            numbers,
            host_numbers,
            turns,
            next,
            resting,
            idle,
            in_flight,
            log,
            done,
        }
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
        let host = self.host_numbers[self.turns % self.host_numbers.len()];
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        match InFlight::start(&self.options, number, hosts, host, due, kept) {
            Ok(in_flight) => self.in_flight.push(in_flight),
            Err(failed) => self.complete((*failed, None), now + REST),
        }
    }

    fn complete(&mut self, (mut exchange, kept): Completed, again: Instant) {
        if let Ok(answer) = &mut exchange.result {
            answer.body.truncate(KEPT);
        }
        self.log.push(exchange);
        match self.pace {
            Pace::Open { .. } => self.idle.extend(kept),
            Pace::Closed { pause, .. } => self.resting.push((again + pause, kept)),
        }
    }

    fn move_on(&mut self, hosts: &mut [Host], now: Instant) {
        for in_flight in std::mem::take(&mut self.in_flight) {
            match in_flight.poll(&self.options, hosts, now) {
                Ok(completed) => self.complete(completed, now),
                Err(in_flight) => self.in_flight.push(in_flight),
            }
        }
    }

    fn when(&self) -> Option<Instant> {
        let deadlines = self.in_flight.iter().filter_map(InFlight::deadline);
        let resting = self.resting.iter().map(|(at, _)| *at);
        let open = matches!(self.pace, Pace::Open { .. }).then_some(self.next);
        deadlines.chain(resting).chain(open).min()
    }

    fn end(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        let resting = std::mem::take(&mut self.resting).into_iter().filter_map(|(_, kept)| kept);
        for connection in std::mem::take(&mut self.idle).into_iter().chain(resting) {
            connection.end(hosts, now, true);
        }
        // Who started it may have dropped it.
        self.done.send(()).ok();
        TaskPoll::Done
    }
}

impl Task for LoadTask {
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        let shall_stop = self.log.shall_stop();
        if !shall_stop {
            self.start_due(hosts, now);
        }
        self.move_on(hosts, now);
        if shall_stop && self.in_flight.is_empty() {
            return self.end(hosts, now);
        }
        let deadlines = self.in_flight.iter().filter_map(InFlight::deadline).min();
        TaskPoll::Pending(if shall_stop { deadlines } else { self.when() })
    }
}
