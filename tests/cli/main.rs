//! The program as its users meet it: arguments in, exact standard output, exact
//! standard error and exit code out. Everything runs against the fixture archive;
//! no test needs a network, and none reads the host's apt configuration.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../project/mod.rs"]
mod project;
#[path = "../tools/mod.rs"]
mod tools;
#[path = "../user/mod.rs"]
mod user;

mod bad_packages;
mod build;
mod closure;
mod command_line;
mod damage;
mod diff;
mod disk;
mod endings;
mod escape;
mod explain;
mod flash;
mod goldens;
mod harness;
mod lock;
mod mirror;
mod plan;
mod scripts;
mod site;
mod verify;
mod world;
