//! Messages as datagrams: a head, the message, and HMAC-SHA-256 over both (RFC 2104), by a key
//! made of the pair's secret and of who its members are: two pairs with one secret do not hear
//! each other. Nothing here protects against a message that comes a second time; the protocol
//! does (rounds and beats have numbers that differ after every start).
//!
//! All numbers are big-endian. Head: `IBP1`, sender, receiver, one byte each.

use crate::settings::Settings;
use hmac::{Hmac, Mac};
use imagebuild_pair::register::{Acceptor, Ballot, Reply, Request};
use imagebuild_pair::{Alive, Config, Message, Node};
use sha2::Sha256;

const MAGIC: &[u8; 4] = b"IBP1";
const TAG: usize = 32;

/// What authenticates: the key is never shown.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    /// Of the pair's secret; fails if that is empty.
    pub(crate) fn new(secret: &[u8], settings: &Settings) -> Result<Key, String> {
        if secret.is_empty() {
            return Err("the pair's secret is empty".to_owned());
        }
        let mac = |key: &[u8]| {
            Hmac::<Sha256>::new_from_slice(key).map_err(|_| "the secret is no key".to_owned())
        };
        let mut members = mac(secret)?;
        members.update(b"imagebuild pair 1\n");
        for peer in &settings.members {
            members.update(format!("{} {:?}\n", peer.name, peer.addresses).as_bytes());
        }
        Ok(Key(mac(&members.finalize().into_bytes())?))
    }

    /// What proves that somebody has the key, for a message.
    pub(crate) fn tag(&self, message: &[u8]) -> [u8; TAG] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether a tag is that of a message; takes as long whatever is wrong.
    pub(crate) fn is_of(&self, message: &[u8], tag: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    }
}

/// A message as it goes over the wire.
pub(crate) fn encode(key: &Key, from: Node, to: Node, message: Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend(MAGIC);
    out.extend([from.0, to.0]);
    put_message(&mut out, message);
    let tag = key.tag(&out);
    out.extend(tag);
    out
}

/// The sender and what it says; nothing if it is not for us, not by a member, or not whole.
pub(crate) fn decode(key: &Key, own: Node, count: u8, bytes: &[u8]) -> Option<(Node, Message)> {
    let (signed, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
    if !key.is_of(signed, tag) {
        return None;
    }
    let mut reader = Reader(signed.strip_prefix(MAGIC)?);
    let (from, to) = (reader.node(count)?, reader.node(count)?);
    let message = reader.message(count)?;
    (to == own && from != own && reader.0.is_empty()).then_some((from, message))
}

fn put_message(out: &mut Vec<u8>, message: Message) {
    match message {
        Message::Alive(alive) => {
            let Alive { number, echo, votes, config, fit, leaves, has_data, hears } = alive;
            out.push(0);
            out.extend(number.to_be_bytes());
            out.extend(echo.to_be_bytes());
            put_flag(out, votes);
            put_option(out, config, put_config);
            put_flag(out, fit);
            put_flag(out, leaves);
            put_option(out, has_data, put_flag);
            hears.into_iter().for_each(|one| put_flag(out, one));
        }
        Message::Request(Request::Prepare(ballot)) => {
            out.push(1);
            put_ballot(out, ballot);
        }
        Message::Request(Request::Accept(ballot, config)) => {
            out.push(2);
            put_ballot(out, ballot);
            put_config(out, config);
        }
        Message::Reply(Reply::Promise { ballot, accepted }) => {
            out.push(3);
            put_ballot(out, ballot);
            put_option(out, accepted, put_accepted);
        }
        Message::Reply(Reply::Accepted { ballot }) => {
            out.push(4);
            put_ballot(out, ballot);
        }
        Message::Reply(Reply::TooOld { ballot, promised }) => {
            out.push(5);
            put_ballot(out, ballot);
            put_ballot(out, promised);
        }
        Message::Recover { number } => {
            out.push(6);
            out.extend(number.to_be_bytes());
        }
        Message::Recovered { number, state } => {
            out.push(7);
            out.extend(number.to_be_bytes());
            put_option(out, state, |out, Acceptor { promised, accepted }| {
                put_ballot(out, promised);
                put_option(out, accepted, put_accepted);
            });
        }
    }
}

fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(u8::from(flag));
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    put_flag(out, value.is_some());
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    out.extend(ballot.number.to_be_bytes());
    out.push(ballot.by.0);
}

fn put_config(out: &mut Vec<u8>, config: Config) {
    out.extend(config.epoch.to_be_bytes());
    out.push(config.primary.0);
    put_flag(out, config.both);
}

