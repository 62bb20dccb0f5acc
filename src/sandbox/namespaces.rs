//! What the outer process leaves behind before anything of the sandbox runs: descriptors,
//! terminal and namespaces of whoever started the build.

use super::child::{end_with_parent, failed, own_file};
use super::{ID_MAPPER, Sandbox, ids};
use crate::error::Result;
use crate::exec;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, close, setgroups, setresgid, setresuid, setsid};

/// Closes all descriptors but the three standard ones, which are pipes: what the caller's
/// shell had open would be a way to the host's files. And leaves the caller's session: who
/// has a controlling terminal can type on it (ioctl_tty(2), TIOCSTI).
pub(super) fn leave_caller() -> Result<()> {
    let list = std::fs::read_dir("/proc/self/fd").map_err(|e| failed("list descriptors", &e))?;
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.ok().and_then(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
    };
    let open: Vec<i32> = list.filter_map(number).filter(|number| *number > 2).collect();
    for descriptor in open {
        match close(descriptor) {
            // The one by which the list was read.
            Err(Errno::EBADF) => {}
            closed => closed.map_err(|e| failed("close a descriptor", &e))?,
        }
    }
    setsid().map_err(|e| failed("leave the terminal", &e))?;
    Ok(())
}

/// Takes namespaces of its own; those of processes are for its children.
pub(super) fn enter(sandbox: &Sandbox) -> Result<()> {
    if sandbox.user_namespace {
        enter_user_namespace()?;
    }
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    unshare(flags).map_err(|e| {
        failed("make namespaces", &e)
            .hint("in a container this needs CAP_SYS_ADMIN, or user namespaces")
    })?;
    match unshare(CloneFlags::CLONE_NEWCGROUP) {
        // A kernel without control groups has no path of one to hide.
        Err(Errno::EINVAL) => Ok(()),
        made => made.map_err(|e| failed("make a namespace of control groups", &e)),
    }
}

fn forbidden() -> String {
    format!(
        "the kernel or its AppArmor policy forbids them to ordinary users (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces); {}",
        ids::WAYS_OUT
    )
}

fn enter_user_namespace() -> Result<()> {
    let own_pid = std::process::id().to_string();
    let mapper = exec::start_waiting(&own_file()?, &[ID_MAPPER, &own_pid])
        .map_err(|e| failed("start the id mapper", &e))?;
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|e| failed("make a user namespace", &e).hint(forbidden()))?;
    mapper.release()?;
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    // Ubuntu 24.04 lets everybody make one, and takes all its rights.
    setgroups(&[]).map_err(|e| failed("drop groups", &e).hint(forbidden()))?;
    setresgid(group, group, group).map_err(|e| failed("become group 0", &e))?;
    setresuid(user, user, user).map_err(|e| failed("become user 0", &e))?;
    // The kernel forgets it at every change of user.
    end_with_parent()
}
