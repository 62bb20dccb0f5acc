//! Users of the host for tests that build as one: made by root, gone at the end.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use imagebuild::exec::Program;
use std::path::{Path, PathBuf};

/// A user of the host that ends with this value.
pub(crate) struct User {
    pub(crate) name: String,
    folder: tempfile::TempDir,
}

impl User {
    /// With a range of subordinate ids, or without.
    pub(crate) fn new(purpose: &str, with_range: bool) -> User {
        let name = format!("ib-{purpose}-{}", std::process::id());
        let user = User { name, folder: tempfile::tempdir().unwrap() };
        // The repository may be where only root gets, as below /root.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(user.folder.path(), open).unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_imagebuild"), user.program()).unwrap();
        // No range of useradd's own choosing: the test gives one, or none.
        let no_range = ["-K", "SUB_UID_COUNT=0", "-K", "SUB_GID_COUNT=0"];
        let home = ["--no-create-home", "--home-dir", "/nonexistent", &user.name];
        host("useradd").args(no_range).args(home).run().unwrap_or_else(|e| panic!("{e}"));
        if with_range {
            let range = ["--add-subuids", "3000000-3065535", "--add-subgids", "3000000-3065535"];
            host("usermod").args(range).arg(&user.name).run().unwrap_or_else(|e| panic!("{e}"));
        }
        user
    }

    /// The program, where the user can run it.
    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("imagebuild")
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // A user that stays does no harm.
        drop(host("userdel").arg(&self.name).run());
    }
}

/// A program of the host, for the test's own environment only.
pub(crate) fn host(name: &str) -> Program {
    let program = Program::new(find(name).unwrap_or_else(|| panic!("this machine has no {name}")));
    program.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Where the host has it.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}
