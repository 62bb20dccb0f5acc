//! One result in the store: its files, and the record that says what they must be.

use super::tree;
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const RECORD: &str = "object.json";
/// What the folders must be, by name; a file as any other to the record.
const TREES: &str = "stamps.json";
/// What older versions kept in its place, without the times of the last change.
const TREES_BEFORE: &str = "trees.json";

/// Whether a file of a result was made by the store, not by the step: the times of the
/// store's disk are in it.
pub fn is_record(name: &str) -> bool {
    [RECORD, TREES, TREES_BEFORE].contains(&name)
}

/// A whole result.
#[derive(Debug, Clone)]
pub struct Object {
    folder: PathBuf,
    files: BTreeMap<String, Entry>,
}

/// What is recorded of one file. A file whose length and times of change are as recorded is
/// taken to be as it was; one whose times differ is read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    sha256: Sha256Digest,
    size: u64,
    mtime_ns: i128,
    /// Of its inode, which nobody can set. Records of older versions have none.
    #[serde(default)]
    ctime_ns: Option<i128>,
    /// Of those above and the name: the record itself may rot, and its digests stand
    /// in manifests. Records of older versions have none.
    #[serde(default)]
    seal: Option<Sha256Digest>,
}

impl Entry {
    fn new(name: &str, sha256: Sha256Digest, metadata: &Metadata) -> Entry {
        let (size, mtime_ns, ctime_ns) =
            (metadata.len(), mtime_ns(metadata), Some(ctime_ns(metadata)));
        let entry = Entry { sha256, size, mtime_ns, ctime_ns, seal: None };
        Entry { seal: Some(entry.seal_under(name)), ..entry }
    }

    fn seal_under(&self, name: &str) -> Sha256Digest {
        let changed = self.ctime_ns.map_or(String::new(), |changed| format!(" {changed}"));
        let (digest, size, modified) = (self.sha256, self.size, self.mtime_ns);
        Sha256Digest::of(format!("{name} {digest} {size} {modified}{changed}"))
    }

    /// Checks the file `name` in `folder`.
    fn check(&self, folder: &Path, name: &str) -> Result<()> {
        if self.seal.is_some_and(|seal| seal != self.seal_under(name)) {
            return Err(Error::build(format!("its record of {name} has changed")));
        }
        let path = folder.join(name);
        let metadata = path.metadata().map_err(|e| Error::io("look at", &path, &e))?;
        let same_stamp = mtime_ns(&metadata) == self.mtime_ns
            && self.ctime_ns.is_none_or(|changed| ctime_ns(&metadata) == changed)
            && metadata.len() == self.size;
        if same_stamp || fs::digest_file(&path)? == self.sha256 {
            return Ok(());
        }
        Err(Error::build(format!("its file {name} has changed")))
    }
}

impl Object {
    /// The path of one of its files (or of its folder `tree`).
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The digest of one of its files.
    ///
    /// # Errors
    /// When it has no such file.
    pub fn digest(&self, name: &str) -> Result<Sha256Digest> {
        let entry = self.files.get(name);
        entry
            .map(|entry| entry.sha256)
            .ok_or_else(|| Error::build(format!("{} holds no {name}", self.folder.display())))
    }

    /// Reads one of its files as JSON.
    ///
    /// # Errors
    /// When it is not there or is something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.path(name);
        serde_json::from_slice(&fs::read(&path)?)
            .map_err(|e| Error::build(format!("{} cannot be understood: {e}", path.display())))
    }

    /// Opens a result and checks its files against the record.
    pub(super) fn open(folder: &Path) -> Result<Object> {
        let record = fs::read(&folder.join(RECORD))?;
        let files: BTreeMap<String, Entry> = serde_json::from_slice(&record)
            .map_err(|e| Error::build(format!("its record cannot be understood: {e}")))?;
        files.iter().try_for_each(|(name, entry)| entry.check(folder, name))?;
        // Of no file is the result of a validator; of another it has been lost.
        if files.is_empty() && entries(folder)?.len() > 1 {
            return Err(Error::build("its record is empty"));
        }
        note_use(&folder.join(RECORD));
        Ok(Object { folder: folder.to_owned(), files })
    }

    /// Whether it has folders of which no stamp of today's kind is kept: an older version of
    /// this program made it, and nobody knows whether a package's script has written to it.
    pub(super) fn is_outdated(&self) -> Result<bool> {
        let is_tree = |(_, _, metadata): &(String, PathBuf, Metadata)| metadata.is_dir();
        Ok(!self.files.contains_key(TREES) && entries(&self.folder)?.iter().any(is_tree))
    }

    /// Looks through its folders.
    pub(super) fn check_trees(&self) -> Result<()> {
        if !self.files.contains_key(TREES) {
            return Ok(());
        }
        let trees: BTreeMap<String, Sha256Digest> = self.json(TREES)?;
        for (name, stamp) in trees {
            if tree::stamp(&self.path(&name))? != stamp {
                return Err(Error::build(format!("its folder {name} has changed")));
            }
        }
        Ok(())
    }

    /// Writes the record of a result that was just made, and syncs its files. Of a folder
    /// (an unpacked tree) only a stamp is kept, and it is not synced: the kernel takes its
    /// time for 400 MB, and a file whose content a power cut kept from the disk is too
    /// short, which the stamp shows.
    pub(super) fn seal(folder: &Path) -> Result<()> {
        let mut trees = BTreeMap::new();
        for (name, path, metadata) in entries(folder)? {
            if metadata.is_dir() {
                trees.insert(name, tree::stamp(&path)?);
            }
        }
        if !trees.is_empty() {
            write_json(&folder.join(TREES), &trees)?;
        }
        let mut files = BTreeMap::new();
        for (name, path, metadata) in entries(folder)? {
            if metadata.is_file() {
                fs::open(&path)?.sync_all().map_err(|e| Error::io("sync", &path, &e))?;
                let entry = Entry::new(&name, fs::digest_file(&path)?, &metadata);
                files.insert(name, entry);
            }
        }
        write_json(&folder.join(RECORD), &files)
    }
}

/// What is directly in a folder.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf, Metadata)>> {
    let list = std::fs::read_dir(folder).map_err(|e| Error::io("list", folder, &e))?;
    let entry = |entry: std::io::Result<DirEntry>| {
        let path = entry.map_err(|e| Error::io("list", folder, &e))?.path();
        let metadata = path.metadata().map_err(|e| Error::io("look at", &path, &e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, path, metadata))
    };
    list.map(entry).collect()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec_pretty(value).map_err(|e| Error::build(e.to_string()))?;
    fs::write_atomically(path, &json)
}

/// Notes that a result was used now, for the collection of those that are not; a
/// store that cannot be written is still good for reading.
fn note_use(record: &Path) {
    let opened = std::fs::File::options().append(true).open(record);
    drop(opened.and_then(|file| file.set_modified(std::time::SystemTime::now())));
}

fn mtime_ns(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

fn ctime_ns(metadata: &Metadata) -> i128 {
    i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
}
