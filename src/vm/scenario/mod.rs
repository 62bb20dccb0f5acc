//! Carries scenarios out: boots an architecture's machines on their networks, does what
//! the steps say, and judges by what the web users got.

pub mod outcome;
