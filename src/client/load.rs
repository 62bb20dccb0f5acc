//! Many requests: at a rate, whatever the servers do (an open loop), or by so many clients
//! who wait for each answer (a closed loop).

use super::exchange::{Exchange, Marker, Request};
use super::guard::wake;
use crate::error::{Error, Result};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second, whether the ones before have ended or not.
    Open {
        /// Above 0, at most 10 000.
        per_second: f64,
    },
    /// So many clients, each of whom makes the next request when the last has ended and
    /// this pause is over.
    Closed {
        /// At least 1, at most 10 000.
        clients: usize,
        /// Between an answer and the next request.
        pause: Duration,
    },
}

/// A load that is to be started.
#[derive(Debug, Clone)]
pub struct LoadSpec {
    /// What is asked, again and again; each `{number}` in it is another one each time.
    pub request: Request,
    /// How often.
    pub pace: Pace,
    /// How long a client waits for each answer; 2 s if nothing else is said.
    pub deadline: Duration,
    /// Whether connections serve more than one request (HTTP keep-alive).
    pub keep_alive: bool,
    /// How an answer tells its server.
    pub marker: Marker,
    /// The number of the next request, which stands for `{number}` in its path and body. Loads
    /// that share it have no number twice.
    pub numbers: Arc<AtomicU64>,
}

impl LoadSpec {
    /// Without keep-alive, with a deadline of 2 s and the marker `X-Server`.
    pub fn new(request: Request, pace: Pace) -> LoadSpec {
        let (deadline, keep_alive) = (Duration::from_secs(2), false);
        let (marker, numbers) = (Marker::default(), Arc::new(AtomicU64::new(1)));
        LoadSpec { request, pace, deadline, keep_alive, marker, numbers }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.request.check()?;
        match self.pace {
            Pace::Open { per_second } if !(per_second > 0.0 && per_second <= 10_000.0) => {
                Err(Error::input(format!("a load cannot make {per_second} requests per second"))
                    .hint("from above 0 to 10000"))
            }
            Pace::Closed { clients, .. } if !(1..=10_000).contains(&clients) => {
                Err(Error::input(format!("a load cannot have {clients} clients"))
                    .hint("from 1 to 10000"))
            }
            Pace::Open { .. } | Pace::Closed { .. } => Ok(()),
        }
    }
}

/// What a load and its task share.
#[derive(Debug, Default)]
pub(super) struct LoadLog {
    exchanges: Mutex<Vec<Exchange>>,
    shall_stop: AtomicBool,
}

impl LoadLog {
    pub(super) fn push(&self, exchange: Exchange) {
        self.lock().push(exchange);
    }

    pub(super) fn shall_stop(&self) -> bool {
        self.shall_stop.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A load that goes on until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    pub(super) log: Arc<LoadLog>,
    /// Ends with the task.
    pub(super) end: Receiver<()>,
    pub(super) deadline: Duration,
    /// Wakes the clients' thread; without it, the next frame does.
    pub(super) waker: Option<UnixStream>,
}

impl Load {
    /// The exchanges that have ended so far, in the order of their ends.
    pub fn so_far(&self) -> Vec<Exchange> {
        self.log.lock().clone()
    }

    /// How many have ended so far.
    pub fn count(&self) -> usize {
        self.log.lock().len()
    }

    /// Starts no more requests, waits for the ends of those that are on their way (at
    /// most their deadline), and gives all, by the time that they were sent.
    ///
    /// # Errors
    /// `Build` when the clients ended before their load.
    pub fn stop(self) -> Result<Vec<Exchange>> {
        self.end_soon();
        let patience = self.deadline + Duration::from_secs(10);
        // The task says something only when it is over.
        if self.end.recv_timeout(patience).is_err() {
            return Err(Error::build("the web clients ended before their load"));
        }
        let mut all = std::mem::take(&mut *self.log.lock());
        all.sort_by_key(|one| one.sent);
        Ok(all)
    }
}

impl Load {
    /// Starts no more requests.
    pub fn end_soon(&self) {
        self.log.shall_stop.store(true, Ordering::SeqCst);
        self.waker.iter().for_each(wake);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end_soon();
    }
}
