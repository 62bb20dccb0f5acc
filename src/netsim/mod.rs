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
//! # use imagebuild::netsim::{Direction, Impairment, Segment};
//! # use imagebuild::qemu::{Machine};
//! # use std::time::Duration;
//! # let folder = std::path::Path::new("/tmp");
//! let public = Segment::new("public", folder)?;   // Segment::seeded(.., 7) repeats a run
//! let cable = public.plug("web1")?;               // for MachineConfig::nic(cable)
//! public.capture(&folder.join("public.pcapng"))?;
//! public.mark("disconnect web1 public");                 // a comment in the capture
//! public.impair("web1", Direction::Both, Impairment::disconnected())?;
//! public.impair("web1", Direction::FromMachine, Impairment { loss: 0.1, ..Impairment::none() })?;
//! public.partition(&[&["web1"], &["web2"]])?;     // ports in no group reach all groups
//! public.reset();                                  // no impairment, no partition
//! for one in public.who_has("172.16.0.10".parse().unwrap(), Duration::from_secs(1))? {
//!     println!("{} answers with {}", one.port, one.mac);
//! }
//! let last = public.last_announcer("172.16.0.10".parse().unwrap());
//! # Ok(()) }
//! ```
//!
//! - A port is named once; plugging it again gives the same cable, and a machine that was
//!   switched off calls again by itself. A disconnected link drops frames silently: carrier down is
//!   [`Machine::set_link`](crate::qemu::Machine::set_link).
//! - Times are [`std::time::Instant`]s, the same clock as the web clients'.
//! - Random impairments come from the segment's seed ([`Segment::seed`], to be reported).
//! - [`Leases`] give addresses to machines that ask for them.
//! - [`Provider`] makes the segment behave as many VPS networks do.

mod capture;
mod event_loop;
mod frame;
mod lease;
mod link;
mod mac_table;
mod observation;
mod packets;
mod port;
mod probe;
mod provider;
mod random;
mod router;
mod segment;
mod stream;
mod switch;

pub use frame::Mac;
pub use lease::Leases;
pub use link::{Direction, Impairment};
pub use observation::{AddressMessage, Answerer, Observation};
pub use provider::Provider;
pub use router::Router;
pub use segment::Segment;

pub(crate) use event_loop::{drain, timeout};
pub(crate) use frame::{Content, Frame, Headers};
pub(crate) use packets::{arp, of_mac, solicitation, solicited_node};
pub(crate) use stream::{FrameReader, Outbox};
