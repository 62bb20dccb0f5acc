//! What a segment has seen: who said that he has which address, when, at which port.
//! The log can be read and waited on by any thread.

use super::frame::{Content, Headers, Mac};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

/// The oldest observations make room for new ones: an hour of adverts at 20 a second.
const MOST: usize = 72_000;

/// Somebody said something about addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When the switch saw it.
    pub at: Instant,
    /// The port at which it came in.
    pub port: String,
    /// The hardware address that it is about.
    pub mac: Mac,
    /// What was said.
    pub message: AddressMessage,
}

/// What was said about addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressMessage {
    /// "The address is here now", to everyone, unasked: gratuitous ARP, or an unsolicited
    /// neighbour advertisement.
    Announcement(IpAddr),
    /// "The address is here", because somebody had asked.
    Reply(IpAddr),
    /// A VRRP advert: "I hold these addresses".
    Vrrp {
        /// The virtual router.
        router: u8,
        /// The sender's; 0 says that it gives up.
        priority: u8,
        /// What the virtual router holds.
        addresses: Vec<IpAddr>,
    },
}

impl AddressMessage {
    /// Whether it claims `address` (giving it up is no claim).
    pub fn claims(&self, address: IpAddr) -> bool {
        match self {
            AddressMessage::Announcement(own) | AddressMessage::Reply(own) => *own == address,
            AddressMessage::Vrrp { priority, addresses, .. } => {
                *priority > 0 && addresses.contains(&address)
            }
        }
    }
}

/// Who answers when one asks for an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answerer {
    /// The port.
    pub port: String,
    /// The hardware address that was given.
    pub mac: Mac,
}

/// What a frame says about addresses: the hardware address, and the message.
pub(super) fn in_frame(headers: &Headers) -> Option<(Mac, AddressMessage)> {
    match &headers.content {
        Content::Arp { sender, target, mac, .. } if sender == target => {
            Some((*mac, AddressMessage::Announcement((*sender).into())))
        }
        Content::Arp { is_request: false, sender, mac, .. } => {
            // Some announce by a reply to all that nobody had asked for.
            let address = (*sender).into();
            let to_all = headers.destination == Mac::BROADCAST;
            Some((
                *mac,
                if to_all {
                    AddressMessage::Announcement(address)
                } else {
                    AddressMessage::Reply(address)
                },
            ))
        }
        Content::Advert { target, mac, is_solicited, .. } => {
            let address = (*target).into();
            let said = if *is_solicited {
                AddressMessage::Reply(address)
            } else {
                AddressMessage::Announcement(address)
            };
            Some((mac.unwrap_or(headers.source), said))
        }
        Content::Vrrp { advert, .. } => {
            let (router, priority) = (advert.router, advert.priority);
            let addresses = advert.addresses.clone();
            Some((headers.source, AddressMessage::Vrrp { router, priority, addresses }))
        }
        Content::Arp { .. } | Content::Solicit { .. } | Content::Ip { .. } | Content::Other => None,
    }
}

/// All observations, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log(VecDeque<Observation>);

impl Log {
    pub(super) fn push(&mut self, observation: Observation) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(observation);
    }

    /// Those since `start`, oldest first.
    pub(super) fn since(&self, start: Instant) -> impl Iterator<Item = &Observation> {
        let first = self.0.partition_point(|one| one.at < start);
        self.0.range(first..)
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Observation> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{A, B, arp_frame, ipv4_frame};
    use super::*;
    use std::time::Duration;

    const X: [u8; 4] = [172, 16, 0, 10];
    const Y: [u8; 4] = [172, 16, 0, 11];

    fn said(frame: &[u8]) -> Option<AddressMessage> {
        in_frame(&Headers::parse(frame).unwrap()).map(|(_, message)| message)
    }

    #[test]
    fn announcements_answers_and_questions_are_told_apart() {
        let announced = Some(AddressMessage::Announcement(X.into()));
        assert_eq!(said(&arp_frame(Mac::BROADCAST, A, true, [X, X])), announced);
        assert_eq!(said(&arp_frame(Mac::BROADCAST, A, false, [X, X])), announced);
        assert_eq!(said(&arp_frame(B, A, false, [X, Y])), Some(AddressMessage::Reply(X.into())));
        assert_eq!(said(&arp_frame(Mac::BROADCAST, A, true, [X, Y])), None);
    }

    #[test]
    fn giving_up_is_no_claim() {
        let advert = |priority| {
            let advert = [&[0x31, 10, priority, 1, 0, 25, 0, 0][..], &X].concat();
            said(&ipv4_frame((B, A), [Y, Y], 112, &advert)).unwrap()
        };
        assert!(advert(90).claims(X.into()));
        assert!(!advert(0).claims(X.into()));
        assert!(!advert(90).claims(Y.into()));
    }

    #[test]
    fn the_log_finds_by_time() {
        let (mut log, start) = (Log::default(), Instant::now());
        for seconds in 0..5 {
            let at = start + Duration::from_secs(seconds);
            let message = AddressMessage::Announcement(X.into());
            log.push(Observation { at, port: "web1".into(), mac: A, message });
        }
        assert_eq!(log.since(start + Duration::from_secs(3)).count(), 2);
        assert_eq!(log.all().count(), 5);
    }
}
