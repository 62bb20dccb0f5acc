//! Scenarios: stories told to running machines, as a person writes them in
//! `vm-tests/<architecture>/*.toml`, read and checked against the spec.
//!
//! Nothing here runs anything; `vm` does. Times are seconds of a machine with KVM,
//! and are stretched where machines are emulated.

mod action;
mod cast;
mod check;
mod check_steps;
mod expectation;
mod file;
mod library;
mod promises;
mod url;
mod values;
mod words;

pub use action::{Action, Disturbance, Held, OnFile, OnLink, OnProcess, OnUnit};
pub use cast::{Cast, Part};
pub use expectation::{
    Answers, CommandSays, Everything, Expectation, FileIs, Holding, Listens, LoadSaw, LogSays,
    Reach, State, Sweep, UnitIs,
};
pub use file::{Act, Expect, Load, Mask, Pace, Scenario, Step};
pub use promises::{Promise, Promises};
pub use url::{Host, Scheme, Url};
pub use values::{Direction, Families, Family, Method, People, Rate, Seconds, Share, Signal};

use toml::Spanned;

/// A name that the author chose or means, with its place in the file.
pub type Name = Spanned<String>;

/// How the web users' side of a network is called among its machines.
pub const USERS: &str = "users";
