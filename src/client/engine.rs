//! The thread of the web clients: moves frames between the segment and the hosts, and lets
//! every task do what it can.

use super::host::Host;
use crate::netsim::{FrameReader, Headers, Outbox, drain, timeout};
use nix::poll::{PollFd, PollFlags, poll};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// The stack's own timers need no finer clock; a busy one is no use to anybody.
const TICK: Duration = Duration::from_millis(1);

/// Something that clients do.
pub(super) trait Task: Send {
    /// Does what can be done now.
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll;
}

/// What a task has left to do.
pub(super) enum TaskPoll {
    /// Nothing.
    Done,
    /// Something, when a frame comes, or at this time.
    Pending(Option<Instant>),
}

/// All that the thread owns.
pub(super) struct Engine {
    pub(super) hosts: Vec<Host>,
    pub(super) stream: UnixStream,
    pub(super) wakeups: UnixStream,
    pub(super) orders: Receiver<Box<dyn Task>>,
    reader: FrameReader,
    outbox: Outbox,
    tasks: Vec<Box<dyn Task>>,
}

impl Engine {
    pub(super) fn new(
        hosts: Vec<Host>,
        stream: UnixStream,
        wakeups: UnixStream,
        orders: Receiver<Box<dyn Task>>,
    ) -> Engine {
        let (reader, outbox, tasks) = (FrameReader::default(), Outbox::default(), Vec::new());
        Engine { hosts, stream, wakeups, orders, reader, outbox, tasks }
    }

    /// Goes on until nobody gives orders any more, or the segment has ended: then all
    /// tasks are dropped, and with them who waits for them is told.
    pub(super) fn run(mut self) {
        while self.take_orders() && self.take_frames() {
            let now = Instant::now();
            self.poll_hosts(now);
            let next_of_tasks = self.do_tasks(now);
            self.poll_hosts(now);
            if !self.outbox.write(&self.stream) {
                return;
            }
            let of_hosts = self.hosts.iter_mut().filter_map(|host| host.next(now)).min();
            let of_hosts = of_hosts.map(|at| at.max(now + TICK));
            self.sleep(of_hosts.into_iter().chain(next_of_tasks).min());
            drain(&mut self.wakeups);
        }
    }

    fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(task) => self.tasks.push(task),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take_frames(&mut self) -> bool {
        let (frames, goes_on) = self.reader.read(&self.stream);
        for frame in &frames {
            let Some(headers) = Headers::parse(frame) else { continue };
            for host in self.hosts.iter_mut().filter(|host| host.wants(headers.destination)) {
                host.take(frame);
            }
        }
        goes_on
    }

    fn poll_hosts(&mut self, now: Instant) {
        for host in &mut self.hosts {
            for frame in host.poll(now) {
                // A full buffer loses it, as a full cable does.
                self.outbox.push(&frame);
            }
        }
    }

    fn do_tasks(&mut self, now: Instant) -> Option<Instant> {
        let (mut next, hosts) = (None::<Instant>, &mut self.hosts);
        self.tasks.retain_mut(|task| match task.poll(hosts, now) {
            TaskPoll::Done => false,
            TaskPoll::Pending(at) => {
                next = next.into_iter().chain(at).min();
                true
            }
        });
        next
    }

    fn sleep(&self, next: Option<Instant>) {
        let out = if self.outbox.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let mut fds = [
            PollFd::new(self.stream.as_fd(), PollFlags::POLLIN | out),
            PollFd::new(self.wakeups.as_fd(), PollFlags::POLLIN),
        ];
        if poll(&mut fds, timeout(next)).is_err() {
            std::thread::sleep(TICK);
        }
    }
}
