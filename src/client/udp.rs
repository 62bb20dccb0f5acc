//! Whether something answers on UDP ports: an answer says open, ICMP's "port unreachable"
//! closed, silence filtered (or open and silent).

use super::engine::{Task, TaskPoll};
use super::host::Host;
use super::scan::PortState;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::IpListenEndpoint;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// A question is repeated after so long, once: the first may wait for ARP.
const AGAIN: Duration = Duration::from_secs(1);

/// Questions on their way.
pub(super) struct UdpTask {
    pub(super) host: usize,
    pub(super) target: IpAddr,
    pub(super) questions: Vec<(u16, Vec<u8>)>,
    pub(super) patience: Duration,
    pub(super) state: Option<Asked>,
    pub(super) done: Sender<Vec<(u16, PortState)>>,
}

/// What has been asked.
pub(super) struct Asked {
    since: Instant,
    is_repeated: bool,
    sockets: Vec<Question>,
}

struct Question {
    port: u16,
    udp: SocketHandle,
    icmp: SocketHandle,
    state: Option<PortState>,
}

impl Host {
    fn open_question(&mut self, port: u16) -> Question {
        let local = self.next_port();
        let meta = || vec![udp::PacketMetadata::EMPTY; 4];
        let buffer = || udp::PacketBuffer::new(meta(), vec![0; 4096]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        let meta = || vec![icmp::PacketMetadata::EMPTY; 4];
        let buffer = || icmp::PacketBuffer::new(meta(), vec![0; 4096]);
        let mut errors = icmp::Socket::new(buffer(), buffer());
        let endpoint = IpListenEndpoint { addr: None, port: local };
        // New sockets with a port that is not 0 can be bound.
        socket.bind(endpoint).ok();
        errors.bind(icmp::Endpoint::Udp(endpoint)).ok();
        let (udp, icmp) = (self.sockets.add(socket), self.sockets.add(errors));
        Question { port, udp, icmp, state: None }
    }
}

impl UdpTask {
    fn ask(&self, host: &mut Host, sockets: &[Question]) {
        for (question, (port, payload)) in sockets.iter().zip(&self.questions) {
            let socket = host.sockets.get_mut::<udp::Socket<'_>>(question.udp);
            // The buffer has room for four.
            socket.send_slice(payload, SocketAddr::new(self.target, *port)).ok();
        }
    }

    fn listen(host: &mut Host, sockets: &mut [Question]) {
        for question in sockets {
            if host.sockets.get_mut::<udp::Socket<'_>>(question.udp).recv().is_ok() {
                question.state = Some(PortState::Open);
            }
            if host.sockets.get_mut::<icmp::Socket<'_>>(question.icmp).recv().is_ok() {
                question.state.get_or_insert(PortState::Closed);
            }
        }
    }
}

impl Task for UdpTask {
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        let host = &mut hosts[self.host];
        let mut asked = self.state.take().unwrap_or_else(|| {
            let sockets = self.questions.iter().map(|(port, _)| host.open_question(*port));
            let sockets: Vec<Question> = sockets.collect();
            self.ask(host, &sockets);
            Asked { since: now, is_repeated: false, sockets }
        });
        UdpTask::listen(host, &mut asked.sockets);
        if now >= asked.since + AGAIN && !asked.is_repeated {
            asked.is_repeated = true;
            self.ask(host, &asked.sockets);
        }
        let end = asked.since + self.patience;
        if now < end && asked.sockets.iter().any(|one| one.state.is_none()) {
            let again = asked.since + AGAIN;
            let next = if asked.is_repeated { end } else { again.min(end) };
            self.state = Some(asked);
            return TaskPoll::Pending(Some(next));
        }
        for question in &asked.sockets {
            host.forget(question.udp);
            host.forget(question.icmp);
        }
        let states = asked.sockets.iter();
        let states = states.map(|one| (one.port, one.state.unwrap_or(PortState::Filtered)));
        // Who asked may have gone.
        drop(self.done.send(states.collect()));
        TaskPoll::Done
    }
}
