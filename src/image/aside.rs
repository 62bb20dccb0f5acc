//! Large files that appear whole or not at all: written aside, then renamed.

use crate::error::{Error, Result};
use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// The start of the names of files that are not whole yet.
const ASIDE: &str = ".aside-imagebuild-";
/// Files aside that are older are left from a process that was killed: no image takes
/// as long to write.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Lets `write` fill a new file beside `path`, then renames it over `path`. Gives what the
/// file system says of this file, whoever has put another in its place since.
///
/// Synced before it gets its name, and the name after that: a later build takes a file
/// of the right size and time for whole, so it must be that after a power failure too.
///
/// # Errors
/// As `write`, or when the file cannot be made or renamed; nothing is left behind.
pub(super) fn write_aside(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<Metadata> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    remove_abandoned(folder);
    let mut aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(folder).map_err(failed)?;
    write(aside.as_file_mut())?;
    aside.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    aside.as_file().sync_all().map_err(failed)?;
    let metadata = aside.as_file().metadata().map_err(failed)?;
    aside.persist(path).map_err(|e| failed(e.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(metadata)
}

/// Removes what a killed process left; what cannot be removed does no harm.
fn remove_abandoned(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let aside = entry.file_name().to_string_lossy().starts_with(ASIDE);
        let changed = entry.metadata().and_then(|data| data.modified()).ok();
        let age = changed.and_then(|time| time.elapsed().ok());
        if aside && age.is_some_and(|age| age > ABANDONED) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_at_work_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".aside-imagebuild-old", ".aside-imagebuild-new", "mine"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let long_ago = std::time::SystemTime::now() - 2 * ABANDONED;
        for name in [".aside-imagebuild-old", "mine"] {
            File::options().append(true).open(at(name)).unwrap().set_modified(long_ago).unwrap();
        }
        let written = write_aside(&at("image"), |_| Ok(())).unwrap();
        assert_eq!(written.ino(), at("image").metadata().unwrap().ino());
        let there = |name: &str| at(name).exists();
        assert_eq!((there(".aside-imagebuild-old"), there("mine")), (false, true));
        assert!(there(".aside-imagebuild-new") && there("image"));
    }
}
