//! What a sandbox mounts: its root, its binds, /proc and a small /dev; and the same for
//! trees inside it. All of it is in the sandbox's own mount namespace and ends with it.

use super::child::failed;
use super::{Bind, Root, Sandbox};
use crate::error::Result;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::{Path, PathBuf};

/// Where the new root is put together; any folder that every Linux has will do,
/// as it is only seen inside the sandbox's own mount namespace.
const ASSEMBLY: &str = "/tmp";

/// The device nodes that programs inside may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Puts the new root together and makes it `/`.
pub(super) fn enter_root(sandbox: &Sandbox) -> Result<()> {
    let sources: Vec<(PathBuf, &Bind)> = open_sources(&sandbox.binds)?;
    let tree = match &sandbox.root {
        Root::ReadOnly(tree) | Root::Scratch(tree) => open_path(tree)?,
        Root::Host => PathBuf::from("/"),
    };
    mount_tmpfs(Path::new(ASSEMBLY), "mode=0755")?;
    let [root, upper, work] = ["root", "upper", "work"].map(|n| Path::new(ASSEMBLY).join(n));
    for folder in [&root, &upper, &work] {
        std::fs::create_dir(folder).map_err(|e| failed("make its folders", &e))?;
    }
    // A scratch layer over every tree: mount points can be made where they are missing.
    let options = format!(
        "lowerdir={},upperdir={},workdir={}{}",
        tree.display(),
        upper.display(),
        work.display(),
        if sandbox.user_namespace { ",userxattr" } else { "" }
    );
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|e| failed(&format!("mount {} as the root", tree.display()), &e))?;
    mount_special(&root)?;
    for (source, bind) in sources {
        mount_bind(&source, &inside(&root, &bind.target), bind.writable)?;
    }
    pivot(&root)?;
    if matches!(sandbox.root, Root::ReadOnly(_)) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
            .map_err(|e| failed("make the root read-only", &e))?;
    }
    Ok(())
}

/// Paths that stay valid when the assembly folder hides what is below it.
fn open_sources(binds: &[Bind]) -> Result<Vec<(PathBuf, &Bind)>> {
    binds.iter().map(|bind| Ok((open_path(&bind.source)?, bind))).collect()
}

fn open_path(path: &Path) -> Result<PathBuf> {
    use nix::fcntl::{OFlag, open};
    use std::os::fd::{AsRawFd, IntoRawFd};
    let fd = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .map_err(|e| failed(&format!("open {}", path.display()), &e))?;
    let number = fd.as_raw_fd();
    // Kept open for the life of this process, which is the life of the sandbox.
    let _kept: i32 = fd.into_raw_fd();
    Ok(PathBuf::from(format!("/proc/self/fd/{number}")))
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
    let name = target.display().to_string();
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(|e| failed(&format!("bind {name}"), &e))?;
    if writable {
        return Ok(());
    }
    // In a user namespace the flags that the source's mount is locked with must stay.
    let kept = nix::sys::statvfs::statvfs(target).map_or(MsFlags::empty(), |stat| {
        MsFlags::from_bits_truncate(stat.flags().bits() & LOCKED_FLAGS.bits())
    });
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | kept;
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(|e| failed(&format!("make {name} read-only"), &e))
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
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &proc, Some("proc"), flags, None::<&str>)
        .map_err(|e| failed("mount /proc", &e))?;
    mount_tmpfs(&run, "mode=0755")?;
    mount_tmpfs(&tmp, "mode=1777")?;
    mount_devices(&dev)
}

/// Fills `dev`: used for the sandbox's own root, and for trees inside it.
fn mount_devices(dev: &Path) -> Result<()> {
    mount_tmpfs(dev, "mode=0755")?;
    for name in DEVICES {
        mount_bind(&Path::new("/dev").join(name), &dev.join(name), true)?;
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
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &proc, Some("proc"), flags, None::<&str>)
        .map_err(|e| failed("mount /proc", &e))?;
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
