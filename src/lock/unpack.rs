//! Unpacks the data of a `.deb` into a folder, and never outside of it.
//!
//! Links inside the tree are followed as a system rooted there would (packages
//! rely on `/lib` being a link to `usr/lib`); a path that would climb out of the
//! tree through a link is refused. Maintainer scripts are not run: this is for
//! the tools that imagebuild itself uses.

use super::deb::{self, Entry, Kind, bad};
use crate::error::{Error, Result};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// More links than this on one path are a loop, as for the kernel.
const MOST_LINKS: usize = 40;

/// Whether files get the owners that the package names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// All files belong to who unpacks.
    Mine,
    /// As packaged; needs the rights of root in its namespace.
    Packaged,
}

/// Unpacks the entries that `filter` wants below `folder`, which must exist and be
/// nobody else's meanwhile, but for packages that are unpacked into it at the same time:
/// of a folder that several have, any one's mode and time stay. Modes and times are the
/// package's.
///
/// # Errors
/// When the `.deb` is wrong, an entry would be outside of the folder or is a file that
/// another package has too, or writing fails; `name` is the package's in errors.
pub fn unpack_into(
    deb: impl Read,
    name: &str,
    folder: &Path,
    owners: Owners,
    filter: impl Fn(&Path) -> bool,
) -> Result<()> {
    let tree = Tree { root: folder, name, owners, own: RefCell::default() };
    let mut folders = Vec::new();
    deb::visit_data(deb, name, |entry, content| {
        if entry.path.as_os_str().is_empty() || !filter(&entry.path) {
            return Ok(());
        }
        let path = tree.put(entry, content)?;
        if entry.kind == Kind::Folder {
            folders.push((path, entry.mtime));
        }
        Ok(())
    })?;
    // Last, because writing into a folder changes its time.
    for (path, mtime) in folders.iter().rev() {
        set_time(path, *mtime)?;
    }
    Ok(())
}

struct Tree<'a> {
    root: &'a Path,
    name: &'a str,
    owners: Owners,
    /// What the package put there itself, folders not counted.
    own: RefCell<BTreeSet<PathBuf>>,
}

