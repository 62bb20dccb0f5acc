//! What smoltcp's neighbour tables do not take from the segment as it comes, put into a
//! form that they take: so that a web client follows a floating address as Linux does.

use crate::netsim::{Content, Frame, Headers, Mac, arp, solicitation, solicited_node};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A host's own addresses, the neighbours that have ever answered it, and those that it
/// asked for.
#[derive(Debug)]
pub(super) struct Neighbours {
    own: (IpAddr, Mac),
    heard: BTreeSet<IpAddr>,
    asked: BTreeSet<IpAddr>,
}

impl Neighbours {
    pub(super) fn new(address: IpAddr, mac: Mac) -> Neighbours {
        Neighbours { own: (address, mac), heard: BTreeSet::new(), asked: BTreeSet::new() }
    }

    /// Whether this neighbour has ever spoken to us.
    pub(super) fn has_heard(&self, address: IpAddr) -> bool {
        self.heard.contains(&address)
    }

    /// This host sends a frame.
    pub(super) fn sends(&mut self, frame: &[u8]) {
        if let Some(Content::Arp { is_request: true, target, .. }) =
            Headers::parse(frame).map(|headers| headers.content)
        {
            self.asked.insert(target.into());
        }
    }

    /// A frame for this host, as smoltcp understands it.
    pub(super) fn take(&mut self, frame: Frame) -> Frame {
        let Some(headers) = Headers::parse(&frame) else { return frame };
        match (headers.content, self.own) {
            (Content::Arp { sender, mac, target, .. }, (IpAddr::V4(own), own_mac)) => {
                // A gateway outside of the own network is asked with another address.
                let is_answer =
                    headers.destination == own_mac && self.asked.contains(&sender.into());
                if target == own || is_answer {
                    self.heard.insert(sender.into());
                } else if headers.destination.is_group() && self.asked.contains(&sender.into()) {
                    // smoltcp reads only ARP that asks for its own address; Linux takes
                    // any packet's word for a neighbour that it has asked for.
                    self.heard.insert(sender.into());
                    return arp(false, (sender, mac), (own, own_mac), own_mac);
                }
            }
            (Content::Advert { target, .. }, (IpAddr::V6(_), _)) => {
                self.heard.insert(target.into());
            }
            // Linux asks a neighbour that it knows directly whether it is still there
            // (RFC 4861 7.3.3); smoltcp answers only what comes to its group.
            (Content::Solicit { source, destination, target }, (IpAddr::V6(own), _))
                if target == own && destination == own =>
            {
                return solicitation(target, (source, headers.source), solicited_node(own));
            }
            _ => {}
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OLD: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const NEW: Mac = Mac([2, 0, 0, 0, 0, 3]);

    #[test]
    fn an_announcement_counts_only_for_neighbours_that_were_asked_for() {
        let (own, floating) = (Ipv4Addr::new(172, 16, 255, 1), Ipv4Addr::new(172, 16, 0, 10));
        let mut neighbours = Neighbours::new(own.into(), OWN);
        let announcement = arp(true, (floating, NEW), (floating, NEW), Mac::BROADCAST);
        assert_eq!(neighbours.take(announcement.clone()), announcement);
        neighbours.sends(&arp(true, (own, OWN), (floating, Mac([0; 6])), Mac::BROADCAST));
        let answer = arp(false, (floating, OLD), (own, OWN), OWN);
        assert_eq!(neighbours.take(answer.clone()), answer);
        assert!(neighbours.has_heard(floating.into()));
        let taken = neighbours.take(announcement);
        assert_eq!(taken, arp(false, (floating, NEW), (own, OWN), OWN));
    }

    #[test]
    fn a_direct_question_goes_to_the_group() {
        let own: Ipv6Addr = "2001:db8::f:1".parse().unwrap();
        let asker = ("fe80::1".parse().unwrap(), OLD);
        let mut neighbours = Neighbours::new(own.into(), OWN);
        let taken = neighbours.take(solicitation(own, asker, (own, OWN)));
        assert_eq!(taken, solicitation(own, asker, solicited_node(own)));
    }
}
