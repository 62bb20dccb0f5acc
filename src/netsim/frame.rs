//! What a switch and its observers must know of an Ethernet frame: who sends it, to whom,
//! and what it says about who has which address.

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr,
    IpProtocol, Ipv4Packet, Ipv6Packet, NdiscNeighborFlags, NdiscRepr,
};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A whole frame, from the destination's address on, without checksum.
pub(crate) type Frame = Arc<[u8]>;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// To all.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether a frame for this address is for several (broadcast, too).
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The heads of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) source: Mac,
    pub(crate) destination: Mac,
    pub(crate) content: Content,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// An ARP request (or else a reply): `sender` is at `mac`, and asks for `target`.
    Arp { is_request: bool, sender: Ipv4Addr, mac: Mac, target: Ipv4Addr },
    /// An IPv6 neighbour advertisement: `target` is at `mac`.
    Advert { source: Ipv6Addr, target: Ipv6Addr, mac: Option<Mac>, is_solicited: bool },
    /// An IPv6 neighbour solicitation for `target`.
    Solicit { source: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr },
    /// A VRRP advert.
    Vrrp { source: IpAddr, destination: IpAddr, advert: Vrrp },
    /// Any other packet.
    Ip { source: IpAddr, destination: IpAddr },
    /// Anything else, or damaged.
    Other,
}

/// A VRRP advert, of version 2 or 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vrrp {
    pub(crate) router: u8,
    /// 0 says that the sender gives up.
    pub(crate) priority: u8,
    pub(crate) addresses: Vec<IpAddr>,
}

const VRRP: u8 = 112;

impl Headers {
    /// The heads of `frame`; none when it is too short for Ethernet.
    pub(crate) fn parse(frame: &[u8]) -> Option<Headers> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let payload = ethernet.payload();
        let content = match ethernet.ethertype() {
            EthernetProtocol::Arp => arp(payload),
            EthernetProtocol::Ipv4 => ipv4(payload),
            EthernetProtocol::Ipv6 => ipv6(payload),
            EthernetProtocol::Unknown(_) => None,
        };
        Some(Headers {
            source: Mac(ethernet.src_addr().0),
            destination: Mac(ethernet.dst_addr().0),
            content: content.unwrap_or(Content::Other),
        })
    }

    /// The destination of a packet.
    pub(crate) fn destination_address(&self) -> Option<IpAddr> {
        match &self.content {
            Content::Ip { destination, .. } | Content::Vrrp { destination, .. } => {
                Some(*destination)
            }
            Content::Solicit { destination, .. } => Some((*destination).into()),
            Content::Arp { .. } | Content::Advert { .. } | Content::Other => None,
        }
    }
}

fn arp(payload: &[u8]) -> Option<Content> {
    let packet = ArpPacket::new_checked(payload).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr: sender,
        target_protocol_addr: target,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    let is_request = match operation {
        ArpOperation::Request => true,
        ArpOperation::Reply => false,
        ArpOperation::Unknown(_) => return None,
    };
    Some(Content::Arp { is_request, sender, mac: Mac(source_hardware_addr.0), target })
}

fn ipv4(payload: &[u8]) -> Option<Content> {
    let packet = Ipv4Packet::new_checked(payload).ok()?;
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    if packet.next_header() == IpProtocol::Unknown(VRRP)
        && let Some(advert) = vrrp::<4>(packet.payload())
    {
        return Some(Content::Vrrp { source, destination, advert });
    }
    Some(Content::Ip { source, destination })
}

fn ipv6(payload: &[u8]) -> Option<Content> {
    let packet = Ipv6Packet::new_checked(payload).ok()?;
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    let protocol = packet.next_header();
    let special = if protocol == IpProtocol::Unknown(VRRP) {
        let advert = vrrp::<16>(packet.payload());
        let (source, destination) = (source.into(), destination.into());
        advert.map(|advert| Content::Vrrp { source, destination, advert })
    } else if protocol == IpProtocol::Icmpv6 {
        neighbours(source, destination, packet.payload())
    } else {
        None
    };
    let plain = Content::Ip { source: source.into(), destination: destination.into() };
    Some(special.unwrap_or(plain))
}

fn neighbours(source: Ipv6Addr, destination: Ipv6Addr, payload: &[u8]) -> Option<Content> {
    let packet = Icmpv6Packet::new_checked(payload).ok()?;
    let ignored = smoltcp::phy::ChecksumCapabilities::ignored();
    let Icmpv6Repr::Ndisc(repr) =
        Icmpv6Repr::parse(&source, &destination, &packet, &ignored).ok()?
    else {
        return None;
    };
    match repr {
        NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr } => {
            let bytes = lladdr.and_then(|address| <[u8; 6]>::try_from(address.as_bytes()).ok());
            let is_solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
            Some(Content::Advert { source, target, mac: bytes.map(Mac), is_solicited })
        }
        NdiscRepr::NeighborSolicit { target_addr: target, .. } => {
            Some(Content::Solicit { source, destination, target })
        }
        NdiscRepr::RouterSolicit { .. }
        | NdiscRepr::RouterAdvert { .. }
        | NdiscRepr::Redirect { .. } => None,
    }
}

