//! What is seen while work goes on, on standard error: lines for people, or JSON for programs,
//! an event a line (`--progress json`, docs/progress.md).
//!
//! On a terminal, what is going on now stands in lines below, which are redrawn; elsewhere
//! (CI, a log) each step is one plain line. Results go to standard output, never here.

mod event;

pub use event::Event;

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
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
static BOARD: Mutex<Board> = Mutex::new(Board { lines: Vec::new(), drawn: 0, next: 0 });

/// Sets how much is said, for the whole process.
pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

fn says(verbosity: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= verbosity as u8
}

static JSON: AtomicBool = AtomicBool::new(false);

/// Writes events as JSON from now on, for the whole process.
pub fn set_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Tells of an event.
pub fn event(event: Event<'_>) {
    if !says(event.verbosity()) {
        return;
    }
    if JSON.load(Ordering::Relaxed) {
        // An event holds nothing that JSON cannot.
        line(&serde_json::to_string(&event).unwrap_or_default());
    } else if let Some(text) = event.line() {
        line(&text);
    }
}

/// Says that a step happened: "    unpacked 209 packages".
pub fn step(verb: &str, what: impl AsRef<str>) {
    event(Event::Message { verb, text: what.as_ref() });
}

/// Says something that the user must not miss, even with `--quiet`.
pub fn warn(what: impl AsRef<str>) {
    event(Event::Warning { text: what.as_ref() });
}

/// Shows an external command about to run (only with `--verbose`).
pub fn command(pasteable: &str) {
    event(Event::Command { text: pasteable });
}

fn line(text: &str) {
    board(|board| board.redrawn(&format!("{text}\n")));
}

/// What stands below the lines that are said.
struct Board {
    /// By number, the oldest first; one that is empty is not drawn.
    lines: Vec<(usize, String)>,
    /// How many of them are on the terminal.
    drawn: usize,
    next: usize,
}

/// Changes the board, and writes what that gives.
fn board(change: impl FnOnce(&mut Board) -> String) {
    let mut board = BOARD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let text = change(&mut board);
    // Nothing useful can be done when stderr is gone.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

impl Board {
    /// What takes the board off the terminal, says `text`, and puts it there again.
    fn redrawn(&mut self, text: &str) -> String {
        let erase = ["", "\r\x1b[K"][self.drawn.min(1)];
        let above = "\x1b[A\x1b[K".repeat(self.drawn.saturating_sub(1));
        let texts = self.lines.iter().map(|(_, text)| text).filter(|text| !text.is_empty());
        // The terminal cuts off what is too long: a line that went on in the next one could
        // not be taken away again.
        let lines: Vec<String> =
            texts.map(|text| format!("\x1b[?7l{:>12} {text}\x1b[?7h", "")).collect();
        self.drawn = lines.len();
        format!("{erase}{above}{text}{}", lines.join("\n"))
    }
}

/// No more often is anything redrawn or told again.
const OFTEN: Duration = Duration::from_millis(100);

/// A line that says what is going on now, until it ends; on terminals only.
#[derive(Debug)]
pub struct Status {
    number: usize,
    last: Mutex<Option<Instant>>,
}

impl Status {
    /// A line that says nothing yet.
    pub fn new() -> Status {
        let mut number = 0;
        board(|board| {
            number = board.next;
            board.next += 1;
            board.lines.push((number, String::new()));
            String::new()
        });
        Status { number, last: Mutex::new(None) }
    }

    /// Redraws it, at most ten times a second; of `text`, the first line.
    pub fn show(&self, text: impl FnOnce() -> String) {
        let last = *self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if last.is_none_or(|at| at.elapsed() >= OFTEN) {
            self.show_now(text);
        }
    }

    /// Redraws it, however short ago it was redrawn.
    pub fn show_now(&self, text: impl FnOnce() -> String) {
        let is_shown = says(Verbosity::Normal) && !JSON.load(Ordering::Relaxed);
        if !is_shown || !std::io::stderr().is_terminal() {
            return;
        }
        *self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Instant::now());
        let text: String = text().chars().take_while(|c| !c.is_control()).collect();
        board(|board| {
            let own = board.lines.iter_mut().find(|(number, _)| *number == self.number);
            if let Some((_, own)) = own {
                *own = text;
            }
            board.redrawn("")
        });
    }
}

