//! One web client's computer: one address, its own hardware address, its own TCP/IP.

use super::exchange::Failure;
use super::neighbours::Neighbours;
use crate::error::{Error, Result};
use crate::netsim::{Frame, Mac, of_mac};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as Ticks;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a closed connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
/// Linux' own range of ephemeral ports.
const PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;
/// What fits into a cable: an Ethernet header and 1500 bytes.
const LONGEST: usize = 1514;

/// A web client's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// The address.
    pub address: IpAddr,
    /// The bits of its network.
    pub prefix: u8,
    /// Where packets for other networks go; without one there is no way there.
    pub gateway: Option<IpAddr>,
}

impl ClientConfig {
    /// `172.16.255.1/16` or `2001:db8::f:1/64`.
    ///
    /// # Errors
    /// `Input` when it is not that.
    pub fn parse(text: &str) -> Result<ClientConfig> {
        let parts = text.split_once('/').and_then(|(address, prefix)| {
            let address: IpAddr = address.parse().ok()?;
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let prefix: u8 = prefix.parse().ok()?;
            (prefix <= longest).then_some(ClientConfig { address, prefix, gateway: None })
        });
        parts.ok_or_else(|| {
            Error::input(format!("{text:?} is no address with a network"))
                .hint("write 172.16.255.1/16 or 2001:db8::f:1/64")
        })
    }

    /// With a gateway.
    #[must_use]
    pub fn gateway(mut self, gateway: IpAddr) -> ClientConfig {
        self.gateway = Some(gateway);
        self
    }

    /// The neighbour through which `target` is reached.
    fn next_hop(&self, target: IpAddr) -> Option<IpAddr> {
        let own = IpCidr::new(self.address.into(), self.prefix);
        if own.contains_addr(&target.into()) { Some(target) } else { self.gateway }
    }
}

/// The network of every link by itself (RFC 4291 2.5.6).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// A host on the segment.
pub(super) struct Host {
    pub(super) client: ClientConfig,
    pub(super) mac: Mac,
    start: Instant,
    interface: Interface,
    pub(super) sockets: SocketSet<'static>,
    wire: Wire,
    neighbours: Neighbours,
    port: u16,
    closing: Vec<(SocketHandle, Instant)>,
}