/// RFC 3768 and 5798: version and type, router, priority, number of addresses, two
/// fields that differ, checksum, addresses of `N` bytes.
fn vrrp<const N: usize>(payload: &[u8]) -> Option<Vrrp> {
    let [head, router, priority, count, _, _, _, _, rest @ ..] = payload else { return None };
    if !matches!(head, 0x21 | 0x31) {
        return None;
    }
    let addresses =
        rest.chunks_exact(N).take(usize::from(*count)).filter_map(
            |bytes| match <[u8; 4]>::try_from(bytes) {
                Ok(four) => Some(IpAddr::from(four)),
                Err(_) => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
            },
        );
    Some(Vrrp { router: *router, priority: *priority, addresses: addresses.collect() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame with this payload.
    pub(in crate::netsim) fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Frame {
        let mut frame = [to.0, from.0].concat();
        frame.extend(kind.to_be_bytes());
        frame.extend(payload);
        frame.into()
    }

    /// An ARP packet; a request if `target` differs from `sender`.
    pub(in crate::netsim) fn arp_frame(to: Mac, mac: Mac, ask: bool, ips: [[u8; 4]; 2]) -> Frame {
        let mut payload = vec![0, 1, 8, 0, 6, 4, 0, if ask { 1 } else { 2 }];
        payload.extend(mac.0);
        payload.extend(ips[0]);
        payload.extend([0; 6]);
        payload.extend(ips[1]);
        ethernet(to, mac, 0x0806, &payload)
    }

    /// An IPv4 packet.
    pub(in crate::netsim) fn ipv4_frame(
        (to, from): (Mac, Mac),
        [source, destination]: [[u8; 4]; 2],
        protocol: u8,
        payload: &[u8],
    ) -> Frame {
        let length = (20 + payload.len()) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0, 0, 255, protocol, 0, 0]);
        packet.extend(source);
        packet.extend(destination);
        packet.extend(payload);
        ethernet(to, from, 0x0800, &packet)
    }

    pub(in crate::netsim) const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
    pub(in crate::netsim) const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

    #[test]
    fn arp_is_read() {
        let frame = arp_frame(Mac::BROADCAST, A, true, [[172, 16, 0, 10]; 2]);
        let headers = Headers::parse(&frame).unwrap();
        assert_eq!((headers.source, headers.destination), (A, Mac::BROADCAST));
        let address = Ipv4Addr::new(172, 16, 0, 10);
        let content = Content::Arp { is_request: true, sender: address, mac: A, target: address };
        assert_eq!(headers.content, content);
    }

    #[test]
    fn vrrp_is_read() {
        let advert = [0x31, 10, 100, 1, 0, 25, 0, 0, 172, 16, 0, 10];
        let frame = ipv4_frame((B, A), [[172, 16, 0, 11], [172, 16, 0, 12]], 112, &advert);
        let Content::Vrrp { advert, .. } = Headers::parse(&frame).unwrap().content else {
            panic!();
        };
        let addresses = vec![IpAddr::from([172, 16, 0, 10])];
        assert_eq!(advert, Vrrp { router: 10, priority: 100, addresses });
    }

    #[test]
    fn addresses_are_shown_as_everywhere() {
        assert_eq!(A.to_string(), "02:00:00:00:00:0a");
        assert!(Mac::BROADCAST.is_group() && !A.is_group());
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            drop(Headers::parse(&bytes));
        }

        /// Nearly right frames reach deeper than noise.
        #[test]
        fn never_panics_on_damaged_packets(kind in 0..4_usize, at in 0..60_usize, byte: u8, end in 14..80_usize) {
            let frames: [Frame; 4] = [
                arp_frame(Mac::BROADCAST, A, true, [[1; 4], [2; 4]]),
                ipv4_frame((B, A), [[1; 4], [2; 4]], 112, &[0x31, 1, 1, 9, 0, 0, 0, 0, 1, 2, 3]),
                ethernet(B, A, 0x86dd, &[&[0x60, 0, 0, 0, 0, 32, 58, 255][..], &[1; 32], &[136, 0, 0, 0, 0xe0, 0, 0, 0], &[7; 16], &[2, 1, 1, 2, 3, 4, 5, 6]].concat()),
                ethernet(B, A, 0x86dd, &[&[0x60, 0, 0, 0, 0, 24, 112, 255][..], &[1; 32], &[0x31, 1, 1, 1, 0, 0, 0, 0], &[7; 16]].concat()),
            ];
            let mut bytes = frames[kind].to_vec();
            if let Some(one) = bytes.get_mut(at) {
                *one = byte;
            }
            bytes.truncate(end);
            drop(Headers::parse(&bytes));
        }
    }
}
