//! What voters say to each other.

use crate::config::Config;
use crate::register::{Acceptor, Reply, Request};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A sign of life.
    Alive(Alive),
    /// From a proposer to an acceptor.
    Request(Request),
    /// From an acceptor to a proposer.
    Reply(Reply),
    /// A voter that has lost its acceptor's state asks for everybody's.
    Recover {
        /// Tells its requests apart.
        number: u64,
    },
    /// The reply; no state, if it has none either.
    Recovered {
        /// Of the request.
        number: u64,
        /// The acceptor's state.
        state: Option<Acceptor>,
    },
}

/// A sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alive {
    /// Grows with each of the sender's.
    pub number: u64,
    /// The number of the receiver's last one that has come: by it the receiver knows how old
    /// this message may be at most, however long it was on its way.
    pub echo: u64,
    /// Whether it has its acceptor's state, and so votes.
    pub votes: bool,
    /// The last value that it knows of; it may be one that was never chosen.
    pub config: Option<Config>,
    /// Whether its database answers and may be used; a witness has none.
    pub fit: bool,
    /// Whether it is about to be stopped, and wants to be relieved at once.
    pub leaves: bool,
    /// Whether its database has any data; not known until the database has answered once.
    pub has_data: Option<bool>,
    /// Whether it hears the first and the second database.
    pub hears: [bool; 2],
}
