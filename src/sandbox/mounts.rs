//! What a sandbox mounts: its root, its binds, /proc and a small /dev; and the same for
//! trees inside it. All of it is in the sandbox's own mount namespace and ends with it.

use super::child::failed;
use super::{Bind, Root, Sandbox};
use crate::error::Result;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where the new root is put together; any folder that every Linux has will do,
/// as it is only seen inside the sandbox's own mount namespace.
const ASSEMBLY: &str = "/tmp";

/// The device nodes that programs inside may use.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Puts the new root together and makes it `/`.
pub(super) fn enter_root(sandbox: &Sandbox) -> Result<()> {
    // Open as long as the root is put together, and no longer: `..` leads from them to all of
    // the host.
    let sources: Vec<(Opened, &Bind)> = open_sources(&sandbox.binds)?;
    let tree = match &sandbox.root {
        Root::ReadOnly(tree) | Root::Scratch(tree) => Opened::new(tree)?,
        Root::Host => return Err(failed("leave the host", &"its own root was asked for")),
    };
    mount_tmpfs(Path::new(ASSEMBLY), "mode=0755")?;
    let [root, upper, work] = ["root", "upper", "work"].map(|n| Path::new(ASSEMBLY).join(n));
    for folder in [&root, &upper, &work] {
        std::fs::create_dir(folder).map_err(|e| failed("make its folders", &e))?;
    }
    // A scratch layer over every tree: mount points can be made where they are missing.
    let options = format!(
        "lowerdir={},upperdir={},workdir={}{}",
        tree.path().display(),
        upper.display(),
        work.display(),
        if sandbox.user_namespace { ",userxattr" } else { "" }
    );
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|e| failed("mount the tree as the root", &e))?;
    mount_special(&root)?;
    if sandbox.user_namespace {
        forbid_user_namespaces(&root)?;
    }
    make_read_only(&root.join("proc"))?;
    for (source, bind) in sources {
        mount_bind(&source.path(), &inside(&root, &bind.target), bind.writable)?;
    }
    pivot(&root)?;
    if matches!(sandbox.root, Root::ReadOnly(_)) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
            .map_err(|e| failed("make the root read-only", &e))?;
    }
    Ok(())
}

fn open_sources(binds: &[Bind]) -> Result<Vec<(Opened, &Bind)>> {
    binds.iter().map(|bind| Ok((Opened::new(&bind.source)?, bind))).collect()
}

/// A path that stays valid when the assembly folder hides what is below it.
struct Opened(OwnedFd);

impl Opened {
    fn new(path: &Path) -> Result<Opened> {
        open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .map(Opened)
            .map_err(|e| failed(&format!("open {}", path.display()), &e))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn inside(root: &Path, target: &Path) -> PathBuf {
    root.join(target.strip_prefix("/").unwrap_or(target))
}

fn mount_tmpfs(at: &Path, options: &str) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options))
        .map_err(|e| failed(&format!("mount a tmpfs at {}", at.display()), &e))
}

fn mount_bind(source: &Path, target: &Path, writable: bool) -> Result<()> {
    let made = if std::fs::metadata(source).is_ok_and(|m| m.is_dir()) {
        std::fs::create_dir_all(target)
    } else if target.exists() {
        Ok(())
    } else {
        target
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(target, ""))
    };
    made.map_err(|e| failed(&format!("make the mount point {}", target.display()), &e))?;
    // What is mounted below it would stay writable.
    let depth = if writable { MsFlags::MS_REC } else { MsFlags::empty() };
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | depth, None::<&str>)
        .map_err(|e| failed(&format!("bind {}", target.display()), &e))?;
    if writable { Ok(()) } else { make_read_only(target) }
}

/// Makes the mount at `target` read-only; inside, nobody has the right to undo it.
fn make_read_only(target: &Path) -> Result<()> {
    // In a user namespace the flags that the source's mount is locked with must stay.
    let kept = nix::sys::statvfs::statvfs(target).map_or(MsFlags::empty(), |stat| {
        MsFlags::from_bits_truncate(stat.flags().bits() & LOCKED_FLAGS.bits())
    });
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | kept;
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(|e| failed(&format!("make {} read-only", target.display()), &e))
}

/// Flags with the same value in statvfs(3) and mount(2).
const LOCKED_FLAGS: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC)
    .union(MsFlags::MS_NOATIME)
    .union(MsFlags::MS_NODIRATIME);

