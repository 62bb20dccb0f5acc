//! Removes what has not been used for a while. Everything in the store can be
//! fetched or made again, so this costs at most time.

use super::{Store, lock};
use crate::error::{Error, Result};
use crate::sandbox;
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// No step takes this long.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Results of steps.
    pub objects: usize,
    /// Packages and indexes.
    pub files: usize,
    /// Bytes, as far as files are counted once.
    pub bytes: u64,
}

impl Store {
    /// Removes results and files that are not in `keep` (names of objects, and of
    /// files of the pool) and were last used before `older_than`, and what killed
    /// builds left behind. Waits until no other process uses the store: a step reads its
    /// inputs where they are.
    ///
    /// # Errors
    /// When something cannot be removed; `Interrupted` for a signal while it waits.
    pub fn collect(&self, keep: &BTreeSet<String>, older_than: Duration) -> Result<Collected> {
        let turn = |how, others| lock::turn(&self.in_use, how, &self.root, others);
        turn(FlockArg::LockExclusiveNonblock, "builds and tests that use the store")?;
        let collected = self.collect_alone(keep, older_than);
        turn(FlockArg::LockSharedNonblock, "another `imagebuild gc`")?;
        collected
    }

    fn collect_alone(&self, keep: &BTreeSet<String>, older_than: Duration) -> Result<Collected> {
        let deadline = SystemTime::now().checked_sub(older_than).unwrap_or(SystemTime::UNIX_EPOCH);
        let is_old = |path: &Path| {
            let metadata = fs::metadata(path);
            metadata.and_then(|m| m.modified()).is_ok_and(|modified| modified <= deadline)
        };
        let mut collected = Collected::default();
        for (name, folder) in entries(&self.root.join("objects"))? {
            let used = folder.join("object.json");
            let is_kept = keep.contains(&*name.to_string_lossy());
            if is_kept || (used.exists() && !is_old(&used)) {
                continue;
            }
            let Some(_lock) = self.try_lock(&name)? else { continue };
            collected.bytes += size(&folder);
            self.discard(&folder)?;
            collected.objects += 1;
        }
        for folder in ["pool", "indexes"] {
            for (name, file) in entries(&self.root.join(folder))? {
                if !keep.contains(&*name.to_string_lossy()) && is_old(&file) {
                    collected.bytes += size(&file);
                    fs::remove_file(&file).map_err(|e| Error::io("remove", &file, &e))?;
                    collected.files += 1;
                }
            }
        }
        self.collect_leftovers()?;
        Ok(collected)
    }

    /// Folders in tmp/ that nobody holds the lock of and nobody changed for a day:
    /// left by builds that were killed. The locks' own files stay: one that is
    /// unlinked could be held twice.
    fn collect_leftovers(&self) -> Result<()> {
        for (name, path) in entries(&self.root.join("tmp"))? {
            let changed = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let age = changed.ok().and_then(|changed| changed.elapsed().ok());
            if age.is_none_or(|age| age < ABANDONED) {
                continue;
            }
            if let Some(_lock) = self.try_lock(&name)? {
                sandbox::remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// The lock of a name, unless another process holds it.
    fn try_lock(&self, name: &OsString) -> Result<Option<Flock<File>>> {
        let path = self.root.join("locks").join(name);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|e| Error::io("lock", &path, &e))?;
        Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
    }
}

/// Names and paths in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<(OsString, PathBuf)>> {
    let list = fs::read_dir(folder).map_err(|e| Error::io("list", folder, &e))?;
    let mut all = Vec::new();
    for entry in list {
        let entry = entry.map_err(|e| Error::io("list", folder, &e))?;
        all.push((entry.file_name(), entry.path()));
    }
    all.sort();
    Ok(all)
}

/// Bytes of all files below, without their holes; what may not be looked at counts as
/// nothing.
fn size(path: &Path) -> u64 {
    let files = walkdir::WalkDir::new(path).into_iter().filter_map(Result::ok);
    let files = files.filter_map(|entry| entry.metadata().ok()).filter(|m| m.is_file());
    // stat(2) counts blocks of 512 bytes.
    files.map(|m| m.len().min(m.blocks() * 512)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    #[test]
    fn whoever_uses_the_store_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = Store::open(&root).unwrap();
        let user = Store::open(&root).unwrap();
        std::thread::scope(|scope| {
            let collecting = scope.spawn(|| store.collect(&BTreeSet::new(), Duration::ZERO));
            std::thread::sleep(Duration::from_millis(200));
            assert!(!collecting.is_finished());
            drop(user);
            collecting.join().unwrap().unwrap();
        });
        // And is let in again afterwards.
        drop(Store::open(&root).unwrap());
    }

    #[test]
    fn keeps_what_is_wanted_or_fresh_and_removes_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let make = |name: &str| {
            let key = Key::of(&name).unwrap();
            store
                .provide(key, |temporary| {
                    fs::write(temporary.join("x"), "12345").unwrap();
                    Ok(())
                })
                .unwrap();
            key
        };
        let (wanted, other) = (make("wanted"), make("other"));
        fs::write(store.pool().join("a.deb"), "abc").unwrap();
        for name in ["left", "at-work"] {
            fs::create_dir(store.root().join("tmp").join(name)).unwrap();
        }
        let long_ago = SystemTime::now() - ABANDONED;
        File::open(store.root().join("tmp/left")).unwrap().set_modified(long_ago).unwrap();
        let keep = BTreeSet::from([wanted.to_string()]);

        let nothing = store.collect(&keep, Duration::from_secs(3600)).unwrap();
        assert_eq!(nothing, Collected::default());
        assert!(!store.root().join("tmp/left").exists());
        assert!(store.root().join("tmp/at-work").exists());

        let collected = store.collect(&keep, Duration::ZERO).unwrap();
        assert_eq!((collected.objects, collected.files), (1, 1));
        assert!(store.find(wanted).unwrap().is_some());
        assert!(store.find(other).unwrap().is_none());
        assert!(!store.pool().join("a.deb").exists());
    }
}
