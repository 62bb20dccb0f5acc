//! A segment's traffic as pcapng, for Wireshark: each frame once, on the interface that
//! is its sender's port, with a comment when it was dropped; marks as frames of their own
//! with the text as comment. <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>

use super::frame::Frame;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
/// LINKTYPE_ETHERNET
const ETHERNET: u16 = 1;
/// IEEE 802's experimental type: what a mark's frame carries.
const MARK: [u8; 14] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xb5];

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Capture {
    path: PathBuf,
    file: BufWriter<File>,
    interfaces: usize,
    /// The same moment on both clocks.
    start: (Instant, SystemTime),
    /// Why the file is not complete.
    broken: Option<std::io::Error>,
}

impl Capture {
    /// Starts a file: the first interface is the switch itself, on which marks appear.
    pub(super) fn start(path: &Path, segment: &str) -> Result<Capture> {
        let file = File::create(path).map_err(|e| Error::io("write", path, &e))?;
        let mut capture = Capture {
            path: path.to_owned(),
            file: BufWriter::new(file),
            interfaces: 0,
            start: (Instant::now(), SystemTime::now()),
            broken: None,
        };
        let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        capture.block(SECTION, body);
        capture.interface(segment);
        Ok(capture)
    }

    /// One more interface: the ports in the order of their numbers.
    pub(super) fn interface(&mut self, name: &str) {
        let mut body = ETHERNET.to_le_bytes().to_vec();
        body.extend([0; 6]);
        option(&mut body, IF_NAME, name.as_bytes());
        self.block(INTERFACE, body);
        self.interfaces += 1;
    }

    /// A frame that came in at `port`, with a comment.
    pub(super) fn frame(&mut self, at: Instant, port: usize, frame: &Frame, comment: Option<&str>) {
        self.packet(at, port + 1, frame, comment);
    }

    /// Something that was done to the segment.
    pub(super) fn mark(&mut self, at: Instant, text: &str) {
        let frame = [&MARK[..], text.as_bytes()].concat();
        self.packet(at, 0, &frame, Some(text));
    }

    fn packet(&mut self, at: Instant, interface: usize, frame: &[u8], comment: Option<&str>) {
        let since = at.saturating_duration_since(self.start.0);
        let clock = (self.start.1 + since).duration_since(UNIX_EPOCH).unwrap_or_default();
        let (micros, length) = (clock.as_micros() as u64, frame.len() as u32);
        let mut body = (interface as u32).to_le_bytes().to_vec();
        body.extend(((micros >> 32) as u32).to_le_bytes());
        body.extend((micros as u32).to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(frame);
        pad(&mut body);
        if let Some(comment) = comment {
            option(&mut body, COMMENT, comment.as_bytes());
        }
        self.block(PACKET, body);
    }

    fn block(&mut self, kind: u32, body: Vec<u8>) {
        if self.broken.is_some() {
            return;
        }
        let length = (body.len() as u32 + 12).to_le_bytes();
        let block = [&kind.to_le_bytes(), &length[..], &body, &length].concat();
        self.broken = self.file.write_all(&block).err();
    }

    /// Makes all so far readable by others.
    pub(super) fn flush(&mut self) {
        if self.broken.is_none() {
            self.broken = self.file.flush().err();
        }
    }

    /// Ends the file; an error when it is not complete.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush();
        self.broken.map_or(Ok(()), |e| Err(Error::io("write", &self.path, &e)))
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    // Longer comments do not fit the format's sixteen bits.
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
    // The end of options: there is only ever one.
    body.extend([0; 4]);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::super::frame::Mac;
    use super::super::frame::tests::{A, B, arp_frame};
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// The blocks' kinds and bodies; panics unless every length is right twice.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = word(bytes, 4) as usize;
            assert!(length.is_multiple_of(4) && word(bytes, length - 4) as usize == length);
            found.push((word(bytes, 0), bytes[8..length - 4].to_vec()));
            bytes = &bytes[length..];
        }
        found
    }

    /// The comment of a packet's body, and its frame.
    fn packet(body: &[u8]) -> (Vec<u8>, Option<String>) {
        let length = word(body, 12) as usize;
        assert_eq!(word(body, 16) as usize, length);
        let options = &body[20 + length.next_multiple_of(4)..];
        let comment = options.get(..4).map(|head| {
            assert_eq!(u16::from_le_bytes([head[0], head[1]]), COMMENT);
            let end = 4 + usize::from(u16::from_le_bytes([head[2], head[3]]));
            assert_eq!(options[end.next_multiple_of(4)..], [0; 4]);
            String::from_utf8(options[4..end].to_vec()).unwrap()
        });
        (body[20..20 + length].to_vec(), comment)
    }

    #[test]
    fn every_block_is_as_the_format_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("public.pcapng");
        let mut capture = Capture::start(&path, "public").unwrap();
        capture.interface("web1");
        let frame = arp_frame(Mac::BROADCAST, A, true, [[1; 4], [2; 4]]);
        let now = Instant::now();
        capture.frame(now, 0, &frame, None);
        capture.mark(now, "disconnect web1 public");
        capture.frame(now, 0, &arp_frame(B, A, false, [[1; 4], [2; 4]]), Some("disconnected"));
        capture.finish().unwrap();
        let blocks = blocks(&std::fs::read(&path).unwrap());
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [SECTION, INTERFACE, INTERFACE, PACKET, PACKET, PACKET]);
        assert!(blocks[2].1.windows(4).any(|window| window == b"web1"));
        assert_eq!(packet(&blocks[3].1), (frame.to_vec(), None));
        let (mark, comment) = packet(&blocks[4].1);
        assert_eq!(
            (word(&blocks[4].1, 0), comment.as_deref()),
            (0, Some("disconnect web1 public"))
        );
        assert!(mark.ends_with(b"disconnect web1 public"));
        assert_eq!(packet(&blocks[5].1).1.as_deref(), Some("disconnected"));
        let micros = u64::from(word(&blocks[3].1, 4)) << 32 | u64::from(word(&blocks[3].1, 8));
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        assert!((clock - 60_000_000..=clock).contains(&micros), "{micros} {clock}");
    }

    #[test]
    fn a_full_disk_is_told() {
        let error = Capture::start(Path::new("/dev/full"), "public").unwrap().finish().unwrap_err();
        assert!(error.message().starts_with("cannot write /dev/full"), "{error}");
        assert!(error.to_string().contains("disk is full"), "{error}");
    }
}
