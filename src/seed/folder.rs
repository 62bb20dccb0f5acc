//! The folder of the file with secrets: made if it is missing, else left alone.

use crate::error::{Error, Result};
use crate::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const IGNORE: &str =
    "# Secrets, made by `imagebuild seed`: none of them belongs in version control.\n*\n";

/// Makes the folder of the file at `path`, if it is missing: the user's only, and nothing
/// in it is git's.
pub(super) fn provide(path: &Path) -> Result<()> {
    // A bare name has "" for a folder, which is the one that we are in.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = folder.filter(|folder| !folder.exists()) else { return Ok(()) };
    fs::create_dir_all(folder)?;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder, mode).map_err(|e| Error::io("protect", folder, &e))?;
    fs::write_new(&folder.join(".gitignore"), IGNORE.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_private_and_not_for_version_control() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("a/secrets");
        provide(&folder.join("arch4.toml")).unwrap();
        let ignore = folder.join(".gitignore");
        assert_eq!(std::fs::read_to_string(&ignore).unwrap().lines().last(), Some("*"));
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        // What its user made of it, or took out of it, stays so.
        std::fs::write(&ignore, "arch4.toml\n").unwrap();
        provide(&folder.join("arch5.toml")).unwrap();
        assert_eq!(std::fs::read_to_string(&ignore).unwrap(), "arch4.toml\n");
        std::fs::remove_file(&ignore).unwrap();
        provide(&folder.join("arch4.toml")).unwrap();
        assert!(!ignore.exists());
    }

    #[test]
    fn a_folder_that_was_there_is_left_alone() {
        let project = tempfile::tempdir().unwrap();
        let mode = || project.path().metadata().unwrap().permissions().mode() & 0o777;
        std::fs::set_permissions(project.path(), PermissionsExt::from_mode(0o755)).unwrap();
        provide(&project.path().join("arch4.toml")).unwrap();
        assert_eq!(mode(), 0o755);
        assert_eq!(std::fs::read_dir(project.path()).unwrap().count(), 0);
        provide(Path::new("arch4.toml")).unwrap();
    }
}