impl Default for Status {
    fn default() -> Status {
        Status::new()
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        board(|board| {
            let own = board.lines.iter().position(|(number, _)| *number == self.number);
            let said = own.map_or(String::new(), |place| board.lines.remove(place).1);
            // Most end before they said anything: the terminal need not hear of those.
            if said.is_empty() { said } else { board.redrawn("") }
        });
    }
}

/// A transfer or another long step with a count of bytes; draws itself on a terminal.
#[derive(Debug)]
pub struct Meter {
    what: String,
    total: u64,
    done: Mutex<u64>,
    start: Instant,
    status: Status,
    /// When an event told of it last.
    told: Mutex<Option<Instant>>,
}

impl Meter {
    /// Starts a meter for `total` bytes.
    pub fn new(what: impl Into<String>, total: u64) -> Meter {
        let (done, start) = (Mutex::new(0), Instant::now());
        Meter {
            what: what.into(),
            total,
            done,
            start,
            status: Status::new(),
            told: Mutex::new(None),
        }
    }

    /// Adds `bytes` to what is done and redraws at most ten times a second.
    pub fn add(&self, bytes: u64) {
        let done = {
            let mut done = self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *done += bytes;
            *done
        };
        self.status.show(|| self.text(done));
        if JSON.load(Ordering::Relaxed) {
            let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if told.is_none_or(|at| at.elapsed() >= OFTEN) {
                *told = Some(Instant::now());
                // What was fetched again counts twice.
                let done = done.min(self.total);
                event(Event::Bytes { what: &self.what, done, total: self.total });
            }
        }
    }

    fn text(&self, done: u64) -> String {
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        let left = (self.total.saturating_sub(done)) as f64 / rate.max(1.0);
        format!(
            "{} {} of {}, {}/s, {} left",
            self.what,
            bytes(done),
            bytes(self.total),
            bytes(rate as u64),
            minutes(left as u64)
        )
    }

    /// Ends the meter with one line that says how much came and how fast.
    pub fn finish(self, verb: &str) {
        let done = *self.done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let rate = done as f64 / self.start.elapsed().as_secs_f64().max(0.001);
        let text = format!("{} ({}, {}/s)", self.what, bytes(done), bytes(rate as u64));
        event(Event::Bytes { what: &self.what, done: self.total, total: self.total });
        drop(self.status);
        step(verb, text);
    }
}

/// "1:05": minutes and seconds.
fn minutes(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
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
    fn what_stands_below_is_taken_away_and_put_back() {
        let line = |number: usize, text: &str| (number, text.to_owned());
        let lines = vec![line(0, "one"), line(1, ""), line(2, "two")];
        let mut board = super::Board { lines, drawn: 0, next: 3 };
        let (one, two) = ("\x1b[?7l             one\x1b[?7h", "\x1b[?7l             two\x1b[?7h");
        assert_eq!(board.redrawn("said\n"), format!("said\n{one}\n{two}"));
        board.lines.remove(0);
        assert_eq!(board.redrawn("more\n"), format!("\r\x1b[K\x1b[A\x1b[Kmore\n{two}"));
        board.lines.clear();
        assert_eq!(board.redrawn(""), "\r\x1b[K");
        assert_eq!(board.redrawn("plain\n"), "plain\n");
    }

    #[test]
    fn bytes_are_decimal() {
        assert_eq!(super::bytes(999), "999 B");
        assert_eq!(super::bytes(113_204_000), "113.2 MB");
    }
}