fn put_accepted(out: &mut Vec<u8>, (ballot, config): (Ballot, Config)) {
    put_ballot(out, ballot);
    put_config(out, config);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn node(&mut self, count: u8) -> Option<Node> {
        self.byte().filter(|node| *node < count).map(Node)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn ballot(&mut self, count: u8) -> Option<Ballot> {
        Some(Ballot { number: self.number()?, by: self.node(count)? })
    }

    fn config(&mut self) -> Option<Config> {
        Some(Config { epoch: self.number()?, primary: self.node(2)?, both: self.flag()? })
    }

    fn accepted(&mut self, count: u8) -> Option<(Ballot, Config)> {
        Some((self.ballot(count)?, self.config()?))
    }

    fn message(&mut self, count: u8) -> Option<Message> {
        Some(match self.byte()? {
            0 => Message::Alive(Alive {
                number: self.number()?,
                echo: self.number()?,
                votes: self.flag()?,
                config: self.option(Self::config)?,
                fit: self.flag()?,
                leaves: self.flag()?,
                has_data: self.option(Self::flag)?,
                hears: [self.flag()?, self.flag()?],
            }),
            1 => Message::Request(Request::Prepare(self.ballot(count)?)),
            2 => Message::Request(Request::Accept(self.ballot(count)?, self.config()?)),
            3 => Message::Reply(Reply::Promise {
                ballot: self.ballot(count)?,
                accepted: self.option(|reader| reader.accepted(count))?,
            }),
            4 => Message::Reply(Reply::Accepted { ballot: self.ballot(count)? }),
            5 => Message::Reply(Reply::TooOld {
                ballot: self.ballot(count)?,
                promised: self.ballot(count)?,
            }),
            6 => Message::Recover { number: self.number()? },
            7 => Message::Recovered {
                number: self.number()?,
                state: self.option(|reader| {
                    Some(Acceptor {
                        promised: reader.ballot(count)?,
                        accepted: reader.option(|reader| reader.accepted(count))?,
                    })
                })?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Node = Node(0);
    const B: Node = Node(1);

    fn key(secret: &str, third: &str) -> Key {
        let text = format!(
            "own c\nmember a 10.0.0.1\nmember b 10.0.0.2\nmember c {third}\nport 1\n\
             secret /s\nregister /r\nrun /run\n"
        );
        Key::new(secret.as_bytes(), &Settings::read(&text).unwrap()).unwrap()
    }

    fn all() -> Vec<Message> {
        let ballot = Ballot { number: 258, by: B };
        let config = Config { epoch: 1 << 40, primary: B, both: true };
        let accepted = Some((ballot, config));
        let alive = Alive {
            number: u64::MAX,
            echo: 3,
            votes: true,
            config: Some(config),
            fit: false,
            leaves: true,
            has_data: Some(true),
            hears: [true, false],
        };
        vec![
            Message::Alive(alive),
            Message::Alive(Alive { config: None, has_data: None, ..alive }),
            Message::Request(Request::Prepare(ballot)),
            Message::Request(Request::Accept(ballot, config)),
            Message::Reply(Reply::Promise { ballot, accepted }),
            Message::Reply(Reply::Promise { ballot, accepted: None }),
            Message::Reply(Reply::Accepted { ballot }),
            Message::Reply(Reply::TooOld { ballot, promised: ballot }),
            Message::Recover { number: 9 },
            Message::Recovered { number: 9, state: None },
            Message::Recovered { number: 9, state: Some(Acceptor { promised: ballot, accepted }) },
        ]
    }

    #[test]
    fn what_is_sent_is_what_comes() {
        let key = key("secret", "10.0.0.3");
        for message in all() {
            let bytes = encode(&key, A, B, message);
            assert_eq!(decode(&key, B, 3, &bytes), Some((A, message)));
            // To somebody else; by nobody.
            assert_eq!(decode(&key, Node(2), 3, &bytes), None);
            assert_eq!(decode(&key, B, 3, &encode(&key, Node(3), B, message)), None);
        }
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let key = key("secret", "10.0.0.3");
        for message in all() {
            let bytes = encode(&key, A, B, message);
            for length in 0..bytes.len() {
                assert_eq!(decode(&key, B, 3, &bytes[..length]), None);
            }
            for bit in 0..bytes.len() * 8 {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&key, B, 3, &other), None, "bit {bit}");
            }
        }
    }

    /// Also where the tag is right: nothing panics, and what is read is what was meant.
    #[test]
    fn what_a_member_never_sends_is_no_message() {
        let key = key("secret", "10.0.0.3");
        let mut number = 1_u32;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..number % 60)
                .map(|_| {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if number >> 31 == 0 { (number >> 16) as u8 % 9 } else { (number >> 16) as u8 }
                })
                .collect();
            number = number.wrapping_add(1);
            let mut whole = [MAGIC, [0, 1].as_slice(), &bytes].concat();
            let tag = key.tag(&whole);
            whole.extend(tag);
            if let Some((from, message)) = decode(&key, B, 3, &whole) {
                assert_eq!(encode(&key, from, B, message), whole);
            }
        }
    }

    #[test]
    fn another_secret_and_another_pair_are_not_heard() {
        let bytes = encode(&key("secret", "10.0.0.3"), A, B, Message::Recover { number: 1 });
        assert_eq!(decode(&key("other", "10.0.0.3"), B, 3, &bytes), None);
        assert_eq!(decode(&key("secret", "10.0.0.4"), B, 3, &bytes), None);
        assert!(decode(&key("secret", "10.0.0.3"), B, 3, &bytes).is_some());
    }
}
