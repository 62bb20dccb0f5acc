//! Web clients inside this process: they have addresses on a segment, their own TCP/IP
//! (smoltcp), and tell what came of each of their requests. No packet of theirs touches the
//! host's network.
//!
//! # Interface
//!
//! [`Clients`] is a guard: a thread with one port of a [`Segment`](crate::netsim::Segment) and a
//! host behind it for each address. Any number of requests, loads and scans may go on at
//! a time, from any thread.
//!
//! ```no_run
//! # fn main() -> imagebuild::error::Result<()> {
//! # use imagebuild::client::{ClientConfig, Load, LoadSpec, Pace, Request, Scan, Clients};
//! # use imagebuild::netsim::{Segment};
//! # use std::time::Duration;
//! # let folder = std::path::Path::new("/tmp");
//! # let second = Duration::from_secs(1);
//! # let public = Segment::new("public", folder)?;
//! let clients = [ClientConfig::parse("172.16.255.1/16")?, ClientConfig::parse("2001:db8::f:1/64")?];
//! let clients = Clients::attach(&public, "clients", &clients)?;
//!
//! let exchange = clients.get("http://172.16.0.10/servercheck.txt", second)?;
//! println!("{exchange}");                          // 200 after 12 ms, or why not
//! let post = Request::get("https://[2001:db8::ffff:10]/")?.method("POST").body("text=hello");
//! let exchange = clients.send(post, second)?;        // the certificate is in the answer
//!
//! let spec = LoadSpec::new(Request::get("http://172.16.0.10/")?, Pace::Open { per_second: 20.0 });
//! let load: Load = clients.load(spec)?;
//! let exchanges = load.stop()?;                         // one Exchange a request, by time
//! let failed = exchanges.iter().filter(|one| !one.is_good()).count();
//!
//! let ports = clients.scan("172.16.0.11".parse().unwrap(), 1..=65535, Scan::default())?;
//! let answers = clients.ping("172.16.0.11".parse().unwrap(), second)?.is_some();
//! # Ok(()) }
//! ```
//!
//! - The server that answered is named by the header `X-Server` unless the load says
//!   otherwise ([`LoadSpec::marker`]).
//! - A request counts from when it was due, also when the clients were late: an open loop
//!   hides no pause of the servers.
//! - Neighbours are found by ARP and neighbour discovery; a gratuitous announcement
//!   changes what is known, as with Linux; an entry that nothing confirms lasts 60 s.
//! - A kept connection that the server had closed before the request is replaced without
//!   a word, as browsers do; one that breaks with a request on it is a failure.

mod answer;
mod connection;
mod engine;
mod exchange;
mod guard;
mod host;
mod in_flight;
mod load;
mod load_task;
mod neighbours;
mod ping;
mod scan;
mod tls;
mod tunnel;
mod udp;
mod url;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod test_server;

pub use exchange::{Answer, Exchange, Failure, Marker, Phase, Request};
pub use guard::Clients;
pub use host::ClientConfig;
pub use load::{Load, LoadSpec, Pace};
pub use scan::{PortState, Scan};
pub use tunnel::Tunnel;
