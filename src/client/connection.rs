//! One connection of a web client's: TCP, TLS if the page wants it, and one request at a
//! time on it.

use super::answer::{AnswerReader, Progress};
use super::exchange::{Answer, Failure, Phase, Request};
use super::host::Host;
use super::tls;
use super::url::Url;
use rustls::ClientConnection;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, State};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// What Linux offers at first.
const BUFFER: usize = 64 << 10;

/// A connection; it must be ended with [`Connection::end`].
pub(super) struct Connection {
    /// The number of its host.
    pub(super) host: usize,
    handle: SocketHandle,
    server: SocketAddr,
    tls: Option<Box<ClientConnection>>,
    is_connected: bool,
    attempt: Option<Attempt>,
}

/// A request that is on its way.
struct Attempt {
    /// What is still to be sent (without TLS, which keeps it itself).
    unsent: Vec<u8>,
    reader: AnswerReader,
    deadline: Instant,
}

/// How an attempt ended.
pub(super) struct Ended {
    pub(super) result: Result<Answer, Failure>,
    /// Whether the connection can serve another request.
    pub(super) keeps: bool,
}

impl Connection {
    /// Calls the page's server from host number `host`.
    pub(super) fn open(hosts: &mut [Host], host: usize, url: &Url) -> Result<Self, Failure> {
        let server = url.server;
        let tls = if url.is_secure { Some(Box::new(tls::connect(server.ip())?)) } else { None };
        let handle = hosts[host].connect(server, BUFFER)?;
        Ok(Connection { host, handle, server, tls, is_connected: false, attempt: None })
    }

    /// Whether it can still carry a request to its server.
    pub(super) fn is_alive(&self, hosts: &mut [Host]) -> bool {
        hosts[self.host].tcp(self.handle).state() == State::Established
    }

    /// Makes a request.
    pub(super) fn ask(
        &mut self,
        request: &Request,
        keep_alive: bool,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut unsent = request.bytes(keep_alive);
        if let Some(tls) = &mut self.tls {
            let written = tls.writer().write_all(&std::mem::take(&mut unsent));
            written.map_err(|e| Failure::Tls(e.to_string()))?;
        }
        let reader = AnswerReader::new(&request.method);
        self.attempt = Some(Attempt { unsent, reader, deadline });
        Ok(())
    }

    /// The deadline of the request that is on its way.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.attempt.as_ref().map(|attempt| attempt.deadline)
    }

    /// Moves what can be moved; tells how the request ended, if it has.
    pub(super) fn poll(&mut self, hosts: &mut [Host], now: Instant) -> Option<Ended> {
        let attempt = self.attempt.as_mut()?;
        let host = &mut hosts[self.host];
        let socket = host.tcp(self.handle);
        self.is_connected |= socket.may_send();
        let moved = match &mut self.tls {
            Some(tls) => exchange_secure(socket, tls, attempt),
            None => exchange_plain(socket, attempt),
        };
        let moved = moved.and_then(|progress| match progress {
            Progress::Whole(..) => Ok(progress),
            Progress::More => self.judge(hosts, now),
        });
        let ended = match moved {
            Ok(Progress::More) => return None,
            Ok(Progress::Whole(answer, keeps)) => Ended { result: Ok(*answer), keeps },
            Err(failure) => Ended { result: Err(failure), keeps: false },
        };
        self.attempt = None;
        Some(self.certified(ended))
    }

    /// Whether it has ended without a whole answer.
    fn judge(&mut self, hosts: &mut [Host], now: Instant) -> Result<Progress, Failure> {
        let host = &mut hosts[self.host];
        let (state, may_recv) = {
            let socket = host.tcp(self.handle);
            (socket.state(), socket.may_recv())
        };
        let Some(attempt) = &mut self.attempt else { return Ok(Progress::More) };
        if state == State::Closed {
            return Err(if self.is_connected { Failure::Reset } else { Failure::Refused });
        }
        if self.is_connected && !may_recv {
            return match attempt.reader.end() {
                Progress::More => Err(Failure::ClosedEarly),
                whole @ Progress::Whole(..) => Ok(whole),
            };
        }
        if now < attempt.deadline {
            return Ok(Progress::More);
        }
        if !self.is_connected && !host.has_neighbour(self.server.ip()) {
            return Err(Failure::NoNeighbour);
        }
        Err(Failure::TimedOut(self.phase()))
    }

    fn phase(&self) -> Phase {
        if !self.is_connected {
            return Phase::Connect;
        }
        let is_handshaking = self.tls.as_ref().is_some_and(|tls| tls.is_handshaking());
        if is_handshaking { Phase::Handshake } else { Phase::Answer }
    }

    fn certified(&self, mut ended: Ended) -> Ended {
        if let (Ok(answer), Some(tls)) = (&mut ended.result, &self.tls) {
            answer.certificate = tls::certificate(tls);
        }
        ended
    }

    /// Ends it: with a goodbye, or, when its request has failed, at once.
    pub(super) fn end(self, hosts: &mut [Host], now: Instant, is_good: bool) {
        let host = &mut hosts[self.host];
        if is_good {
            host.close(self.handle, now);
        } else {
            host.abort(self.handle, now);
        }
    }
}

