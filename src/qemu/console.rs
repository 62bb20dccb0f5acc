//! The serial console: all that the guest prints, kept in memory and in a file, there with
//! the time of each line, watched for words that no healthy machine says.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Stands in a log between two machines.
const ANOTHER: &str = "\n\n--- restored: the same machine at an earlier moment ---\n\n";

/// How many lines of the console an error shows.
const TAIL_LINES: usize = 25;

/// What no healthy machine says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The kernel gave up.
    Panic,
    /// The kernel stumbled.
    Oops,
    /// A process was killed for its memory.
    OutOfMemory,
    /// systemd dropped a job to break a cycle.
    OrderingCycle,
}

/// The words of each; `Oops` after `Panic`, as a panic quotes the oops.
const ALARMS: [(&str, Alarm); 8] = [
    ("Kernel panic - not syncing", Alarm::Panic),
    ("Freezing execution", Alarm::Panic),
    ("Oops:", Alarm::Oops),
    ("BUG: ", Alarm::Oops),
    ("general protection fault", Alarm::Oops),
    ("Out of memory: Killed", Alarm::OutOfMemory),
    ("oom-kill:", Alarm::OutOfMemory),
    ("ordering cycle", Alarm::OrderingCycle),
];

/// The alarm that a line raises.
fn alarm_in(line: &str) -> Option<Alarm> {
    ALARMS.iter().find(|(words, _)| line.contains(words)).map(|(_, alarm)| *alarm)
}

/// A place in what the console said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Mark(usize);

#[derive(Debug, Default)]
struct Transcript {
    text: String,
    /// Bytes of a character or an escape sequence that is not whole yet.
    rest: Vec<u8>,
    alarms: Vec<(Mark, Alarm, String)>,
    /// The start of the line that is not ended yet.
    line: usize,
}

impl Transcript {
    fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // A prompt has no end of line; it is whole when no escape sequence is open.
        let whole = if self.rest[whole..].contains(&ESCAPE) { whole } else { self.rest.len() };
        let rest = self.rest.split_off(whole);
        let bytes = std::mem::replace(&mut self.rest, rest);
        self.text.push_str(&plain(&String::from_utf8_lossy(&bytes)));
        while let Some(end) = self.text[self.line..].find('\n') {
            let line = &self.text[self.line..self.line + end];
            if let Some(alarm) = alarm_in(line) {
                self.alarms.push((Mark(self.line), alarm, line.trim().to_owned()));
            }
            self.line += end + 1;
        }
    }
}

const ESCAPE: u8 = 0x1b;

/// The text without escape sequences and control characters.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\x1b' => characters = after_sequence(characters),
            '\n' | '\t' => plain.push(character),
            _ if character.is_control() => {}
            _ => plain.push(character),
        }
    }
    plain
}

/// What follows an escape sequence (ECMA-48): CSI sequences end with a letter or one of
/// `@[\]^_{|}~`, OSC with BEL or ST. None reaches over the end of a line: a console that
/// breaks off in the middle of one must not swallow the words that come after it.
fn after_sequence(mut characters: std::str::Chars<'_>) -> std::str::Chars<'_> {
    let start = characters.clone();
    let is_end: fn(char) -> bool = match characters.next() {
        Some('[') => |c| ('@'..='~').contains(&c),
        Some(']') => |c| matches!(c, '\x07' | '\\'),
        Some('\n' | '\x1b') => return start,
        _ => return characters,
    };
    loop {
        let before = characters.clone();
        match characters.next() {
            Some('\n') => return before,
            Some(c) if !is_end(c) => {}
            _ => return characters,
        }
    }
}

/// A log of lines with the time at which each began: UTC, as in the captures.
struct Stamped<W> {
    out: W,
    /// Whether the next byte begins a line.
    is_start: bool,
}

impl<W: Write> Stamped<W> {
    fn new(out: W) -> Stamped<W> {
        Stamped { out, is_start: true }
    }

    fn write(&mut self, bytes: &[u8], now: SystemTime) -> std::io::Result<()> {
        let mut text = Vec::with_capacity(bytes.len() + 32);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_start {
                text.extend_from_slice(time_of_day(now).as_bytes());
            }
            text.extend_from_slice(line);
            self.is_start = line.ends_with(b"\n");
        }
        self.out.write_all(&text)
    }
}

/// `23:05:09.042 | `, UTC.
fn time_of_day(now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (now.as_secs() % 86_400, now.subsec_millis());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{milliseconds:03} | ", seconds % 60)
}

/// A console being read; it outlives a power cut.
#[derive(Debug)]
pub(super) struct Console {
    shared: Arc<(Mutex<Transcript>, Condvar)>,
    log: PathBuf,
}

impl Console {
    /// Reads `stream`; what comes is also added to `log`, each line with its time. What an
    /// earlier machine of that name said there stays: a scenario's machines come after
    /// others'.
    pub(super) fn new(stream: UnixStream, log: &Path) -> Result<Console> {
        let failed = |e: std::io::Error| Error::io("write", log, &e);
        let mut file = File::options().create(true).append(true).open(log).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > 0 {
            file.write_all(ANOTHER.as_bytes()).map_err(failed)?;
        }
        let shared = Arc::new((Mutex::new(Transcript::default()), Condvar::new()));
        let console = Console { shared, log: log.to_owned() };
        console.follow(stream)?;
        Ok(console)
    }

