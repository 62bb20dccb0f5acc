//! The folders of a result (unpacked trees): whether they are as they were when the
//! result was sealed.
//!
//! A tree has some 16 000 files, so neither are they read nor is a record kept of each:
//! one digest stands for the names, kinds, modes, owners, sizes, times and links of all.
//! Of the times, that of the last change of the inode tells most: nobody can set it, so
//! whoever puts the time of a file back cannot hide that he wrote it.
//!
//! To make it again takes 53 ms of one processor, too long for a build that changes
//! nothing, which reads no tree; so it is done before a step reads one (see
//! [`Store::find_whole`](super::Store::find_whole)).

use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use crate::threads;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{DirEntry, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The digest of what stat(2) says of all that is below `root`, and of `root` itself.
///
/// # Errors
/// When something cannot be looked at.
pub(super) fn stamp(root: &Path) -> Result<Sha256Digest> {
    let metadata = root.symlink_metadata().map_err(|e| Error::io("look at", root, &e))?;
    let folders: Mutex<BTreeMap<PathBuf, Sha256Digest>> = Mutex::default();
    let mut level = vec![PathBuf::new()];
    while !level.is_empty() {
        let next = Mutex::new(Vec::new());
        threads::for_each(&level, |folder| {
            let (digest, below) = look_at(root, folder)?;
            lock(&folders).insert(folder.clone(), digest);
            lock(&next).extend(below);
            Ok(())
        })?;
        level = next.into_inner().unwrap_or_else(PoisonError::into_inner);
    }
    let mut hasher = Sha256::new();
    hasher.update(facts(&metadata));
    for (folder, digest) in lock(&folders).iter() {
        hasher.update(folder.as_os_str().as_bytes());
        hasher.update(b"\0");
        hasher.update(digest.as_bytes());
    }
    Ok(Sha256Digest::from_hasher(hasher))
}

/// The digest of what is directly in a folder, and the folders among it.
fn look_at(root: &Path, folder: &Path) -> Result<(Sha256Digest, Vec<PathBuf>)> {
    let path = root.join(folder);
    let mut entries = match list(&path) {
        Ok(entries) => entries,
        // Of an ordinary user's trees, those that belong to subordinate ids may be closed
        // to him: they are when the result is sealed, and are so later.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            return Ok((Sha256Digest::of("closed"), Vec::new()));
        }
        Err(e) => return Err(Error::io("list", &path, &e)),
    };
    entries.sort_by_key(DirEntry::file_name);
    let (mut hasher, mut folders) = (Sha256::new(), Vec::new());
    for entry in entries {
        let failed = |e: std::io::Error| Error::io("look at", &entry.path(), &e);
        let (name, metadata) = (entry.file_name(), entry.metadata().map_err(failed)?);
        hasher.update(name.as_bytes());
        hasher.update(b"\0");
        hasher.update(facts(&metadata));
        if metadata.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(failed)?;
            hasher.update(target.as_os_str().as_bytes());
            hasher.update(b"\0");
        }
        if metadata.is_dir() {
            folders.push(folder.join(name));
        }
    }
    Ok((Sha256Digest::from_hasher(hasher), folders))
}

fn list(folder: &Path) -> std::io::Result<Vec<DirEntry>> {
    std::fs::read_dir(folder)?.collect()
}

/// One line. How long a folder is, and how many names it has, is the file system's.
fn facts(of: &Metadata) -> String {
    let (size, names) = if of.is_dir() { (0, 0) } else { (of.len(), of.nlink()) };
    format!(
        "{:o} {} {} {} {size} {names} {}.{} {}.{}\n",
        of.mode(),
        of.uid(),
        of.gid(),
        of.rdev(),
        of.mtime(),
        of.mtime_nsec(),
        of.ctime(),
        of.ctime_nsec()
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    /// A small tree; every time in it is long ago, so that a change shows.
    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("usr/bin")).unwrap();
        fs::write(at("usr/bin/sh"), "shell").unwrap();
        fs::hard_link(at("usr/bin/sh"), at("usr/bin/bash")).unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        for path in ["usr/bin/sh", "usr/bin", "usr", ""] {
            age(&at(path));
        }
        folder
    }

    fn age(path: &Path) {
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(path).unwrap().set_modified(long_ago).unwrap();
    }

    /// Whether a change of a tree is noticed.
    fn is_noticed(change: impl Fn(&Path)) -> bool {
        let folder = tree();
        let before = stamp(folder.path()).unwrap();
        assert_eq!(stamp(folder.path()).unwrap(), before);
        change(folder.path());
        stamp(folder.path()).unwrap() != before
    }

    #[test]
    fn every_change_is_noticed() {
        let shell = |root: &Path| root.join("usr/bin/sh");
        assert!(is_noticed(|root| fs::write(shell(root), "SHELL").unwrap()), "another time");
        assert!(is_noticed(|root| {
            fs::write(shell(root), "").unwrap();
            age(&shell(root));
        }));
        assert!(
            is_noticed(|root| {
                fs::write(shell(root), "SHELL").unwrap();
                age(&shell(root));
            }),
            "the same length and time"
        );
        assert!(is_noticed(|root| fs::remove_file(shell(root)).unwrap()));
        assert!(is_noticed(|root| fs::write(root.join("usr/new"), "").unwrap()));
        assert!(is_noticed(|root| fs::create_dir(root.join("usr/new")).unwrap()));
        assert!(is_noticed(|root| fs::rename(shell(root), root.join("usr/bin/zsh")).unwrap()));
        assert!(is_noticed(
            |root| fs::set_permissions(shell(root), Permissions::from_mode(0o700)).unwrap()
        ));
        assert!(is_noticed(|root| fs::set_permissions(
            root.join("usr"),
            Permissions::from_mode(0o700)
        )
        .unwrap()));
        assert!(is_noticed(|root| {
            fs::remove_file(root.join("bin")).unwrap();
            symlink("usr/bim", root.join("bin")).unwrap();
        }));
        // A copy in the place of a second name makes another layer.
        assert!(is_noticed(|root| {
            fs::remove_file(root.join("usr/bin/bash")).unwrap();
            fs::copy(shell(root), root.join("usr/bin/bash")).unwrap();
            age(&root.join("usr/bin/bash"));
        }));
        assert!(!is_noticed(|root| drop(fs::read(shell(root)).unwrap())));
    }
}