fn exchange_plain(
    socket: &mut tcp::Socket<'_>,
    attempt: &mut Attempt,
) -> Result<Progress, Failure> {
    if socket.can_send() && !attempt.unsent.is_empty() {
        let count = socket.send_slice(&attempt.unsent).unwrap_or(0);
        attempt.unsent.drain(..count);
    }
    let mut buffer = [0; 1 << 14];
    while let Some(count @ 1..) = receive(socket, &mut buffer) {
        let progress = attempt.reader.push(&buffer[..count]).map_err(Failure::BadAnswer)?;
        if progress != Progress::More {
            return Ok(progress);
        }
    }
    Ok(Progress::More)
}

fn exchange_secure(
    socket: &mut tcp::Socket<'_>,
    tls: &mut ClientConnection,
    attempt: &mut Attempt,
) -> Result<Progress, Failure> {
    loop {
        while tls.wants_write() && socket.can_send() {
            // The carrier never fails: it takes something or nothing.
            if tls.write_tls(&mut Carrier(socket)).is_err() {
                break;
            }
        }
        if !socket.can_recv() || !matches!(tls.read_tls(&mut Carrier(socket)), Ok(1..)) {
            return Ok(Progress::More);
        }
        tls.process_new_packets().map_err(tls::tls)?;
        let progress = read_clear(tls, attempt)?;
        if progress != Progress::More {
            return Ok(progress);
        }
    }
}

fn read_clear(tls: &mut ClientConnection, attempt: &mut Attempt) -> Result<Progress, Failure> {
    let mut buffer = [0; 1 << 14];
    loop {
        match tls.reader().read(&mut buffer) {
            Ok(0) => return Ok(attempt.reader.end()),
            Ok(count) => {
                let progress = attempt.reader.push(&buffer[..count]).map_err(Failure::BadAnswer)?;
                if progress != Progress::More {
                    return Ok(progress);
                }
            }
            // Nothing there now, or an end without goodbye, which the socket tells, too.
            Err(_) => return Ok(Progress::More),
        }
    }
}

fn receive(socket: &mut tcp::Socket<'_>, buffer: &mut [u8]) -> Option<usize> {
    if socket.can_recv() { socket.recv_slice(buffer).ok() } else { None }
}

/// TLS reads and writes through this.
struct Carrier<'a, 'b>(&'a mut tcp::Socket<'b>);

impl Read for Carrier<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        receive(self.0, buffer).ok_or_else(|| ErrorKind::WouldBlock.into())
    }
}

impl Write for Carrier<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send_slice(bytes).map_err(|_| ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
