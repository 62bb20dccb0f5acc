//! Scenarios: steps of actions and expectations, as a person writes them in
//! `vm-tests/<architecture>/*.toml`, read and checked against the spec.
//!
//! Nothing here runs anything; `runner` does. Times are seconds of a machine with KVM,
//! and are scaled where machines are emulated.

pub mod action;
mod alias;
mod check;
mod check_file;
pub mod expectation;
mod file;
mod library;
mod promises;
mod url;
mod values;

pub use action::Action;
pub use alias::{Alias, Aliases};
pub use expectation::Expectation;
pub use file::{Load, NegativeControl, Pace, PlacedAction, PlacedExpectation, Scenario, Step};
pub use promises::{Promise, PromiseGroup, Promises};
pub use url::{Host, Scheme, Url};
pub use values::{ClientCount, Direction, Families, Family, Method, Rate, Seconds, Share, Signal};

use toml::Spanned;

/// A name that the author chose or means, with its place in the file.
pub type Name = Spanned<String>;

/// How the web clients' side of a network is called among its machines.
pub const CLIENTS: &str = "clients";
