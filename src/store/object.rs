//! One result in the store: its files, and the record that says what they must be.

use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const RECORD: &str = "object.json";

/// A whole result.
#[derive(Debug, Clone)]
pub struct Object {
    folder: PathBuf,
    files: BTreeMap<String, Entry>,
}

/// What is recorded of one file. A file whose length and time of change are as
/// recorded is taken to be as it was; one whose time differs is read again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    sha256: Sha256Digest,
    size: u64,
    mtime_ns: i128,
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
        for (name, entry) in &files {
            let path = folder.join(name);
            let metadata = path.metadata().map_err(|e| Error::io("look at", &path, &e))?;
            let same_stamp = mtime_ns(&metadata) == entry.mtime_ns && metadata.len() == entry.size;
            if !same_stamp && fs::digest_file(&path)? != entry.sha256 {
                return Err(Error::build(format!("its file {name} has changed")));
            }
        }
        note_use(&folder.join(RECORD));
        Ok(Object { folder: folder.to_owned(), files })
    }

    /// Writes the record of a result that was just made, and syncs its files.
    /// What is inside a folder (an unpacked tree) is not listed.
    pub(super) fn seal(folder: &Path) -> Result<()> {
        let mut files = BTreeMap::new();
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io("list", folder, &e))?;
        for entry in entries {
            let path = entry.map_err(|e| Error::io("list", folder, &e))?.path();
            let metadata = path.metadata().map_err(|e| Error::io("look at", &path, &e))?;
            if !metadata.is_file() {
                continue;
            }
            fs::open(&path)?.sync_all().map_err(|e| Error::io("sync", &path, &e))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let sha256 = fs::digest_file(&path)?;
            let (size, mtime_ns) = (metadata.len(), mtime_ns(&metadata));
            files.insert(name, Entry { sha256, size, mtime_ns });
        }
        let json = serde_json::to_vec_pretty(&files).map_err(|e| Error::build(e.to_string()))?;
        fs::write_atomically(&folder.join(RECORD), &json)
    }
}

/// Notes that a result was used now, for the collection of those that are not; a
/// store that cannot be written is still good for reading.
fn note_use(record: &Path) {
    let opened = std::fs::File::options().append(true).open(record);
    drop(opened.and_then(|file| file.set_modified(std::time::SystemTime::now())));
}

fn mtime_ns(metadata: &std::fs::Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}