impl Tree<'_> {
    /// Writes one entry; gives its real path.
    fn put(&self, entry: &Entry, content: &mut dyn Read) -> Result<PathBuf> {
        let path = self.place(&entry.path)?;
        match &entry.kind {
            Kind::Folder => return self.put_folder(entry, path),
            Kind::File => {
                self.make_room(&path)?;
                let failed = |e: io::Error| self.failed(&path, &e);
                let mut file = File::create_new(&path).map_err(failed)?;
                let count = io::copy(content, &mut file).map_err(failed)?;
                if count != entry.size {
                    return Err(bad(self.name, "it is cut off".to_owned()));
                }
            }
            Kind::Symlink(target) => {
                self.make_room(&path)?;
                std::os::unix::fs::symlink(target, &path).map_err(|e| self.failed(&path, &e))?;
            }
            Kind::Hardlink(target) => return self.put_link(entry, path, target),
        }
        self.finish(entry, &path)?;
        set_time(&path, entry.mtime)?;
        Ok(path)
    }

    /// A folder may already be there, or a link to one.
    fn put_folder(&self, entry: &Entry, path: PathBuf) -> Result<PathBuf> {
        let resolved = self.resolve(&entry.path)?;
        if resolved != path {
            // The folder that a link names may come later in the same package.
            if !resolved.exists() {
                std::fs::create_dir_all(&resolved).map_err(|e| self.failed(&resolved, &e))?;
            }
            if resolved.is_dir() {
                return Ok(resolved);
            }
        }
        let make = || std::fs::create_dir(&path);
        match make() {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if !std::fs::symlink_metadata(&path).is_ok_and(|there| there.is_dir()) {
                    self.make_room(&path)?;
                    make().map_err(|e| self.failed(&path, &e))?;
                }
            }
            made => made.map_err(|e| self.failed(&path, &e))?,
        }
        self.finish(entry, &path)?;
        Ok(path)
    }

    fn put_link(&self, entry: &Entry, path: PathBuf, target: &Path) -> Result<PathBuf> {
        let from = self.place(target)?;
        if !std::fs::symlink_metadata(&from).is_ok_and(|there| there.is_file()) {
            let why = format!("`{}` links to what is no file", entry.path.display());
            return Err(bad(self.name, why));
        }
        if from != path {
            self.make_room(&path)?;
            std::fs::hard_link(&from, &path).map_err(|e| self.failed(&path, &e))?;
        }
        Ok(path)
    }

    /// Owner and mode; the mode second, because a change of owner drops bits of it.
    fn finish(&self, entry: &Entry, path: &Path) -> Result<()> {
        let failed = |e: io::Error| self.failed(path, &e);
        if self.owners == Owners::Packaged {
            std::os::unix::fs::lchown(path, Some(entry.uid), Some(entry.gid)).map_err(failed)?;
        }
        if matches!(entry.kind, Kind::Symlink(_)) {
            return Ok(());
        }
        std::fs::set_permissions(path, Permissions::from_mode(entry.mode)).map_err(failed)
    }

    /// A package that has a file twice means the second, as for dpkg. What another package
    /// put there stays in the way: they are unpacked at the same time, so chance would say
    /// which of two files is the one.
    fn make_room(&self, path: &Path) -> Result<()> {
        if self.own.borrow_mut().insert(path.to_owned()) {
            return Ok(());
        }
        std::fs::remove_file(path).map_err(|e| self.failed(path, &e))
    }

    /// The real path of an entry: its folder resolved and made, its own name kept.
    fn place(&self, path: &Path) -> Result<PathBuf> {
        let folder = self.resolve(path.parent().unwrap_or(Path::new("")))?;
        if !folder.is_dir() {
            std::fs::create_dir_all(&folder).map_err(|e| self.failed(&folder, &e))?;
        }
        Ok(folder.join(path.file_name().unwrap_or_default()))
    }

    /// Follows the links of a path as if the tree were the root of the system.
    fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let mut todo: VecDeque<OsString> =
            path.components().map(|part| part.as_os_str().to_owned()).collect();
        let mut done: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                if done.pop().is_none() {
                    return Err(self.climbs(path));
                }
                continue;
            }
            let at: PathBuf = done.iter().collect();
            let Ok(target) = std::fs::read_link(self.root.join(at).join(&part)) else {
                done.push(part);
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(self.climbs(path));
            }
            if target.is_absolute() {
                done.clear();
            }
            for component in target.components().rev() {
                if matches!(component, Component::Normal(_) | Component::ParentDir) {
                    todo.push_front(component.as_os_str().to_owned());
                }
            }
        }
        Ok(self.root.join(done.iter().collect::<PathBuf>()))
    }

    fn climbs(&self, path: &Path) -> Error {
        let shown = path.display();
        bad(self.name, format!("the path `{shown}` leads out of the tree through a link"))
    }

    fn failed(&self, path: &Path, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return bad(self.name, "it is cut off".to_owned());
        }
        if error.kind() == io::ErrorKind::AlreadyExists {
            let path = path.strip_prefix(self.root).unwrap_or(path).display();
            let why = format!("`{path}` is there already, as a folder or of another package");
            let hint = "two packages of one closure have it; `imagebuild lock --update` may bring versions that do not";
            return bad(self.name, why).hint(hint);
        }
        Error::io("write", path, error).context(format!("unpacking {}", self.name))
    }
}

/// Sets the time of modification, of a link itself and not of what it names.
fn set_time(path: &Path, mtime: u64) -> Result<()> {
    let time = TimeSpec::new(i64::try_from(mtime).unwrap_or(0), 0);
    utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(|e| Error::io("set the time of", path, &e.into()))
}
