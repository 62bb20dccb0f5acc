//! Where and how a build runs: paths, user, umask, environment, cores, the order in
//! which folders give their files, and what of the host can be seen.

use super::copy::copy_project;
use crate::error::{Error, Result};
use crate::exec::Program;
use crate::fs;
use crate::sandbox;
use std::path::{Path, PathBuf};

/// Hides the host's programs; runs in mounts of its own.
const HIDE: &str = include_str!("hide.sh");

/// Places that builds are made in; removed with their trees when dropped.
#[derive(Debug)]
pub struct Where {
    folder: PathBuf,
    keep: bool,
}

impl Where {
    /// A new folder in `parent`; it stays if `keep`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: &Path, keep: bool) -> Result<Where> {
        let folder = tempfile::Builder::new().prefix("verify-").tempdir_in(parent);
        let folder = folder.map_err(|e| Error::io("make a folder in", parent, &e))?.keep();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&folder, open).map_err(|e| Error::io("open", &folder, &e))?;
        Ok(Where { folder, keep })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Where {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing else can be done about what stays.
            drop(sandbox::remove_tree(&self.folder));
        }
    }
}

/// One way to build.
#[derive(Debug)]
pub struct Environment {
    /// Its name: part of a path, and of messages.
    pub name: &'static str,
    /// Holds its store, its images, and perhaps its copy of the project.
    pub place: Where,
    /// The project that it reads.
    pub project: PathBuf,
    /// Everything as little usual as can be.
    pub odd: bool,
    /// The user who builds, if not this one.
    pub user: Option<String>,
}

impl Environment {
    /// Its store.
    pub fn store(&self) -> PathBuf {
        self.place.path().join(if self.odd { "a deeper/the store" } else { "store" })
    }

    /// Its images.
    pub fn out(&self) -> PathBuf {
        self.place.path().join(if self.odd { "a deeper/images" } else { "out" })
    }

    /// Whether the host's programs are hidden: only root may lay something over them,
    /// and an ordinary user's build needs newuidmap.
    pub fn hides(&self) -> bool {
        self.odd && self.user.is_none() && nix::unistd::geteuid().is_root()
    }

    /// Makes its store with these files in the pool, and its copy of the project.
    /// Odd environments do everything in the reverse order.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn prepare(&mut self, pool: &Path, files: &[String]) -> Result<()> {
        let into = self.store().join("pool");
        fs::create_dir_all(&into)?;
        let mut files: Vec<&String> = files.iter().collect();
        files.sort();
        if self.odd {
            files.reverse();
            let copy = self.place.path().join("a deeper/the project");
            copy_project(&self.project, &copy)?;
            self.project = copy;
        }
        for file in files {
            let (from, to) = (pool.join(file), into.join(file));
            // Another file system: the pool's files are checked when they are read.
            if std::fs::hard_link(&from, &to).is_err() {
                std::fs::copy(&from, &to).map_err(|e| Error::io("copy", &from, &e))?;
            }
        }
        let Some(user) = &self.user else { return Ok(()) };
        // This program may be where only this user gets, as below /root.
        let (from, to) = (own_file()?, self.program()?);
        std::fs::copy(&from, &to).map_err(|e| Error::io("copy", &from, &e))?;
        give(self.place.path(), user)
    }

    /// The program that builds.
    fn program(&self) -> Result<PathBuf> {
        match self.user {
            Some(_) => Ok(self.place.path().join("imagebuild")),
            None => own_file(),
        }
    }

    /// Builds one image.
    ///
    /// # Errors
    /// Those of the build.
    pub fn build(&self, architecture: &str, server: &str, format: &str) -> Result<()> {
        let mut program = self.wrapped(&self.program()?);
        for (name, value) in self.environment() {
            program = program.env(name, value);
        }
        program
            .args(["--locked", "--quiet", architecture, "--server", server, "--format", format])
            .args(["--store".as_ref(), self.store().as_os_str()])
            .args(["--out".as_ref(), self.out().as_os_str()])
            .args(["--project".as_ref(), self.project.as_os_str()])
            .dir(if self.odd { &self.project } else { Path::new("/") })
            .run()
            .map(drop)
            .map_err(|e| e.context(format!("the {} build", self.name)))
    }

    /// The program behind a shell that sets the umask, and what else it takes.
    fn wrapped(&self, this: &Path) -> Program {
        let umask = if self.odd { "umask 077; exec \"$@\"" } else { "umask 022; exec \"$@\"" };
        let shell = ["/bin/sh", "-e", "-c"];
        if let Some(user) = &self.user {
            // His group need not have his name.
            let found = nix::unistd::User::from_name(user).ok().flatten();
            let group = found.map_or_else(|| user.clone(), |found| found.gid.to_string());
            let become_user = ["--reuid", user, "--regid", &group, "--init-groups"];
            let program = Program::new("/usr/bin/setpriv").args(become_user);
            return program.args(shell).args([umask, "sh"]).arg(this);
        }
        if self.hides() {
            let program = Program::new("/usr/bin/unshare").arg("--mount").args(shell);
            return program.args([HIDE, "sh"]).arg(self.place.path()).arg(this);
        }
        Program::new(shell[0]).args(&shell[1..]).args([umask, "sh"]).arg(this)
    }

    fn environment(&self) -> Vec<(&'static str, &'static str)> {
        let path = ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        if !self.odd {
            return vec![path, ("HOME", "/"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];
        }
        vec![
            path,
            ("HOME", "/nonexistent"),
            ("USER", "somebody"),
            ("TZ", "Asia/Kathmandu"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("PERL_HASH_SEED", "7"),
            ("PYTHONHASHSEED", "7"),
        ]
    }
}

fn own_file() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| Error::build(format!("cannot find this program: {e}")))
}

/// Gives a folder and all that is in it to a user.
fn give(folder: &Path, user: &str) -> Result<()> {
    let ids = nix::unistd::User::from_name(user).ok().flatten().ok_or_else(|| {
        Error::input(format!("there is no user {user} on this machine"))
            .hint("`--user` names one who has ranges in /etc/subuid and /etc/subgid")
    })?;
    for entry in walkdir::WalkDir::new(folder) {
        let entry =
            entry.map_err(|e| Error::build(format!("cannot list {}: {e}", folder.display())))?;
        // A pool's file is one with the store's own: that stays whose it is.
        if entry.file_type().is_dir() || entry.path().extension().is_none_or(|e| e != "deb") {
            std::os::unix::fs::lchown(entry.path(), Some(ids.uid.as_raw()), Some(ids.gid.as_raw()))
                .map_err(|e| Error::io("give away", entry.path(), &e))?;
        }
    }
    Ok(())
}
