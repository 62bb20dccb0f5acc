//! The folder of one running machine: sockets, overlays, firmware variables. It goes
//! with the machine; one that a `kill -9` left behind goes when the next machine starts.

use crate::error::{Error, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

const PREFIX: &str = "imagebuild-vm-";
/// Locked for as long as the machine's process lives.
const LOCK: &str = "lock";

/// A folder that is in use.
#[derive(Debug)]
pub(super) struct RunFolder {
    // Dropped after the folder is removed, so that no sweep meets half of one.
    folder: TempDir,
    _lock: Flock<File>,
}

impl RunFolder {
    /// A new one, below the folder for temporary files.
    pub(super) fn new() -> Result<RunFolder> {
        // One at a time: another thread's sweep must not meet a folder that is not locked yet.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = std::env::temp_dir();
        sweep(&parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&parent)
            .map_err(|e| Error::io("make a folder in", &parent, &e))?;
        let path = folder.path().join(LOCK);
        let file = File::create(&path).map_err(|e| Error::io("write", &path, &e))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| Error::io("lock", &path, &errno.into()))?;
        Ok(RunFolder { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes folders whose lock nobody holds. What cannot be removed is another user's.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(file) = File::open(entry.path().join(LOCK)) else { continue };
        if let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = parent.path().join(name);
            std::fs::create_dir(&path).unwrap();
            File::create(path.join(LOCK)).unwrap()
        };
        let used = Flock::lock(make("imagebuild-vm-used"), FlockArg::LockExclusive).unwrap();
        drop(make("imagebuild-vm-left"));
        drop(make("somebody-elses"));
        sweep(parent.path());
        let left = |name: &str| parent.path().join(name).exists();
        assert!(left("imagebuild-vm-used") && left("somebody-elses"));
        assert!(!left("imagebuild-vm-left"));
        drop(used);
    }
}
