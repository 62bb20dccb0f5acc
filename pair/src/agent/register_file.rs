//! The acceptor's state on disk: two places in one file, written in turn, so that a power cut in
//! the middle of a write leaves the one before, which is what was answered by then. The file is
//! made once; a write into it needs no room on a full disk.
//!
//! Each place has 512 bytes of text, filled up with line ends:
//!
//! ```text
//! imagebuild register 1
//! of database1 among database1 database2 web1
//! write 17
//! promised 4 0
//! accepted 4 0 9 1 1
//! sha256 ...
//! ```
//!
//! `promised` has a round's number and proposer; `accepted` these, epoch, primary and 1 for both,
//! or `none`. The digest is of all lines before it.

use crate::settings::Settings;
use imagebuild_pair::register::{Acceptor, Ballot};
use imagebuild_pair::{Config, Node};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PLACE: usize = 512;

/// The file, open.
pub(crate) struct RegisterFile {
    file: File,
    head: String,
    /// How often it was written.
    writes: u64,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The state.
    State(Acceptor),
    /// No file: a first start, or the disk is another one.
    Nothing,
    /// A file that says nothing that can be believed: cut off, or another machine's.
    Damaged,
}

impl RegisterFile {
    /// Opens it, or makes it. What is damaged is set aside beside it.
    pub(crate) fn open(path: &Path, settings: &Settings) -> io::Result<(RegisterFile, Found)> {
        let names: Vec<&str> = settings.members.iter().map(|peer| peer.name.as_str()).collect();
        let head = format!(
            "imagebuild register 1\nof {} among {}\n",
            settings.own().name,
            names.join(" ")
        );
        let bytes = match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let newest = bytes.as_deref().and_then(|bytes| {
            let read = |place: &[u8]| read(&head, place);
            let places = bytes.chunks(PLACE).filter_map(read);
            (bytes.len() == 2 * PLACE).then_some(places)?.max_by_key(|(writes, _)| *writes)
        });
        if let Some((writes, state)) = newest {
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok((RegisterFile { file, head, writes }, Found::State(state)));
        }
        let is_fresh = |bytes: &Vec<u8>| bytes[..] == [b'\n'; 2 * PLACE];
        let found = if bytes.is_none() || bytes.as_ref().is_some_and(is_fresh) {
            Found::Nothing
        } else {
            fs::rename(path, beside(path, "damaged"))?;
            Found::Damaged
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let new = beside(path, "new");
        let file = File::create(&new)?;
        file.write_all_at(&[b'\n'; 2 * PLACE], 0)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(folder)?.sync_all()?;
        Ok((RegisterFile { file, head, writes: 0 }, found))
    }

    /// Writes the state; it is on disk when this returns.
    pub(crate) fn save(&mut self, state: Acceptor) -> io::Result<()> {
        let writes = self.writes + 1;
        let text = written(&self.head, writes, state);
        let offset = if writes % 2 == 0 { PLACE as u64 } else { 0 };
        self.file.write_all_at(text.as_bytes(), offset)?;
        self.file.sync_data()?;
        self.writes = writes;
        Ok(())
    }
}

fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(word);
    PathBuf::from(name)
}

fn written(head: &str, writes: u64, state: Acceptor) -> String {
    let Acceptor { promised, accepted } = state;
    let mut text =
        format!("{head}write {writes}\npromised {} {}\n", promised.number, promised.by.0);
    let accepted = accepted.map_or("none".to_owned(), |(ballot, config)| {
        let both = u8::from(config.both);
        let Config { epoch, primary, .. } = config;
        format!("{} {} {epoch} {} {both}", ballot.number, ballot.by.0, primary.0)
    });
    let _ = writeln!(text, "accepted {accepted}");
    let digest = hex(&Sha256::digest(text.as_bytes()));
    let _ = writeln!(text, "sha256 {digest}");
    // Names are short: ../settings of five members take less than half of it.
    while text.len() < PLACE {
        text.push('\n');
    }
    text
}

