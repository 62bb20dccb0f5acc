//! The folder of one running machine: sockets, overlays, credentials, firmware variables.
//! Only its owner gets into it. It goes with the machine; one that a `kill -9` left behind goes when the next machine starts.

use crate::error::{Error, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

const PREFIX: &str = "imagebuild-vm-";
/// Locked for as long as the machine's process lives.
const LOCK: &str = "lock";

/// A folder that is in use.
#[derive(Debug)]
pub(crate) struct RunFolder {
    // Dropped after the folder is removed, so that who removes abandoned folders never meets half of one.
    folder: TempDir,
    _lock: Flock<File>,
}

impl RunFolder {
    /// A new one, below the folder for temporary files.
    pub(crate) fn new() -> Result<RunFolder> {
        // One at a time: another thread must not take a folder that is not locked yet for an
        // abandoned one.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent)
            .map_err(|e| Error::io("make a folder in", &parent, &e))?;
        let path = folder.path().join(LOCK);
        let file = File::create(&path).map_err(|e| Error::io("write", &path, &e))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| Error::io("lock", &path, &errno.into()))?;
        Ok(RunFolder { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes folders whose lock nobody holds. Those of other users stay: they may have made
/// anything there.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let own = nix::unistd::geteuid().as_raw();
        if !entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == own) {
            continue;
        }
        let Ok(file) = open_lock(&entry.path()) else { continue };
        if let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// Opens the lock of a folder; to open a pipe does not wait for its other end.
fn open_lock(folder: &Path) -> std::io::Result<File> {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags).open(folder.join(LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_gets_into_it() {
        let folder = RunFolder::new().unwrap();
        assert_eq!(folder.path().metadata().unwrap().mode() & 0o777, 0o700);
    }

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
        let pipe = parent.path().join("imagebuild-vm-pipe");
        std::fs::create_dir(&pipe).unwrap();
        nix::unistd::mkfifo(&pipe.join(LOCK), nix::sys::stat::Mode::S_IRWXU).unwrap();
        drop(make("somebody-elses"));
        remove_abandoned(parent.path());
        let left = |name: &str| parent.path().join(name).exists();
        assert!(left("imagebuild-vm-used") && left("somebody-elses"));
        assert!(!left("imagebuild-vm-left"));
        drop(used);
    }
}
