//! `link-down`, `link-up`, `disconnect`, `reconnect`, `impair`, `clear-impairment`: a machine's
//! link on a network.

use super::{Kind, action_kinds};
use crate::error::Result;
use crate::scenario::check::Checker;
use crate::scenario::{Direction, Name, Seconds, Share};
use serde::Deserialize;
use std::fmt;

/// A machine's link on a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnLink {
    /// The machine.
    pub of: Name,
    /// The network.
    pub network: Name,
    /// Which way; both, if nothing is said.
    #[serde(default)]
    pub direction: Direction,
}

/// A machine's interface on a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OnInterface {
    /// The machine.
    pub of: Name,
    /// The network.
    pub network: Name,
}

/// Loss, delay, duplicates, a slow rate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Impair {
    /// The machine.
    pub of: Name,
    /// The network.
    pub network: Name,
    /// Which way; both, if nothing is said.
    #[serde(default)]
    pub direction: Direction,
    /// The share of frames that is lost.
    pub loss: Option<Share>,
    /// The share of frames that comes twice.
    pub duplicate: Option<Share>,
    /// How long every frame takes more.
    pub delay: Option<Seconds>,
    /// Bits a second that go through at most.
    pub bits_per_second: Option<u64>,
}

action_kinds! {
    /// The interface loses its carrier: the guest notices.
    LinkDown(OnInterface): is_an_interface, |one| format!("take down {}", one.shown());
    /// The carrier is back.
    LinkUp(OnInterface): is_an_interface, |one| format!("bring up {}", one.shown());
    /// All frames are dropped somewhere on their way: the guest does not notice.
    Disconnect(OnLink): is_a_link, |link| format!("disconnect {}", link.shown());
    /// Frames get through again.
    Reconnect(OnLink): is_a_link, |link| format!("reconnect {}", link.shown());
    /// The link is as good as new.
    ClearImpairment(OnLink): is_a_link, |link| format!("clear the impairment of {}", link.shown());
}

fn is_a_link(link: &OnLink, checker: &Checker<'_>) -> Result<()> {
    checker.link(&link.of, &link.network)
}

fn is_an_interface(one: &OnInterface, checker: &Checker<'_>) -> Result<()> {
    checker.link(&one.of, &one.network)
}

impl OnInterface {
    fn shown(&self) -> String {
        format!("{}'s {} link", self.of.get_ref(), self.network.get_ref())
    }
}

impl OnLink {
    fn shown(&self) -> String {
        let way = match self.direction {
            Direction::In => ", to it",
            Direction::Out => ", from it",
            Direction::Both => "",
        };
        format!("{}'s {} link{way}", self.of.get_ref(), self.network.get_ref())
    }
}

impl Kind for Impair {
    fn check(&self, checker: &Checker<'_>) -> Result<()> {
        checker.link(&self.of, &self.network)
    }
}

impl fmt::Display for Impair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "impair {}'s {} link:", self.of.get_ref(), self.network.get_ref())?;
        if let Some(share) = self.loss {
            write!(f, " {} % lost", share.get() * 100.0)?;
        }
        if let Some(share) = self.duplicate {
            write!(f, " {} % twice", share.get() * 100.0)?;
        }
        if let Some(delay) = self.delay {
            write!(f, " {delay} late")?;
        }
        match self.bits_per_second {
            Some(rate) => write!(f, " {rate} bit/s"),
            None => Ok(()),
        }
    }
}