fn read(head: &str, place: &[u8]) -> Option<(u64, Acceptor)> {
    let text = std::str::from_utf8(place).ok()?;
    let mut lines = text.strip_prefix(head)?.lines();
    let numbers = |line: &str, key: &str| -> Option<Vec<u64>> {
        line.strip_prefix(key)?.split(' ').map(|word| word.parse().ok()).collect()
    };
    let [writes] = numbers(lines.next()?, "write ")?[..] else { return None };
    let [number, by] = numbers(lines.next()?, "promised ")?[..] else { return None };
    let node = |number: u64| u8::try_from(number).ok().map(Node);
    let promised = Ballot { number, by: node(by)? };
    let line = lines.next()?;
    let accepted = if line == "accepted none" {
        None
    } else {
        let [number, by, epoch, primary, both] = numbers(line, "accepted ")?[..] else {
            return None;
        };
        let config = Config { epoch, primary: node(primary)?, both: both == 1 };
        Some((Ballot { number, by: node(by)? }, config))
    };
    let state = Acceptor { promised, accepted };
    // To the byte what we would write: that covers the digest, and what no writer writes.
    (written(head, writes, state) == text).then_some((writes, state))
}

/// Bytes as people read them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(own: &str) -> Settings {
        let text = format!(
            "own {own}\nmember a 10.0.0.1\nmember b 10.0.0.2\nmember c 10.0.0.3\nport 1\n\
             secret /s\nregister /r\nrun /run\ncarrier eth1\ndata /d\nclients /c\npassword /p\nalone-after 800\nmax-lag 5\nkill k\nstop s\nstart s\n"
        );
        Settings::read(&text).unwrap()
    }

    fn state(number: u64) -> Acceptor {
        let promised = Ballot { number, by: Node(1) };
        let config = Config { epoch: number, primary: Node(1), both: true };
        Acceptor { promised, accepted: (number > 1).then_some((promised, config)) }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("pair-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    /// A write that was cut off at any byte leaves the state before it, or the new one.
    #[test]
    fn a_cut_write_leaves_the_one_before() {
        let folder = folder("cut");
        let (path, settings) = (folder.join("var/register"), settings("a"));
        let (_, found) = RegisterFile::open(&path, &settings).unwrap();
        assert_eq!(found, Found::Nothing);
        // The power went before anything was promised.
        assert_eq!(RegisterFile::open(&path, &settings).unwrap().1, Found::Nothing);
        let (mut file, _) = RegisterFile::open(&path, &settings).unwrap();
        for number in 1..4 {
            file.save(state(number)).unwrap();
            let (_, found) = RegisterFile::open(&path, &settings).unwrap();
            assert_eq!(found, Found::State(state(number)));
        }
        let before = fs::read(&path).unwrap();
        file.save(state(4)).unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!((before.len(), after.len()), (1024, 1024));
        for length in 0..PLACE {
            let mut torn = before.clone();
            torn[PLACE..PLACE + length].copy_from_slice(&after[PLACE..PLACE + length]);
            fs::write(&path, &torn).unwrap();
            let (_, found) = RegisterFile::open(&path, &settings).unwrap();
            let wanted = if torn == after { 4 } else { 3 };
            assert_eq!(found, Found::State(state(wanted)), "{length}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_short_or_anothers_is_no_state() {
        let folder = folder("other");
        let path = folder.join("register");
        let (mut file, _) = RegisterFile::open(&path, &settings("a")).unwrap();
        file.save(state(2)).unwrap();
        let bytes = fs::read(&path).unwrap();
        for found in [&bytes[..1000], &bytes[..512], b""] {
            fs::write(&path, found).unwrap();
            assert_eq!(RegisterFile::open(&path, &settings("a")).unwrap().1, Found::Damaged);
        }
        fs::write(&path, &bytes).unwrap();
        assert_eq!(RegisterFile::open(&path, &settings("b")).unwrap().1, Found::Damaged);
        assert_eq!(fs::read(folder.join("register.damaged")).unwrap(), bytes);
        fs::remove_dir_all(folder).unwrap();
    }
}
