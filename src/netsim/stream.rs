//! Frames over a unix socket as QEMU's `-netdev stream` writes them: each after its
//! length in four bytes, big-endian.

use super::frame::Frame;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// Longer frames exist on no cable; such a length is a stream that lost its step.
const LONGEST: usize = 1 << 16;

/// A port's buffer: when a machine does not read, what does not fit is dropped, as any
/// switch does.
const BUFFER: usize = 4 << 20;

const HEAD: usize = 4;

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    bytes: Vec<u8>,
}

/// A length that no frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfStep(pub(crate) usize);

impl FrameReader {
    /// The frames that end in `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, OutOfStep> {
        self.bytes.extend_from_slice(bytes);
        let (mut frames, mut start) = (Vec::new(), 0);
        while let Some((head, rest)) = self.bytes[start..].split_first_chunk::<HEAD>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > LONGEST {
                return Err(OutOfStep(length));
            }
            let Some(frame) = rest.get(..length) else { break };
            frames.push(frame.into());
            start += HEAD + length;
        }
        self.bytes.drain(..start);
        Ok(frames)
    }

    /// Reads what there is from a stream that does not block, and whether it goes on: the
    /// last frames before the end count like all others.
    pub(crate) fn read(&mut self, mut stream: impl Read) -> (Vec<Frame>, bool) {
        let (mut frames, mut buffer) = (Vec::new(), [0; 1 << 16]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return (frames, false),
                Ok(count) => match self.push(&buffer[..count]) {
                    Ok(more) => frames.extend(more),
                    Err(OutOfStep(_)) => return (frames, false),
                },
                Err(e) if e.kind() == ErrorKind::WouldBlock => return (frames, true),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return (frames, false),
            }
        }
    }
}

/// Frames that wait until the other end reads.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: VecDeque<u8>,
}

impl Outbox {
    /// Queues a frame; false when the buffer is full and it was dropped.
    pub(crate) fn push(&mut self, frame: &[u8]) -> bool {
        if self.bytes.len() + HEAD + frame.len() > BUFFER {
            return false;
        }
        self.bytes.extend((frame.len() as u32).to_be_bytes());
        self.bytes.extend(frame);
        true
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes what the stream takes without blocking; false when it has ended.
    pub(crate) fn write(&mut self, mut stream: impl Write) -> bool {
        while !self.bytes.is_empty() {
            match stream.write(self.bytes.as_slices().0) {
                Ok(0) => return false,
                Ok(count) => drop(self.bytes.drain(..count)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzer::Fuzz;
    use proptest::prelude::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_wild_length_is_an_error() {
        assert_eq!(FrameReader::default().push(&[0xff; 4]), Err(OutOfStep(0xffff_ffff)));
        assert_eq!(FrameReader::default().push(&[0, 0, 0, 0, 0]), Ok(vec![[].into()]));
    }

    #[test]
    fn a_full_buffer_drops_whole_frames() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (mut outbox, frame) = (Outbox::default(), [7; 1500]);
        let queued = (0..10_000).filter(|_| outbox.push(&frame)).count();
        assert_eq!(queued, BUFFER / 1504);
        let (mut reader, mut got) = (FrameReader::default(), 0);
        while !outbox.is_empty() {
            assert!(outbox.write(&ours));
            got += reader.read(&theirs).0.len();
        }
        assert_eq!(got, queued);
        drop(ours);
        assert!(!reader.read(&theirs).1);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(bytes: Vec<u8>, cut in 1..50_usize) {
            let mut reader = FrameReader::default();
            let whole = FrameReader::default().push(&bytes);
            let mut frames = Vec::new();
            for piece in bytes.chunks(cut) {
                match reader.push(piece) {
                    Ok(some) => frames.extend(some),
                    Err(error) => {
                        prop_assert_eq!(whole, Err(error));
                        return Ok(());
                    }
                }
            }
            prop_assert_eq!(whole, Ok(frames));
        }

        #[test]
        fn frames_come_through(frames: Vec<Vec<u8>>, cut in 1..50_usize) {
            let mut outbox = Outbox::default();
            for frame in &frames {
                prop_assert!(outbox.push(frame));
            }
            let mut bytes = Vec::new();
            prop_assert!(outbox.write(&mut bytes));
            let mut reader = FrameReader::default();
            let read: Vec<Vec<u8>> = bytes
                .chunks(cut)
                .flat_map(|piece| reader.push(piece).unwrap())
                .map(|frame| frame.to_vec())
                .collect();
            prop_assert_eq!(read, frames);
        }
    }

    #[test]
    fn a_corpus_of_streams_changed_at_random() {
        Fuzz::of("stream", &["\0\0\0\u{1}", "\0\0\0\0"]).rounds(100_000).run(|bytes| {
            let whole = FrameReader::default().push(bytes);
            let mut reader = FrameReader::default();
            let mut pieces = Vec::new();
            for some in bytes.chunks(3) {
                match reader.push(some) {
                    Ok(frames) => pieces.extend(frames),
                    Err(_) => return assert!(whole.is_err()),
                }
            }
            let whole = whole.unwrap();
            assert!(whole.len() <= bytes.len() / HEAD, "a length for each");
            assert!(whole == pieces);
        });
    }
}
