//! Large files that appear whole or not at all: written aside, then renamed.

use crate::error::{Error, Result};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Lets `write` fill a new file beside `path`, then renames it over `path`.
///
/// Synced before it gets its name, and the name after that: a later build takes a file
/// of the right size and time for whole, so it must be that after a power failure too.
///
/// # Errors
/// As `write`, or when the file cannot be made or renamed; nothing is left behind.
pub(super) fn write_aside<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    let mut aside =
        tempfile::Builder::new().prefix(".aside-").tempfile_in(folder).map_err(failed)?;
    let value = write(aside.as_file_mut())?;
    aside.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
    aside.as_file().sync_all().map_err(failed)?;
    aside.persist(path).map_err(|e| failed(e.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(value)
}
