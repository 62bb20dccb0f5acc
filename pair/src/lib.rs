//! Which of two databases takes writes: the deciding part of the pair's agent. Pure: it knows
//! neither files nor sockets nor clocks. What it is told (messages, what the database says, how
//! late it is) are [`Event`]s, what is to be done are [`Action`]s; who carries them out must do
//! so in their order, and must have written a register to disk before the next action.
//!
//! `docs/pairs.md` has the protocol in words, and why it loses nothing.

mod config;
mod database;
mod member;
mod message;
pub mod register;
mod times;

pub use config::{Config, DATABASES, Members, Node};
pub use database::{Command, Data, Replication, Status};
pub use member::{Action, Event, Member, Need};
pub use message::{Alive, Message};
pub use times::Times;
