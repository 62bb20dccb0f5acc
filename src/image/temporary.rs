//! Large files that appear whole or not at all: written to a temporary file, then renamed.

use crate::error::{Error, Result};
use std::fs::{File, Metadata, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// The start of the names of files that are not whole yet.
const PREFIX_OF_TEMPORARY: &str = ".tmp-imagebuild-";
/// The same, of versions until November 2026.
const OLD_PREFIX: &str = ".aside-imagebuild-";
/// Temporary files that are older are left from a process that was killed: no image takes
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
pub(super) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<()>,
) -> Result<Metadata> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    crate::fs::remove_abandoned(folder, &[PREFIX_OF_TEMPORARY, OLD_PREFIX], ABANDONED);
    let mut temporary =
        tempfile::Builder::new().prefix(PREFIX_OF_TEMPORARY).tempfile_in(folder).map_err(failed)?;
    write(temporary.as_file_mut())?;
    temporary.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    let metadata = temporary.as_file().metadata().map_err(failed)?;
    temporary.persist(path).map_err(|e| failed(e.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_at_work_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".tmp-imagebuild-old", ".aside-imagebuild-old", ".tmp-imagebuild-new", "mine"]
        {
            std::fs::write(at(name), "x").unwrap();
        }
        let long_ago = std::time::SystemTime::now() - 2 * ABANDONED;
        for name in [".tmp-imagebuild-old", ".aside-imagebuild-old", "mine"] {
            File::options().append(true).open(at(name)).unwrap().set_modified(long_ago).unwrap();
        }
        let written = write_atomically(&at("image"), |_| Ok(())).unwrap();
        assert_eq!(written.ino(), at("image").metadata().unwrap().ino());
        let there = |name: &str| at(name).exists();
        assert_eq!((there(".tmp-imagebuild-old"), there("mine")), (false, true));
        assert!(!there(".aside-imagebuild-old"));
        assert!(there(".tmp-imagebuild-new") && there("image"));
    }
}
