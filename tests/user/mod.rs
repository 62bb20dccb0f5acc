//! Users of the host for tests that build as one: made by root, gone at the end.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use imagebuild::exec::Program;
use std::path::Path;

/// A user of the host that ends with this value.
pub(crate) struct User {
    pub(crate) name: String,
}

impl User {
    /// With a range of subordinate ids, or without.
    pub(crate) fn new(purpose: &str, with_range: bool) -> User {
        let user = User { name: format!("ib-{purpose}-{}", std::process::id()) };
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
}

impl Drop for User {
    fn drop(&mut self) {
        // A user that stays does no harm.
        drop(host("userdel").arg(&self.name).run());
    }
}

/// A program of the host, for the test's own surroundings only.
pub(crate) fn host(name: &str) -> Program {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = folders.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    let program = Program::new(found.unwrap_or_else(|| panic!("this machine has no {name}")));
    program.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
}

/// Whether users can be made; says so if not.
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can make the users of this test");
    }
    root
}
