//! What a person sees while work goes on: lines on standard error.
//!
//! On a terminal one status line is redrawn, with rates; elsewhere (CI, a log)
//! each step is one plain line. Results go to standard output, never here.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and results only.
    Quiet = 0,
    /// A line a step.
    Normal = 1,
    /// Every external command as well, fit to be pasted into a shell.
    Verbose = 2,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);
static STATUS: Mutex<Option<(Instant, usize)>> = Mutex::new(None);

/// Sets how much is said, for the whole process.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

fn says(verbosity: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= verbosity as u8
}

/// Says that a step happened: "    unpacked 209 packages".
pub fn step(verb: &str, what: impl AsRef<str>) {
    if says(Verbosity::Normal) {
        line(&format!("{verb:>12} {}", what.as_ref()));
    }
}

/// Says something that the user must not miss, even with `--quiet`.
pub fn warn(what: impl AsRef<str>) {
    line(&format!("warning: {}", what.as_ref()));
}

/// Shows an external command about to run (only with `--verbose`).
pub fn command(pasteable: &str) {
    if says(Verbosity::Verbose) {
        line(&format!("           + {pasteable}"));
    }
}

fn line(text: &str) {
    let mut status = STATUS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut err = std::io::stderr().lock();
    let erase = if status.take().is_some() { "\r\x1b[K" } else { "" };
    // Nothing useful can be done when stderr is gone.
    drop(writeln!(err, "{erase}{text}"));
}

/// A transfer or another long step with a count of bytes; draws itself on a terminal.
#[derive(Debug)]
pub struct Meter {
    what: String,
    total: u64,
    done: Mutex<u64>,
    start: Instant,
}

impl Meter {
    /// Starts a meter for `total` bytes.
    pub fn new(what: impl Into<String>, total: u64) -> Meter {
        Meter { what: what.into(), total, done: Mutex::new(0), start: Instant::now() }
    }

    /// Adds `bytes` to what is done and redraws at most ten times a second.
    pub fn add(&self, bytes: u64) {
        let done = {
            let mut done = self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *done += bytes;
            *done
        };
        if !says(Verbosity::Normal) || !std::io::stderr().is_terminal() {
            return;
        }
        let mut status = STATUS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if status.is_some_and(|(at, _)| at.elapsed() < Duration::from_millis(100)) {
            return;
        }
        let text = format!("{:>12} {}", "", self.text(done));
        *status = Some((Instant::now(), text.len()));
        drop(write!(std::io::stderr().lock(), "\r\x1b[K{text}"));
    }

    fn text(&self, done: u64) -> String {
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        format!("{} {} of {}, {}/s", self.what, bytes(done), bytes(self.total), bytes(rate as u64))
    }

    /// Ends the meter with one line that says how much came and how fast.
    pub fn finish(self, verb: &str) {
        let done = *self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        step(verb, format!("{} ({}, {}/s)", self.what, bytes(done), bytes(rate as u64)));
    }
}

/// "113.2 MB": decimal units, one place.
pub fn bytes(count: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < units.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_decimal() {
        assert_eq!(super::bytes(999), "999 B");
        assert_eq!(super::bytes(113_204_000), "113.2 MB");
    }
}
