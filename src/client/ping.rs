//! ICMP echo: whether an address answers, and how fast.

use super::engine::{Task, TaskPoll};
use super::host::Host;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr};
use std::net::IpAddr;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

const AGAIN: Duration = Duration::from_secs(1);

/// A ping on its way: once a second until an answer or the deadline.
pub(super) struct Ping {
    pub(super) host: usize,
    pub(super) target: IpAddr,
    pub(super) patience: Duration,
    pub(super) state: Option<Sent>,
    pub(super) done: Sender<Option<Duration>>,
}

/// What has been sent.
pub(super) struct Sent {
    handle: SocketHandle,
    ident: u16,
    end: Instant,
    /// When each was sent, by number.
    echoes: Vec<Instant>,
}

impl Ping {
    fn start(&self, host: &mut Host, now: Instant) -> Sent {
        let meta = || vec![icmp::PacketMetadata::EMPTY; 8];
        let buffer = || icmp::PacketBuffer::new(meta(), vec![0; 2048]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        let ident = host.next_port();
        // A new socket with an identifier can be bound.
        socket.bind(icmp::Endpoint::Ident(ident)).ok();
        let handle = host.sockets.add(socket);
        Sent { handle, ident, end: now + self.patience, echoes: Vec::new() }
    }

    fn send(&self, host: &mut Host, sent: &mut Sent, now: Instant) {
        let (ident, number) = (sent.ident, sent.echoes.len() as u16);
        let packet = echo(host.client.address, self.target, ident, number);
        let socket = host.sockets.get_mut::<icmp::Socket<'_>>(sent.handle);
        // The buffer has room for eight; one more than that is lost.
        socket.send_slice(&packet, self.target.into()).ok();
        sent.echoes.push(now);
    }

    /// How long the echo took that has come.
    fn listen(&self, host: &mut Host, sent: &Sent, now: Instant) -> Option<Duration> {
        let socket = host.sockets.get_mut::<icmp::Socket<'_>>(sent.handle);
        while let Ok((packet, from)) = socket.recv() {
            let number = if self.target.is_ipv4() {
                Icmpv4Packet::new_checked(packet).ok().map(|packet| packet.echo_seq_no())
            } else {
                Icmpv6Packet::new_checked(packet).ok().map(|packet| packet.echo_seq_no())
            };
            let start = number.and_then(|number| sent.echoes.get(usize::from(number)));
            if let (Some(start), true) = (start, IpAddr::from(from) == self.target) {
                return Some(now.saturating_duration_since(*start));
            }
        }
        None
    }
}

fn echo(own: IpAddr, target: IpAddr, ident: u16, seq_no: u16) -> Vec<u8> {
    let (data, checksums) = (&b"imagebuild"[..], ChecksumCapabilities::default());
    if let (IpAddr::V6(own), IpAddr::V6(target)) = (own, target) {
        let repr = Icmpv6Repr::EchoRequest { ident, seq_no, data };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&own, &target, &mut Icmpv6Packet::new_unchecked(&mut bytes), &checksums);
        return bytes;
    }
    let repr = Icmpv4Repr::EchoRequest { ident, seq_no, data };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes), &checksums);
    bytes
}

impl Task for Ping {
    fn poll(&mut self, hosts: &mut [Host], now: Instant) -> TaskPoll {
        let host = &mut hosts[self.host];
        let mut sent = self.state.take().unwrap_or_else(|| self.start(host, now));
        let took = self.listen(host, &sent, now);
        if took.is_some() || now >= sent.end {
            host.forget(sent.handle);
            // Who asked may have gone.
            self.done.send(took).ok();
            return TaskPoll::Done;
        }
        let is_due = sent.echoes.last().is_none_or(|last| now >= *last + AGAIN);
        if is_due {
            self.send(host, &mut sent, now);
        }
        let again = sent.echoes.last().map(|last| *last + AGAIN);
        let next = again.into_iter().chain([sent.end]).min();
        self.state = Some(sent);
        TaskPoll::Pending(next)
    }
}