    /// Reads the console of the next life, on a thread that ends with the stream.
    pub(super) fn follow(&self, mut stream: UnixStream) -> Result<()> {
        let opened = File::options().append(true).open(&self.log);
        let file = opened.map_err(|e| Error::io("write", &self.log, &e))?;
        let mut log = Stamped::new(file);
        let writer = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 14];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                // The log is for people; without it the test still knows all.
                drop(log.write(&buffer[..count], SystemTime::now()));
                lock(&writer.0).push(&buffer[..count]);
                writer.1.notify_all();
            }
        });
        Ok(())
    }

    /// Where it stands now.
    pub(super) fn mark(&self) -> Mark {
        Mark(lock(&self.shared.0).text.len())
    }

    /// The line after `from` with the first of `words` that was said; waits for
    /// `patience` at most.
    pub(super) fn said(&self, words: &[&str], from: Mark, patience: Duration) -> Option<String> {
        let find = |text: &str| {
            let text = text.get(from.0..).unwrap_or_default();
            let at = words.iter().filter_map(|words| text.find(words)).min()?;
            let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
            text[start..].lines().next().map(|line| line.trim().to_owned())
        };
        let mut found = None;
        let waited =
            self.shared.1.wait_timeout_while(lock(&self.shared.0), patience, |transcript| {
                found = find(&transcript.text);
                found.is_none()
            });
        drop(waited);
        found
    }

    /// All that was said after `from`.
    pub(super) fn text(&self, from: Mark) -> String {
        lock(&self.shared.0).text.get(from.0..).unwrap_or_default().to_owned()
    }

    /// Everything alarming so far: where, what, the line.
    pub(super) fn alarms(&self) -> Vec<(Mark, Alarm, String)> {
        lock(&self.shared.0).alarms.clone()
    }

    /// The last lines, for errors.
    pub(super) fn tail(&self) -> String {
        let transcript = lock(&self.shared.0);
        let lines: Vec<&str> =
            transcript.text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

fn lock(transcript: &Mutex<Transcript>) -> MutexGuard<'_, Transcript> {
    transcript.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strips_what_terminals_draw_with_and_raises_alarms() {
        let mut transcript = Transcript::default();
        for part in [
            &b"\x1b[2J\x1b[0;32mhello\r\n[ 1.0] Kernel pa"[..],
            b"nic - not syncing: x\n",
            b"login: ",
        ] {
            transcript.push(part);
        }
        assert_eq!(transcript.text, "hello\n[ 1.0] Kernel panic - not syncing: x\nlogin: ");
        let panic = (Mark(6), Alarm::Panic, "[ 1.0] Kernel panic - not syncing: x".to_owned());
        assert_eq!(transcript.alarms, [panic]);
    }

    #[test]
    fn an_escape_sequence_ends_with_its_line() {
        for open in ["\x1b", "\x1b[", "\x1b]", "\x1b]0;title", "\x1b\x1b[3"] {
            let mut transcript = Transcript::default();
            transcript.push(format!("one{open}\nBUG: two\n").as_bytes());
            assert_eq!(transcript.text, "one\nBUG: two\n", "{open:?}");
            assert_eq!(transcript.alarms.len(), 1);
        }
    }

    #[test]
    fn finds_the_line_of_the_first_words() {
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let console = Console::new(ours, log.path()).unwrap();
        guest.write_all(b"one\ntwo three\nfour\n").unwrap();
        let patience = Duration::from_secs(5);
        let found = console.said(&["four", "three"], Mark::default(), patience);
        assert_eq!(found.as_deref(), Some("two three"));
        assert_eq!(console.said(&["two"], console.mark(), Duration::from_millis(1)), None);
        let kept = std::fs::read_to_string(log.path()).unwrap();
        let lines: Vec<&str> = kept.lines().map(|line| line.split_once(" | ").unwrap().1).collect();
        assert_eq!(lines, ["one", "two three", "four"]);
    }

    #[test]
    fn a_line_has_the_time_at_which_it_began() {
        let mut log = Stamped::new(Vec::new());
        let at = |seconds: u64, thousandth: u64| {
            UNIX_EPOCH + Duration::from_millis(seconds * 1000 + thousandth)
        };
        log.write(b"one\r\ntw", at(86_399, 7)).unwrap();
        log.write(b"o\n", at(2 * 86_400, 0)).unwrap();
        log.write(b"three\n", at(2 * 86_400 + 3661, 42)).unwrap();
        let text = String::from_utf8(log.out).unwrap();
        assert_eq!(text, "23:59:59.007 | one\r\n23:59:59.007 | two\n01:01:01.042 | three\n");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, cut in 0_usize..50) {
            let mut transcript = Transcript::default();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            transcript.push(first);
            transcript.push(second);
            transcript.push(b"\n\x1b[0mBUG: x\n");
            prop_assert!(transcript.alarms.iter().any(|(_, alarm, _)| *alarm == Alarm::Oops));
        }
    }
}
