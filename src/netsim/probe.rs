//! The frames with which a segment itself asks who has an address. IPv4: an ARP probe,
//! which has no sender and so changes nobody's tables. IPv6: a neighbour solicitation from
//! a link-local address of the observer's.

use super::frame::{Frame, Mac};
use super::observation::{AddressMessage, Observation};
use super::packets;
use super::switch::OBSERVER;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The observer's address, which no machine has.
const OWN: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x69, 0x6d67, 0, 1);

/// The question for `address`, to all.
pub(super) fn who_has(address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(target) => {
            let nobody = (Ipv4Addr::UNSPECIFIED, OBSERVER);
            packets::arp(true, nobody, (target, Mac([0; 6])), Mac::BROADCAST)
        }
        IpAddr::V6(target) => {
            packets::solicitation(target, (OWN, OBSERVER), packets::solicited_node(target))
        }
    }
}

/// Whether an observation answers it: also an answer to all, as to a probe of IPv6.
pub(super) fn answers(observation: &Observation, address: IpAddr) -> bool {
    match observation.message {
        AddressMessage::Reply(own) | AddressMessage::Announcement(own) => own == address,
        AddressMessage::Vrrp { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Content, Headers};
    use super::*;

    #[test]
    fn questions_are_well_formed() {
        let target = Ipv4Addr::new(172, 16, 0, 10);
        let headers = Headers::parse(&who_has(target.into())).unwrap();
        let (sender, mac) = (Ipv4Addr::UNSPECIFIED, OBSERVER);
        assert_eq!(headers.content, Content::Arp { is_request: true, sender, mac, target });
        let target: Ipv6Addr = "2001:db8::ffff:10".parse().unwrap();
        let headers = Headers::parse(&who_has(target.into())).unwrap();
        let Content::Solicit { destination, target: asked, .. } = headers.content else { panic!() };
        assert_eq!((destination, asked), ("ff02::1:ffff:10".parse().unwrap(), target));
        assert_eq!(headers.destination, Mac([0x33, 0x33, 0xff, 0xff, 0, 0x10]));
    }
}
