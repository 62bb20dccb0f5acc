//! Everything that is read from outside, fuzzed from a small corpus: never a panic, work
//! and memory bounded by what is read, and what is accepted is written and read back equal.
//! Parsers that are not public are fuzzed the same way by tests next to them.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../fuzzer/mod.rs"]
mod fuzzer;

mod archive;
mod disk;
mod packages;
mod spec;

/// Runs, and sees that the process does not ask for a gigabyte meanwhile: a number in an
/// input is believed by nobody who then gets memory for it. The kernel counts what was
/// asked for, used or not.
fn in_little_memory(work: impl FnOnce()) {
    let before = most_memory();
    work();
    let more = most_memory() - before;
    // The other tests have threads, each with its own heap and stack.
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert!(more < (1 << 20) + threads * (192 << 10), "{more} kB of address space");
}

/// The most address space that the process ever had, in kB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
