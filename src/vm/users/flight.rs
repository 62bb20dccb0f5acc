//! One request from the moment that it is due until it is an [`Exchange`], and the task
//! of a single one.

use super::connection::{Connection, Ended};
use super::engine::{Task, Turn};
use super::exchange::{Exchange, Failure, Marker, Request};
use super::host::Host;
use std::net::IpAddr;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How requests are made.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    pub(super) request: Request,
    /// How long a user waits for each answer.
    pub(super) deadline: Duration,
    pub(super) keep_alive: bool,
    pub(super) marker: Marker,
}

/// A request that is on its way.
pub(super) struct Flight {
    client: IpAddr,
    due: Instant,
    reused: bool,
    connection: Box<Connection>,
}

/// A request that has ended, and its connection if it can serve another.
pub(super) type Landed = (Exchange, Option<Connection>);

impl Flight {
    /// Makes a request that is `due` over `kept`, or over a new connection from host
    /// number `host`. The error is that of a request that failed at once.
    pub(super) fn start(
        manner: &Manner,
        hosts: &mut [Host],
        host: usize,
        due: Instant,
        kept: Option<Connection>,
    ) -> Result<Flight, Box<Exchange>> {
        let client = hosts[host].client.address;
        let reused = kept.is_some();
        let opened = match kept {
            Some(connection) => Ok(connection),
            None => Connection::open(hosts, host, &manner.request.url),
        };
        let deadline = due + manner.deadline;
        let asked = opened.and_then(|mut connection| {
            connection.ask(&manner.request, manner.keep_alive, deadline)?;
            Ok(connection)
        });
        match asked {
            Ok(connection) => {
                let connection = Box::new(connection);
                Ok(Flight { client, due, reused, connection })
            }
            Err(failure) => Err(Box::new(exchange(manner, (client, due, reused), Err(failure)))),
        }
    }

    /// When a user gives up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.connection.deadline()
    }

    /// Moves on; gives itself back while it flies.
    pub(super) fn turn(
        mut self,
        manner: &Manner,
        hosts: &mut [Host],
        now: Instant,
    ) -> Result<Landed, Flight> {
        let Some(Ended { result, keeps }) = self.connection.turn(hosts, now) else {
            return Err(self);
        };
        let is_good = result.is_ok();
        let done = exchange(manner, (self.client, self.due, self.reused), result);
        if keeps && manner.keep_alive {
            return Ok((done, Some(*self.connection)));
        }
        self.connection.end(hosts, now, is_good);
        Ok((done, None))
    }
}

fn exchange(
    manner: &Manner,
    (client, due, reused): (IpAddr, Instant, bool),
    result: Result<super::Answer, Failure>,
) -> Exchange {
    let result = result.map(|mut answer| {
        answer.server = manner.marker.find(&answer);
        answer
    });
    let (url, ended) = (manner.request.url().to_owned(), Instant::now());
    Exchange { url, client, sent: due, ended, reused, result }
}

/// A single request.
pub(super) struct Once {
    pub(super) manner: Manner,
    pub(super) host: usize,
    pub(super) flight: Option<Flight>,
    pub(super) has_started: bool,
    pub(super) tell: Sender<Exchange>,
}

impl Task for Once {
    fn turn(&mut self, hosts: &mut [Host], now: Instant) -> Turn {
        if !std::mem::replace(&mut self.has_started, true) {
            match Flight::start(&self.manner, hosts, self.host, now, None) {
                Ok(flight) => self.flight = Some(flight),
                Err(failed) => return self.over(*failed),
            }
        }
        let Some(flight) = self.flight.take() else { return Turn::Over };
        let deadline = flight.deadline();
        match flight.turn(&self.manner, hosts, now) {
            Ok((done, _)) => self.over(done),
            Err(flight) => {
                self.flight = Some(flight);
                Turn::Until(deadline)
            }
        }
    }
}

impl Once {
    fn over(&self, done: Exchange) -> Turn {
        // Who asked may have gone.
        drop(self.tell.send(done));
        Turn::Over
    }
}
