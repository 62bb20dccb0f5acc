//! How far the writing of a disk is, in the store: after a kill -9 or a cut line it goes on
//! where the disk had confirmed to have everything. It also keeps two from writing at once.

use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What is written where: only if all of this is the same, does a run go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subject {
    /// As `--to` named it.
    pub(super) target: String,
    /// The disk's serial number or name.
    pub(super) disk: String,
    /// Its bytes.
    pub(super) size: u64,
    /// The image's identity.
    pub(super) image: Sha256Digest,
    /// The seed's digest.
    pub(super) seed: Sha256Digest,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    subject: Subject,
    /// All before this byte is on the disk.
    written: u64,
}

/// The journal of one target, held by one process.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    record: Record,
    _lock: Flock<File>,
}

impl Journal {
    /// Opens the journal of a target in `store`.
    ///
    /// # Errors
    /// When somebody else writes to this target now, or the store cannot be written.
    pub(super) fn open(store: &Path, subject: Subject) -> Result<Journal> {
        let folder = store.join("flash");
        fs::create_dir_all(&folder)?;
        let name = Sha256Digest::of(&subject.target).to_string();
        let path = folder.join(format!("{name}.json"));
        // The file that is locked stays: one that is unlinked could be held twice.
        let lock = folder.join(format!("{name}.lock"));
        let opened = File::options().create(true).append(true).open(&lock);
        let file = opened.map_err(|e| Error::io("lock", &lock, &e))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            if errno != nix::errno::Errno::EWOULDBLOCK {
                return Error::io("lock", &lock, &errno.into());
            }
            Error::input(format!("another imagebuild is writing to {}", subject.target))
                .hint("wait for it, or end it")
        })?;
        let before = std::fs::read(&path).ok();
        // One that cannot be read says nothing: all is written again.
        let before = before.and_then(|json| serde_json::from_slice::<Record>(&json).ok());
        let written = before.filter(|record| record.subject == subject).map(|r| r.written);
        let record = Record { subject, written: written.unwrap_or(0) };
        Ok(Journal { path, record, _lock: lock })
    }

    /// All before this byte is on the disk; 0 if nothing is known.
    pub(super) fn written(&self) -> u64 {
        self.record.written
    }

    /// Notes that all before this byte is on the disk.
    pub(super) fn note(&mut self, written: u64) -> Result<()> {
        self.record.written = written;
        let json = serde_json::to_vec(&self.record).map_err(|e| Error::build(e.to_string()))?;
        fs::write_atomically(&self.path, &json)
    }

    /// Forgets it: the next run begins at the start.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.record.written = 0;
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.path, &e))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(disk: &str) -> Subject {
        let image = Sha256Digest::of("image");
        let (target, disk) = ("dev:/dev/sda".to_owned(), disk.to_owned());
        Subject { target, disk, size: 1 << 32, image, seed: Sha256Digest::of("seed") }
    }

    #[test]
    fn goes_on_with_the_same_disk_only() {
        let store = tempfile::tempdir().unwrap();
        let open = |disk| Journal::open(store.path(), subject(disk));
        let mut journal = open("1234").unwrap();
        assert_eq!(journal.written(), 0);
        journal.note(4096).unwrap();
        let error = open("1234").unwrap_err();
        assert_eq!(error.message(), "another imagebuild is writing to dev:/dev/sda");
        drop(journal);
        assert_eq!(open("1234").unwrap().written(), 4096);
        assert_eq!(open("1235").unwrap().written(), 0);
        open("1234").unwrap().forget().unwrap();
        assert_eq!(open("1234").unwrap().written(), 0);
    }

    #[test]
    fn a_damaged_one_says_nothing() {
        let store = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(store.path(), subject("1234")).unwrap();
        journal.note(4096).unwrap();
        std::fs::write(&journal.path, "{\"subject\":").unwrap();
        drop(journal);
        assert_eq!(Journal::open(store.path(), subject("1234")).unwrap().written(), 0);
    }
}
