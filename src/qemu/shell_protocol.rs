//! What the shell in the guest says, line by line: a state machine that any bytes may
//! be given to (a port that a power cut ends in the middle of a line, firmware that
//! probes it), and that finds its feet at the next whole line.
//!
//! ```text
//! HELLO UPTIME                     a shell has started
//! DONE NUMBER CODE STDOUT STDERR   a command has ended; outputs in base64
//! ```

use crate::exec::Output;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::time::Duration;

/// Longer lines are thrown away: no test asks for so much.
const LONGEST: usize = 64 << 20;

/// One whole line that means something.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// A shell has started; the guest had been up for so long.
    Hello(Duration),
    /// The command with this number has ended.
    Done(u64, Output),
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(super) struct MessageReader {
    line: Vec<u8>,
    /// The line was too long: all is dropped up to its end.
    dropping: bool,
}

impl MessageReader {
    /// The messages that end in `bytes`.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.extend(part);
            if parts.peek().is_some() {
                messages.extend(self.end_line());
            }
        }
        messages
    }

    fn extend(&mut self, part: &[u8]) {
        self.dropping |= self.line.len() + part.len() > LONGEST;
        if self.dropping {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.dropping) {
            return None;
        }
        parse(std::str::from_utf8(&line).ok()?)
    }
}

fn parse(line: &str) -> Option<Message> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["HELLO", uptime] => {
            let seconds: f64 = uptime.parse().ok()?;
            Some(Message::Hello(Duration::try_from_secs_f64(seconds).ok()?))
        }
        ["DONE", number, code, stdout, stderr] => {
            let decode = |text: &str| BASE64_STANDARD.decode(text).ok();
            let (stdout, stderr) = (decode(stdout)?, decode(stderr)?);
            let output = Output { code: code.parse().ok()?, stdout, stderr };
            Some(Message::Done(number.parse().ok()?, output))
        }
        _ => None,
    }
}

/// The line that asks for a command: it is killed after so many seconds.
pub(super) fn request(number: u64, limit: Duration, command: &str) -> String {
    let seconds = limit.as_secs().max(1);
    format!("RUN {number} {seconds} {}\n", BASE64_STANDARD.encode(command.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;

    #[test]
    fn reads_messages_in_pieces_and_skips_the_rest() {
        let mut reader = MessageReader::default();
        assert!(reader.push(b"garbage\xff\n\nHELLO 12").is_empty());
        let messages = reader.push(b".5\nDONE 7 3 b3V0 ZXJy\nDONE 8 0  \nDONE x 0  \nHEL");
        let [Message::Hello(uptime), Message::Done(7, output), Message::Done(8, empty)] =
            messages.as_slice()
        else {
            panic!("{messages:?}");
        };
        assert_eq!(*uptime, Duration::from_millis(12_500));
        assert_eq!(
            (output.code, output.stdout.as_slice(), output.stderr.as_slice()),
            (3, &b"out"[..], &b"err"[..])
        );
        assert_eq!((empty.code, empty.stdout.len()), (0, 0));
    }

    #[test]
    fn a_negative_or_endless_uptime_is_no_greeting() {
        assert!(MessageReader::default().push(b"HELLO -1\nHELLO inf\nHELLO NaN\n").is_empty());
    }

    proptest! {
        #[test]
        fn never_panics_and_finds_its_feet(bytes: Vec<u8>, cut in 0_usize..100) {
            let mut reader = MessageReader::default();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            drop(reader.push(first));
            drop(reader.push(second));
            let messages = reader.push(b"\nDONE 1 0  \n");
            let is_done = matches!(messages.last(), Some(Message::Done(1, _)));
            prop_assert!(is_done);
        }

        #[test]
        fn any_output_comes_through(code in 0..256_i32, stdout: Vec<u8>, stderr: Vec<u8>) {
            let line = format!("DONE 5 {code} {} {}\n", BASE64_STANDARD.encode(&stdout), BASE64_STANDARD.encode(&stderr));
            let mut reader = MessageReader::default();
            let messages: Vec<Message> =
                line.as_bytes().chunks(7).flat_map(|some| reader.push(some)).collect();
            let [Message::Done(5, output)] = messages.as_slice() else { panic!("{messages:?}") };
            prop_assert_eq!(output.code, code);
            prop_assert_eq!(&output.stdout, &stdout);
            prop_assert_eq!(&output.stderr, &stderr);
        }
    }

    #[test]
    fn a_corpus_of_lines_changed_at_random() {
        let tokens = &["HELLO ", "DONE ", " ", "\n", "=", "QQ==", "inf", "NaN", "-", "\r"];
        Fuzz::of("frames", tokens).rounds(100_000).run(|bytes| {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            let whole = MessageReader::default().push(bytes);
            assert!(whole.len() <= lines, "a line for each message");
            let mut reader = MessageReader::default();
            let pieces: Vec<Message> = bytes.chunks(5).flat_map(|some| reader.push(some)).collect();
            assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        });
    }
}
