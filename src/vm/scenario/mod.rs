//! Carries scenarios out: boots an architecture's machines on their networks, does what
//! the steps say, and judges by what the web users got.
//!
//! A failed expectation is an error of kind `Check`; a broken harness, `Build`.

mod addresses;
mod clock;
mod copies;
mod credentials;
mod crowd;
mod deeds;
mod interactive;
mod leased;
mod loads;
mod look;
mod measure;
pub mod outcome;
mod programme;
mod run;
mod settle;
mod stage;
mod story;
mod sweep;
mod table;
mod wire;

pub use copies::{Copies, fitting};
pub use leased::leased;
pub use programme::Programme;
pub use stage::{Props, Stage};