/// /proc, a /dev of a few nodes, empty /run and /tmp. No /sys: what is in it
/// belongs to the host (network cards, disks).
fn mount_special(root: &Path) -> Result<()> {
    let make = |path: &Path| {
        std::fs::create_dir_all(path).map_err(|e| failed(&format!("make {}", path.display()), &e))
    };
    let [proc, dev, run, tmp] = ["proc", "dev", "run", "tmp"].map(|name| root.join(name));
    for folder in [&proc, &dev, &run, &tmp] {
        make(folder)?;
    }
    mount_proc(&proc)?;
    mount_tmpfs(&run, "mode=0755")?;
    mount_tmpfs(&tmp, "mode=1777")?;
    mount_devices(&dev)
}

/// mount_namespaces(7): who has not all of /proc gets no other.
const MASKED: &str = "something covers a part of /proc here, as containers do: Docker and Podman leave it open with `--security-opt systempaths=unconfined`; or build in a virtual machine";

/// Files of /proc that tell of the host: keys of the caller's session, memory, timers.
const HIDDEN: [&str; 5] = ["kcore", "key-users", "keys", "sched_debug", "timer_list"];

/// To be made read-only: much below /proc/sys, and sysrq-trigger, asks for no capability but
/// for user 0, who is the machine's own in root's sandboxes.
fn mount_proc(proc: &Path) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), proc, Some("proc"), flags, None::<&str>).map_err(|e| {
        let error = failed("mount /proc", &e);
        if e == nix::errno::Errno::EPERM { error.hint(MASKED) } else { error }
    })?;
    let there = HIDDEN.iter().map(|name| proc.join(name)).filter(|file| file.exists());
    there.into_iter().try_for_each(|file| mount_bind(Path::new("/dev/null"), &file, false))
}

/// Lets nobody inside make a user namespace, in which he would have all capabilities again.
/// The limit is that of the sandbox's own namespace; without one it would be the machine's.
fn forbid_user_namespaces(root: &Path) -> Result<()> {
    std::fs::write(root.join("proc/sys/user/max_user_namespaces"), "0")
        .map_err(|e| failed("forbid user namespaces", &e))
}

/// Fills `dev`: used for the sandbox's own root, and for trees inside it.
fn mount_devices(dev: &Path) -> Result<()> {
    mount_tmpfs(dev, "mode=0755")?;
    for name in DEVICES {
        // Read-only holds for its mode and owner, which are the host's, not for what is written.
        mount_bind(&Path::new("/dev").join(name), &dev.join(name), false)?;
    }
    for (link, to) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        std::os::unix::fs::symlink(to, dev.join(link)).map_err(|e| failed("fill /dev", &e))?;
    }
    std::fs::create_dir(dev.join("shm")).map_err(|e| failed("fill /dev", &e))?;
    mount_tmpfs(&dev.join("shm"), "mode=1777")
}

fn pivot(root: &Path) -> Result<()> {
    let put = |e: nix::Error| failed("change the root", &e);
    std::env::set_current_dir(root).map_err(|e| failed("change the root", &e))?;
    // The old root is stacked on the new one and detached: pivot_root(2), NOTES.
    nix::unistd::pivot_root(".", ".").map_err(put)?;
    umount2(".", MntFlags::MNT_DETACH).map_err(put)?;
    std::env::set_current_dir("/").map_err(|e| failed("change the root", &e))
}

/// Mounts /proc and /dev inside a tree that programs will change their root to.
pub(super) fn prepare_chroot(tree: &Path) -> Result<()> {
    let (proc, dev) = (tree.join("proc"), tree.join("dev"));
    for folder in [&proc, &dev] {
        std::fs::create_dir_all(folder).map_err(|e| failed("make its folders", &e))?;
    }
    mount_proc(&proc)?;
    make_read_only(&proc)?;
    mount_devices(&dev)
}

/// Undoes [`prepare_chroot`].
pub(super) fn release_chroot(tree: &Path) -> Result<()> {
    ["proc", "dev"].iter().try_for_each(|name| uncover(&tree.join(name)))
}

/// Mounts an empty tmpfs over a folder.
pub(super) fn cover(folder: &Path) -> Result<()> {
    mount_tmpfs(folder, "mode=0755")
}

/// Takes the topmost mount of a folder away.
pub(super) fn uncover(folder: &Path) -> Result<()> {
    umount2(folder, MntFlags::MNT_DETACH)
        .map_err(|e| failed(&format!("unmount {}", folder.display()), &e))
}
