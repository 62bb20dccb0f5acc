//! The pair, simulated: the agents as they are, with databases, a network and clients made of
//! this file's neighbours, in virtual time, from a seed. After every event no acknowledged write
//! may be missing where it must be; after all faults writes must go on.
//!
//! `IMAGEBUILD_PAIR_SEED=N` replays one history and shows it; `IMAGEBUILD_PAIR_HISTORIES=N` runs
//! so many of the random ones.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod faults;
mod maria;
mod random;
mod rows;
mod world;
