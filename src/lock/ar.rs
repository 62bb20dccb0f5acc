//! The ar container of a `.deb`: a magic line, then members with text headers.
//!
//! Only the plain format of deb(5) is read and written: names of at most 16
//! characters, sizes in decimal, members padded to even offsets.

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Reads members one after the other.
#[derive(Debug)]
pub struct Members<R> {
    reader: R,
    started: bool,
    /// What is left of the current member, with its padding.
    left: u64,
}

/// The name and size of a member whose content is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name without padding and without a slash at its end.
    pub name: String,
    /// The size of the content in bytes.
    pub size: u64,
}

impl<R: Read> Members<R> {
    /// Reads the container that `reader` gives.
    pub fn new(reader: R) -> Members<R> {
        Members { reader, started: false, left: 0 }
    }

    /// Goes to the next member; nothing at the end.
    ///
    /// # Errors
    /// When the container is cut off or something else.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        if !self.started {
            let mut magic = [0; MAGIC.len()];
            let whole = read_up_to(&mut self.reader, &mut magic)? == MAGIC.len();
            if !whole || magic != *MAGIC {
                return Err(bad("it is no ar archive"));
            }
            self.started = true;
        }
        let skipped = io::copy(&mut (&mut self.reader).take(self.left), &mut io::sink())?;
        // The padding of the last member may be missing.
        if skipped < self.left.saturating_sub(1) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut header = [0; HEADER];
        match read_up_to(&mut self.reader, &mut header)? {
            0 => return Ok(None),
            HEADER => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        let text = std::str::from_utf8(&header).map_err(|_| bad("a header of ar is not text"))?;
        let size = text.get(48..58).and_then(|size| size.trim_end().parse::<u64>().ok());
        let Some(size) = size.filter(|_| text.ends_with("`\n")) else {
            return Err(bad("a header of ar is wrong"));
        };
        let name = text.get(..16).unwrap_or("").trim_end_matches(' ');
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("a name in a header of ar is wrong"));
        }
        let name = name.strip_suffix('/').unwrap_or(name).to_owned();
        self.left = size.saturating_add(size % 2);
        Ok(Some(Member { name, size }))
    }

    /// The content of the current member; what is not read of it is skipped later.
    pub fn content(&mut self, member: &Member) -> impl Read + use<'_, R> {
        Content { left: member.size.min(self.left), members: self }
    }
}

/// The content of a member, which is an error when it is cut off.
struct Content<'a, R> {
    members: &'a mut Members<R>,
    left: u64,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.members.reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        self.members.left -= count as u64;
        Ok(count)
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..])? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Writes a container with these members: all owned by root, at the epoch.
pub fn write(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for (name, content) in members {
        let size = content.len();
        bytes.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).bytes(),
        );
        bytes.extend(*content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        let container = |name: &str| {
            let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, 0);
            Members::new(&[&MAGIC[..], header.as_bytes()].concat()[..]).next_member()
        };
        assert_eq!(container("data.tar/").unwrap().unwrap().name, "data.tar");
        for name in ["two words", "line\nend", "tab\t", "\0", "\u{e9}"] {
            assert!(container(name).is_err(), "{name:?}");
        }
    }
}
