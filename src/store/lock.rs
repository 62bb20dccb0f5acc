//! Locks between processes: flock(2) of a file that stays, as one that is unlinked could be
//! held twice. Whoever waits says for whom, and ends with Ctrl-C.

use crate::error::{Error, Result};
use crate::exec;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// How often somebody who waits looks again.
const GLANCE: Duration = Duration::from_millis(20);

/// The lock of the file `path`; `how` does not block, as this waits, for `others`.
pub(super) fn take(path: &Path, how: FlockArg, others: &str) -> Result<Flock<File>> {
    let opened = File::options().create(true).append(true).open(path);
    let mut file = opened.map_err(|e| Error::io("lock", path, &e))?;
    let mut waiting = Waiting { path, others, is_told: false };
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((free, errno)) => {
                waiting.a_moment(errno)?;
                file = free;
            }
        }
    }
}

/// Turns a lock that is held into another kind of it, as [`take`] does.
pub(super) fn turn(lock: &Flock<File>, how: FlockArg, path: &Path, others: &str) -> Result<()> {
    let mut waiting = Waiting { path, others, is_told: false };
    while let Err(errno) = lock.relock(how) {
        waiting.a_moment(errno)?;
    }
    Ok(())
}

struct Waiting<'a> {
    path: &'a Path,
    others: &'a str,
    is_told: bool,
}

impl Waiting<'_> {
    /// Sleeps, if it is another process' lock that was in the way.
    fn a_moment(&mut self, errno: Errno) -> Result<()> {
        if errno != Errno::EWOULDBLOCK {
            return Err(Error::io("lock", self.path, &errno.into()));
        }
        if exec::interrupted() {
            return Err(exec::interruption());
        }
        if !std::mem::replace(&mut self.is_told, true) {
            crate::progress::step("Waiting", format!("for {}", self.others));
        }
        std::thread::sleep(GLANCE);
        Ok(())
    }
}
