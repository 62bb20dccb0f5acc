//! The web clients as the tests hold them.

use super::engine::{Engine, Task};
use super::exchange::{Exchange, Marker, Request};
use super::host::{ClientConfig, Host};
use super::in_flight::{Once, RequestOptions};
use super::load::{Load, LoadLog, LoadSpec};
use super::load_task::LoadTask;
use super::ping::Ping;
use super::scan::{PortState, Scan, ScanTask};
use super::udp::UdpTask;
use crate::error::{Error, Result};
use crate::netsim::{Mac, Segment};
use crate::qemu::Cable;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The clients' thread answers in time; more is a busy host.
const GRACE: Duration = Duration::from_secs(10);

/// Web clients on a segment; see the module's description. They end with their value.
#[derive(Debug)]
pub struct Clients {
    configs: Vec<ClientConfig>,
    orders: Mutex<Option<Sender<Box<dyn Task>>>>,
    waker: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Clients {
    /// Clients with these addresses behind `port` of a segment.
    ///
    /// # Errors
    /// `Input` when there is no client, `Build` when the segment or the host have no room.
    pub fn attach(segment: &Segment, port: &str, configs: &[ClientConfig]) -> Result<Clients> {
        if configs.is_empty() {
            return Err(Error::input("web clients need an address"));
        }
        let failed = |e: std::io::Error| Error::build(format!("cannot start the web clients: {e}"));
        let Cable::Stream(path) = segment.plug(port)? else {
            return Err(Error::bug("a segment's cable is a socket"));
        };
        let stream = UnixStream::connect(&path).map_err(|e| Error::io("call", &path, &e))?;
        let (waker, wakeups) = UnixStream::pair().map_err(failed)?;
        for socket in [&stream, &waker, &wakeups] {
            socket.set_nonblocking(true).map_err(failed)?;
        }
        let (orders, waiting) = channel();
        let engine = Engine::new(hosts(segment, port, configs), stream, wakeups, waiting);
        let thread = std::thread::Builder::new()
            .name(format!("clients of {}", segment.name()))
            .spawn(move || engine.run())
            .map_err(failed)?;
        let orders = Mutex::new(Some(orders));
        Ok(Clients { configs: configs.to_vec(), orders, waker, thread: Some(thread) })
    }

    /// `GET` of a page, by the first client of its address' family.
    ///
    /// # Errors
    /// `Input` when `url` is none, `Build` when the clients have ended. A page that does not
    /// answer is no error: see [`Exchange::result`].
    pub fn get(&self, url: &str, deadline: Duration) -> Result<Exchange> {
        self.send(Request::get(url)?, deadline)
    }

    /// One request.
    ///
    /// # Errors
    /// As [`Clients::get`].
    pub fn send(&self, request: Request, deadline: Duration) -> Result<Exchange> {
        request.check()?;
        let host = self.first(request.url.server.ip())?;
        let marker = Marker::default();
        let options = RequestOptions { request, deadline, keep_alive: false, marker };
        let (done, result) = channel();
        self.order(Once { options, host, in_flight: None, has_started: false, done })?;
        wait(&result, deadline)
    }

    /// Starts a load; all clients of the address' family take turns.
    ///
    /// # Errors
    /// As [`Clients::get`], and `Input` for a pace that makes no sense.
    pub fn load(&self, spec: LoadSpec) -> Result<Load> {
        spec.check()?;
        let configs = self.of_family(spec.request.url.server.ip());
        self.first(spec.request.url.server.ip())?;
        let LoadSpec { request, pace, deadline, keep_alive, marker, numbers } = spec;
        let options = RequestOptions { request, deadline, keep_alive, marker };
        let (log, (done, end)) = (Arc::new(LoadLog::default()), channel());
        self.order(LoadTask::new(options, (pace, numbers), configs, Arc::clone(&log), done))?;
        Ok(Load { log, end, deadline, waker: self.waker.try_clone().ok() })
    }

    /// Asks TCP ports of an address what they are, in the order of their numbers.
    ///
    /// # Errors
    /// As [`Clients::get`], and `Check` when nobody answers for the address.
    pub fn scan(
        &self,
        target: IpAddr,
        ports: impl IntoIterator<Item = u16>,
        how: Scan,
    ) -> Result<Vec<(u16, PortState)>> {
        self.scan_if_there(target, ports, how)?
            .ok_or_else(|| Error::check(format!("nobody on the segment answers for {target}")))
    }

    /// As [`Clients::scan`]; nothing, when nobody answers for the address or no way leads to it.
    ///
    /// # Errors
    /// As [`Clients::get`].
    pub fn scan_if_there(
        &self,
        target: IpAddr,
        ports: impl IntoIterator<Item = u16>,
        how: Scan,
    ) -> Result<Option<Vec<(u16, PortState)>>> {
        let host = self.first(target)?;
        let ports: std::collections::VecDeque<u16> = ports.into_iter().collect();
        let seconds = ports.len() as f64 / f64::from(how.per_second.max(1));
        // A busy thread falls behind its rate, and may.
        let patience = Duration::from_secs_f64(seconds * 4.0) + how.patience * 2;
        let search = how.patience.max(Duration::from_secs_f64(seconds / 2.0));
        let (done, result) = channel();
        let (calls, found, next) = (Default::default(), Vec::new(), Instant::now());
        self.order(ScanTask {
            host,
            target,
            how,
            ports,
            calls,
            found,
            next,
            give_up: next + search,
            done,
        })?;
        wait(&result, patience)
    }

    /// Sends each payload to its UDP port and tells what came back, in the given order.
    ///
    /// # Errors
    /// As [`Clients::get`].
    pub fn probe_udp(
        &self,
        target: IpAddr,
        questions: Vec<(u16, Vec<u8>)>,
        patience: Duration,
    ) -> Result<Vec<(u16, PortState)>> {
        let (host, (done, result)) = (self.first(target)?, channel());
        self.order(UdpTask { host, target, questions, patience, state: None, done })?;
        wait(&result, patience)
    }

    /// How long an ICMP echo takes; none when nothing comes back before the deadline.
    ///
    /// # Errors
    /// As [`Clients::get`].
    pub fn ping(&self, target: IpAddr, deadline: Duration) -> Result<Option<Duration>> {
        let (host, (done, result)) = (self.first(target)?, channel());
        self.order(Ping { host, target, patience: deadline, state: None, done })?;
        wait(&result, deadline)
    }

    pub(super) fn order(&self, task: impl Task + 'static) -> Result<()> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = orders.as_ref().is_some_and(|orders| orders.send(Box::new(task)).is_ok());
        drop(orders);
        wake(&self.waker);
        if sent { Ok(()) } else { Err(ended()) }
    }

    /// What [`wake`] takes, for a thread of its own.
    pub(super) fn waker(&self) -> Result<UnixStream> {
        self.waker.try_clone().map_err(|e| Error::build(format!("cannot wake the clients: {e}")))
    }

    fn of_family(&self, target: IpAddr) -> Vec<usize> {
        let is_same = |client: &ClientConfig| client.address.is_ipv4() == target.is_ipv4();
        (0..self.configs.len()).filter(|number| is_same(&self.configs[*number])).collect()
    }

    pub(super) fn first(&self, target: IpAddr) -> Result<usize> {
        self.of_family(target).first().copied().ok_or_else(|| {
            let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
            Error::input(format!("no web client has an {family} address to reach {target} from"))
        })
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = None;
        wake(&self.waker);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            crate::progress::warn("the web clients' thread died");
        }
    }
}

/// Wakes the thread.
pub(super) fn wake(mut waker: &UnixStream) {
    // A full socket wakes it already.
    drop(waker.write(&[1]));
}

fn wait<T>(result: &Receiver<T>, patience: Duration) -> Result<T> {
    result.recv_timeout(patience + GRACE).map_err(|_| ended())
}

fn ended() -> Error {
    Error::build("the web clients have ended: their segment is gone")
}

/// A host a client, with hardware addresses that are the same in every run.
fn hosts(segment: &Segment, port: &str, configs: &[ClientConfig]) -> Vec<Host> {
    let start = Instant::now();
    let digest = crate::fs::Sha256Digest::of(format!("{} {port}", segment.name()));
    let [a, b, ..] = *digest.as_bytes();
    let make = |(number, client): (usize, &ClientConfig)| {
        let [high, low] = (number as u16).to_be_bytes();
        let mac = Mac([0x02, 0x75, a, b, high, low]);
        Host::new(client.clone(), mac, start, segment.seed().wrapping_add(number as u64))
    };
    configs.iter().enumerate().map(make).collect()
}
