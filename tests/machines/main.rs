//! The shipped images, unmodified, in virtual machines: each server as the spec says it, an
//! architecture's servers together while things fail, and `imagebuild test` as its users
//! run it. One binary, so that images, machines that are up and the measured speed are shared.
//!
//! `cargo test --release --test machines -- --include-ignored NAME` runs those whose name has
//! NAME in it, and shows how it goes. What was measured and said is in `target/tmp/`.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../project/mod.rs"]
mod project;
#[path = "../site/mod.rs"]
mod site;
#[path = "../tiers/mod.rs"]
mod tiers;

mod ask;
mod boots;
mod damage;
mod database;
mod drift;
mod examples;
mod faults;
mod flash;
mod net;
mod platform;
mod seed;
mod seeds;
mod servers;
mod setup;
mod spec;
mod topologies;
mod verbs;
mod web;

use std::process::ExitCode;

fn main() -> ExitCode {
    let suites: [fn() -> bool; 3] = [boots::run, topologies::run, whole_runs];
    // All, whatever fails: one run tells all that is wrong.
    let suites = tiers::in_turn(&suites, tiers::gate());
    let failed = suites.into_iter().filter(|suite| !suite()).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `imagebuild test` and its like, with machines of their own: one at a time.
fn whole_runs() -> bool {
    let mut suite = tiers::Suite::new();
    faults::add(&mut suite);
    examples::add(&mut suite);
    suite.run(1)
}
