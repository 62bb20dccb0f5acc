//! Copies a tree with all that its files have, several folders at a time: most of the
//! time is the file system's, for each file.

use crate::error::{Error, Result};
use crate::threads;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknod, utimensat};
use nix::sys::time::TimeSpec;
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

/// A folder and what is in it, but for folders and second names of files.
struct Folder {
    path: PathBuf,
    metadata: Metadata,
    files: Vec<(PathBuf, Metadata)>,
}

/// A tree, as paths below its root. Its folders come before those in them.
#[derive(Default)]
struct Contents {
    folders: Vec<Folder>,
    /// Files with several names: a further name, and the first one.
    links: Vec<(PathBuf, PathBuf)>,
}

/// Copies what is in `from` into the empty folder `into`, which gets the attributes of
/// `from`. Each folder gets its entries in the order of their names.
pub(super) fn copy(from: &Path, into: &Path) -> Result<()> {
    let contents = Contents::of(from)?;
    for folder in contents.folders.iter().skip(1) {
        let path = into.join(&folder.path);
        std::fs::create_dir(&path).map_err(|e| Error::io("make", &path, &e))?;
    }
    threads::for_each(&contents.folders, |folder| {
        folder
            .files
            .iter()
            .try_for_each(|(path, metadata)| copy_one(&from.join(path), &into.join(path), metadata))
    })?;
    for (name, first) in &contents.links {
        let name = into.join(name);
        std::fs::hard_link(into.join(first), &name).map_err(|e| Error::io("link", &name, &e))?;
    }
    // Last and from the inside out: every entry that is made changes its folder's time.
    contents.folders.iter().rev().try_for_each(|folder| {
        attributes(&from.join(&folder.path), &into.join(&folder.path), &folder.metadata)
    })
}

impl Contents {
    fn of(from: &Path) -> Result<Contents> {
        let mut contents = Contents::default();
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        let mut seen: HashMap<u64, PathBuf> = HashMap::new();
        let failed = |e: walkdir::Error| Error::build(format!("cannot list the tree: {e}"));
        for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            let path = entry.path().strip_prefix(from).unwrap_or(entry.path()).to_owned();
            if metadata.is_dir() {
                places.insert(path.clone(), contents.folders.len());
                contents.folders.push(Folder { path, metadata, files: Vec::new() });
                continue;
            }
            if metadata.nlink() > 1 {
                if let Some(first) = seen.get(&metadata.ino()) {
                    contents.links.push((path, first.clone()));
                    continue;
                }
                seen.insert(metadata.ino(), path.clone());
            }
            let parent = path.parent().and_then(|parent| places.get(parent));
            if let Some(folder) = parent.and_then(|place| contents.folders.get_mut(*place)) {
                folder.files.push((path, metadata));
            }
        }
        Ok(contents)
    }
}

fn copy_one(from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("copy", from, &e);
    if metadata.is_symlink() {
        symlink(std::fs::read_link(from).map_err(failed)?, to).map_err(failed)?;
    } else if metadata.is_file() {
        std::fs::copy(from, to).map_err(failed)?;
    } else {
        let mode = metadata.mode();
        let kind = SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits());
        mknod(to, kind, Mode::from_bits_truncate(mode), metadata.rdev())
            .map_err(|e| failed(e.into()))?;
    }
    attributes(from, to, metadata)
}

/// Owner, mode, extended attributes and time, in the order in which they stay.
fn attributes(from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("set the attributes of", to, &e);
    lchown(to, Some(metadata.uid()), Some(metadata.gid())).map_err(failed)?;
    if !metadata.is_symlink() {
        let mode = PermissionsExt::from_mode(metadata.mode() & 0o7777);
        std::fs::set_permissions(to, mode).map_err(failed)?;
        match xattr::list(from) {
            Ok(names) => {
                for name in names {
                    let value = xattr::get(from, &name).map_err(failed)?;
                    xattr::set(to, &name, &value.unwrap_or_default()).map_err(failed)?;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(e) => return Err(failed(e)),
        }
    }
    let time = TimeSpec::new(metadata.mtime(), metadata.mtime_nsec());
    utimensat(AT_FDCWD, to, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(|e| failed(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::listing::{list, listing_from_json};

    #[test]
    fn a_copy_has_all_that_the_tree_has() {
        let work = tempfile::tempdir().unwrap();
        let (from, into) = (work.path().join("from"), work.path().join("into"));
        for folder in ["from/b/c", "from/empty", "into"] {
            std::fs::create_dir_all(work.path().join(folder)).unwrap();
        }
        let at = |name: &str| from.join(name);
        let mode = |name: &str, mode| {
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).unwrap();
        };
        for name in ["a", "b/one", "b/c/two"] {
            std::fs::write(at(name), name).unwrap();
        }
        std::fs::hard_link(at("b/one"), at("b/c/again")).unwrap();
        symlink("nowhere", at("b/link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), Mode::from_bits_truncate(0o640)).unwrap();
        // Not every file system has them.
        drop(xattr::set(at("a"), "user.kept", b"1"));
        mode("a", 0o4755);
        mode("b/one", 0o600);
        mode("empty", 0o1777);
        mode("b", 0o555);
        let time = TimeSpec::new(1_000_000_000, 5);
        for name in ["a", "b/link", "b/c", "b", ""] {
            let flags = UtimensatFlags::NoFollowSymlink;
            utimensat(AT_FDCWD, &at(name), &time, &time, flags).unwrap();
        }
        copy(&from, &into).unwrap();
        let listed = |tree: &Path| {
            let file = work.path().join("listing");
            list(tree, &file).unwrap();
            listing_from_json(&file).unwrap()
        };
        assert_eq!(listed(&from), listed(&into));
        assert_eq!(listed(&into).len(), 9);
        for name in ["a", "b/one", "b/link", "b/c", "b", "empty", ""] {
            let time = |tree: &Path| {
                let metadata = tree.join(name).symlink_metadata().unwrap();
                (metadata.mtime(), metadata.mtime_nsec())
            };
            assert_eq!(time(&from), time(&into), "{name}");
        }
        for tree in [&from, &into] {
            std::fs::set_permissions(tree.join("b"), PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
}
