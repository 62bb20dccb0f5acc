//! Carries scenarios out: boots an architecture's machines on their networks, does what
//! the steps say, and judges by what the web clients got.
//!
//! A failed expectation is an error of kind `Check`; a broken harness, `Build` or `Bug`.

mod action;
mod addresses;
mod clients;
mod clock;
mod cluster;
mod cluster_checks;
mod credentials;
mod dhcp;
mod expectation;
mod health;
mod holders;
mod interactive;
mod loads;
mod measure;
mod open_ports;
pub mod outcome;
mod pool;
mod probe_result;
pub mod report;
mod run;
mod scenario_run;
mod suite;

pub use cluster::{Cluster, ClusterConfig};
pub use dhcp::leased;
pub use pool::{ClusterPool, pool_size};
pub use suite::Suite;
