//! The thread of a segment: moves frames between the sockets and the switch until the
//! segment ends.

use super::port::Socket;
use super::switch::Switch;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the thread and the segment's methods share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told after every turn in which something was seen.
    pub(super) news: Condvar,
    waker: UnixStream,
}

/// A switch with its sockets; a port has the same number in both.
#[derive(Debug)]
pub(super) struct State {
    pub(super) switch: Switch,
    pub(super) sockets: Vec<Socket>,
    pub(super) has_ended: bool,
}

/// The sockets as they are while the thread sleeps.
struct Watched {
    listeners: Vec<Arc<UnixListener>>,
    streams: Vec<Option<Arc<UnixStream>>>,
    waiting: Vec<bool>,
    next: Option<Instant>,
}

impl Shared {
    /// Something to share, and the other end of its waker.
    pub(super) fn new(seed: u64) -> std::io::Result<(Shared, UnixStream)> {
        let (waker, wakeups) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wakeups.set_nonblocking(true)?;
        let state = State { switch: Switch::new(seed), sockets: Vec::new(), has_ended: false };
        Ok((Shared { state: Mutex::new(state), news: Condvar::new(), waker }, wakeups))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread: something was changed.
    pub(super) fn wake(&self) {
        // A full socket wakes it already.
        drop((&self.waker).write(&[1]));
    }
}

/// Moves frames until the segment has ended.
pub(super) fn run(shared: &Shared, mut wakeups: UnixStream) {
    loop {
        // A statement of its own: the lock must not be held while the thread sleeps.
        let watched = watched(&shared.lock());
        let Some(watched) = watched else { return };
        sleep(&watched, &wakeups);
        drain(&mut wakeups);
        step(&mut shared.lock());
        shared.news.notify_all();
    }
}

fn watched(state: &State) -> Option<Watched> {
    if state.has_ended {
        return None;
    }
    let sockets = || state.sockets.iter();
    Some(Watched {
        listeners: sockets().map(|socket| Arc::clone(&socket.listener)).collect(),
        streams: sockets().map(|socket| socket.stream.clone()).collect(),
        waiting: sockets().map(Socket::is_waiting).collect(),
        next: state.switch.next(),
    })
}

/// Until there is something to do.
fn sleep(watched: &Watched, wakeups: &UnixStream) {
    let mut fds = vec![PollFd::new(wakeups.as_fd(), PollFlags::POLLIN)];
    fds.extend(watched.listeners.iter().map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN)));
    for (stream, waiting) in watched.streams.iter().zip(&watched.waiting) {
        let Some(stream) = stream else { continue };
        let out = if *waiting { PollFlags::POLLOUT } else { PollFlags::empty() };
        fds.push(PollFd::new(stream.as_fd(), PollFlags::POLLIN | out));
    }
    if poll(&mut fds, timeout(watched.next)).is_err() {
        // Interrupted, or the host is out of memory: a turn without work harms nobody.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Rounded up, so that nothing is looked at too early again and again.
pub(crate) fn timeout(next: Option<Instant>) -> PollTimeout {
    let Some(next) = next else { return PollTimeout::NONE };
    let left = next.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return PollTimeout::ZERO;
    }
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

/// Reads all wake-ups.
pub(crate) fn drain(wakeups: &mut UnixStream) {
    let mut rings = [0; 64];
    loop {
        match wakeups.read(&mut rings) {
            Ok(1..) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

fn step(state: &mut State) {
    let State { switch, sockets, .. } = state;
    for (port, socket) in sockets.iter_mut().enumerate() {
        socket.accept();
        let now = Instant::now();
        socket.read().into_iter().for_each(|frame| switch.sent(now, port, frame));
    }
    for (port, frame) in switch.due(Instant::now()) {
        sockets[port].send(&frame);
    }
    sockets.iter_mut().for_each(Socket::write);
    if let Some(capture) = &mut switch.capture {
        capture.flush();
    }
}
