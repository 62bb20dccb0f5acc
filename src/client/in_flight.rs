//! One request from the moment that it is due until it is an [`Exchange`], and the task
//! of a single one.

use super::connection::{Connection, Ended};
use super::engine::{Task, TaskPoll};
use super::exchange::{Exchange, Failure, Marker, Request};
use super::host::Host;
use std::net::IpAddr;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How requests are made.
#[derive(Debug, Clone)]
pub(super) struct RequestOptions {
    pub(super) request: Request,
    /// How long a client waits for each answer.
    pub(super) deadline: Duration,
    pub(super) keep_alive: bool,
    pub(super) marker: Marker,
}

/// A request that is on its way.
pub(super) struct InFlight {
    url: String,
    number: u64,
    client: IpAddr,
    due: Instant,
    reused: bool,
    connection: Box<Connection>,
}

/// A request that has ended, and its connection if it can serve another.
pub(super) type Completed = (Exchange, Option<Connection>);

impl InFlight {
    /// Makes a request with this number that is `due` over `kept`, or over a new connection from
    /// host number `host`. The error is that of a request that failed at once.
    pub(super) fn start(
        options: &RequestOptions,
        number: u64,
        hosts: &mut [Host],
        host: usize,
        due: Instant,
        kept: Option<Connection>,
    ) -> Result<InFlight, Box<Exchange>> {
        let request = options.request.numbered(number);
        let url = request.url().to_owned();
        let client = hosts[host].client.address;
        let reused = kept.is_some();
        let opened = match kept {
            Some(connection) => Ok(connection),
            None => Connection::open(hosts, host, &request.url),
        };
        let deadline = due + options.deadline;
        let asked = opened.and_then(|mut connection| {
            connection.ask(&request, options.keep_alive, deadline)?;
            Ok(connection)
        });
        match asked {
            Ok(connection) => {
                let connection = Box::new(connection);
                Ok(InFlight { url, number, client, due, reused, connection })
            }
            Err(failure) => {
                let sent = (url, number, client, due, reused);
                Err(Box::new(exchange(options, sent, Err(failure))))
            }
        }
    }

    /// When a client gives up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.connection.deadline()
    }

    /// Moves on; gives itself back while it flies.
    pub(super) fn poll(
        mut self,
        options: &RequestOptions,
        hosts: &mut [Host],
        now: Instant,
    ) -> Result<Completed, InFlight> {
        let Some(Ended { result, keeps }) = self.connection.poll(hosts, now) else {
            return Err(self);
        };
        let is_good = result.is_ok();
        let sent = (self.url, self.number, self.client, self.due, self.reused);
        let exchange = exchange(options, sent, result);
        if keeps && options.keep_alive {
            return Ok((exchange, Some(*self.connection)));
        }
        self.connection.end(hosts, now, is_good);
        Ok((exchange, None))
    }
}

fn exchange(
    options: &RequestOptions,
    (url, number, client, due, reused): (String, u64, IpAddr, Instant, bool),
    result: Result<super::Answer, Failure>,
) -> Exchange {
    let result = result.map(|mut answer| {
        answer.server = options.marker.find(&answer);
        answer
    });
    Exchange { url, number, client, sent: due, ended: Instant::now(), reused, result }
}

/// A single request.
pub(super) struct Once {
    pub(super) options: RequestOptions,
    pub(super) host: usize,
    pub(super) in_flight: Option<InFlight>,
    pub(super) has_started: bool,
    pub(super) done: Sender<Exchange>,
}

impl Task for Once {
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        if !std::mem::replace(&mut self.has_started, true) {
            match InFlight::start(&self.options, 0, hosts, self.host, now, None) {
                Ok(in_flight) => self.in_flight = Some(in_flight),
                Err(failed) => return self.over(*failed),
            }
        }
        let Some(in_flight) = self.in_flight.take() else { return TaskPoll::Done };
        let deadline = in_flight.deadline();
        match in_flight.poll(&self.options, hosts, now) {
            Ok((exchange, _)) => self.over(exchange),
            Err(in_flight) => {
                self.in_flight = Some(in_flight);
                TaskPoll::Pending(deadline)
            }
        }
    }
}

impl Once {
    fn over(&self, exchange: Exchange) -> TaskPoll {
        // Who asked may have gone.
        drop(self.done.send(exchange));
        TaskPoll::Done
    }
}