impl Host {
    pub(super) fn new(client: ClientConfig, mac: Mac, start: Instant, seed: u64) -> Host {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac.0)));
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, Ticks::ZERO);
        interface.update_ip_addrs(|all| {
            // The list has room for two.
            all.push(IpCidr::new(client.address.into(), client.prefix)).ok();
            // smoltcp believes neighbours of its own networks only: one more, of two addresses,
            // for a gateway that is outside of them.
            let own = IpCidr::new(client.address.into(), client.prefix);
            if let Some(IpAddr::V4(gateway)) = client.gateway
                && !own.contains_addr(&IpAddr::from(gateway).into())
            {
                let next = Ipv4Addr::from_bits(gateway.to_bits() ^ 1);
                all.push(IpCidr::new(IpAddr::from(next).into(), 31)).ok();
            }
            // A neighbour may ask from its link-local address: whoever answers for an address
            // that is on its loopback does, as LVS's real servers.
            if client.address.is_ipv6() {
                all.push(IpCidr::new(of_mac(LINK_LOCAL, mac).into(), 64)).ok();
            }
        });
        let routes = interface.routes_mut();
        // And for two routes.
        match client.gateway {
            Some(IpAddr::V4(gateway)) => drop(routes.add_default_ipv4_route(gateway)),
            Some(IpAddr::V6(gateway)) => drop(routes.add_default_ipv6_route(gateway)),
            None => {}
        }
        let (neighbours, sockets) = (Neighbours::new(client.address, mac), SocketSet::new(vec![]));
        let port = PORTS.start() + (seed % PORTS.len() as u64) as u16;
        let closing = Vec::new();
        Host { client, mac, start, interface, sockets, wire, neighbours, port, closing }
    }

    /// Why no packet to `target` has a chance, if so.
    pub(super) fn check_route(&self, target: IpAddr) -> Result<(), Failure> {
        self.client.next_hop(target).map_or(Err(Failure::NoRoute), |_| Ok(()))
    }

    /// Whether the neighbour on the way to `target` has ever answered.
    pub(super) fn has_neighbour(&self, target: IpAddr) -> bool {
        self.client.next_hop(target).is_some_and(|next| self.neighbours.has_heard(next))
    }

    /// Calls a server, with buffers of so many bytes.
    pub(super) fn connect(
        &mut self,
        server: SocketAddr,
        buffer: usize,
    ) -> Result<SocketHandle, Failure> {
        self.check_route(server.ip())?;
        let buffers = || tcp::SocketBuffer::new(vec![0; buffer]);
        let mut socket = tcp::Socket::new(buffers(), buffers());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let local = self.next_port();
        let asked = socket.connect(self.interface.context(), server, local);
        asked.map_err(|_| Failure::NoRoute)?;
        Ok(self.sockets.add(socket))
    }

    pub(super) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Says goodbye to a connection and forgets it.
    pub(super) fn close(&mut self, handle: SocketHandle, now: Instant) {
        self.tcp(handle).close();
        self.closing.push((handle, now + GOODBYE));
    }

    /// Breaks a connection off.
    pub(super) fn abort(&mut self, handle: SocketHandle, now: Instant) {
        self.tcp(handle).abort();
        self.closing.push((handle, now + GOODBYE));
    }

    /// Forgets a connection without a word.
    pub(super) fn forget(&mut self, handle: SocketHandle) {
        drop(self.sockets.remove(handle));
    }

    pub(super) fn next_port(&mut self) -> u16 {
        self.port = if self.port >= *PORTS.end() { *PORTS.start() } else { self.port + 1 };
        self.port
    }

    /// A frame for this host has come.
    pub(super) fn take(&mut self, frame: &Frame) {
        let frame = self.neighbours.take(Frame::clone(frame));
        self.wire.inbox.push_back(frame);
    }

    /// Sends a frame as it is.
    #[cfg(test)]
    pub(super) fn send(&mut self, frame: &Frame) {
        self.wire.outbox.push(frame.to_vec());
    }

    /// Whether a frame with this destination is for this host, too.
    pub(super) fn wants(&self, destination: Mac) -> bool {
        destination.is_group() || destination == self.mac
    }

    /// Does all that is due; gives the frames that leave.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let ticks = self.ticks(now);
        self.interface.poll(ticks, &mut self.wire, &mut self.sockets);
        self.bury(now);
        let sent = std::mem::take(&mut self.wire.outbox);
        sent.iter().for_each(|frame| self.neighbours.sends(frame));
        sent
    }

    /// When something is due by itself.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        let ticks = self.ticks(now);
        let delay = self.interface.poll_delay(ticks, &self.sockets)?;
        Some(now + Duration::from(delay))
    }

    fn bury(&mut self, now: Instant) {
        let Host { closing, sockets, .. } = self;
        closing.retain(|(handle, end)| {
            let state = sockets.get::<tcp::Socket<'_>>(*handle).state();
            let is_over = now >= *end || matches!(state, tcp::State::Closed | tcp::State::TimeWait);
            if is_over {
                drop(sockets.remove(*handle));
            }
            !is_over
        });
    }

    fn ticks(&self, now: Instant) -> Ticks {
        Ticks::from_micros(now.saturating_duration_since(self.start).as_micros() as i64)
    }
}

/// Frames on their way in and out.
#[derive(Debug, Default)]
struct Wire {
    inbox: VecDeque<Frame>,
    outbox: Vec<Vec<u8>>,
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Ticks) -> Option<(Received, Sending<'_>)> {
        let frame = self.inbox.pop_front()?;
        Some((Received(frame), Sending(&mut self.outbox)))
    }

    fn transmit(&mut self, _now: Ticks) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities
    }
}

/// A frame that smoltcp reads.
struct Received(Frame);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// A frame that smoltcp writes.
struct Sending<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        self.0.push(frame);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_follow_from_macs() {
        let mac = Mac([0x52, 0x54, 0x00, 0xb9, 0x4e, 0x00]);
        assert_eq!(of_mac(LINK_LOCAL, mac).to_string(), "fe80::5054:ff:feb9:4e00");
    }
}
