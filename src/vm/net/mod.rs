//! The networks between the machines: Ethernet segments inside this process. No packet
//! of a test touches the host's own network, and nothing here needs root.
//!
//! # Interface
//!
//! A [`Segment`] is a guard: a switch on a thread of its own, whose ports are unix sockets
//! that QEMU (or anything else that speaks its stream format) calls. It ends, and its
//! sockets go, with its value.
//!
//! ```no_run
//! # fn main() -> imagebuild::error::Result<()> {
//! # use imagebuild::vm::{Direction, Faults, Machine, Segment};
//! # use std::time::Duration;
//! # let folder = std::path::Path::new("/tmp");
//! let public = Segment::new("public", folder)?;   // Segment::seeded(.., 7) repeats a run
//! let cable = public.plug("web1")?;               // for MachineConfig::nic(cable)
//! public.capture(&folder.join("public.pcapng"))?;
//! public.mark("cut web1 public");                 // a comment in the capture
//! public.faults("web1", Direction::Both, Faults::cut())?;
//! public.faults("web1", Direction::FromMachine, Faults { loss: 0.1, ..Faults::none() })?;
//! public.partition(&[&["web1"], &["web2"]])?;     // ports in no group reach all groups
//! public.heal();                                  // no faults, no partition
//! for one in public.who_has("172.16.0.10".parse().unwrap(), Duration::from_secs(1))? {
//!     println!("{} answers with {}", one.port, one.mac);
//! }
//! let last = public.last_announcer("172.16.0.10".parse().unwrap());
//! # Ok(()) }
//! ```
//!
//! - A port is named once; plugging it again gives the same cable, and a machine that was
//!   switched off calls again by itself. A cut cable drops silently: carrier down is
//!   [`Machine::set_link`](crate::vm::Machine::set_link).
//! - Times are [`std::time::Instant`]s, the same clock as the web users'.
//! - Random faults come from the segment's seed ([`Segment::seed`], to be reported).
//! - [`Leases`] give addresses to machines that ask for them.
//! - [`Provider`] makes the segment behave as many VPS networks do.

mod capture;
mod frame;
mod lease;
mod link;
mod packets;
mod port;
mod provider;
mod pump;
mod question;
mod random;
mod segment;
mod sighting;
mod stream;
mod switch;
mod table;

pub use frame::Mac;
pub use lease::Leases;
pub use link::{Direction, Faults};
pub use provider::Provider;
pub use segment::Segment;
pub use sighting::{Answerer, Saying, Sighting};

pub(super) use frame::{Content, Frame, Headers};
pub(super) use packets::{arp, of_mac, solicitation, solicited_node};
pub(super) use pump::{silence, timeout};
pub(super) use stream::{FrameReader, Outbox};
