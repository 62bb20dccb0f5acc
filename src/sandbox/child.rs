//! The sandbox's own processes, made of this program started again.
//!
//! The outer one takes the namespaces and waits; the inner one is process 1 of
//! the new process namespace: it mounts, changes the root and does the commands.
//! When either ends, for whatever reason, the kernel ends everything inside.

use super::{Bind, Command, HOST_NAME, ID_MAPPER, INNER, Outcome, Report, Root, Sandbox, ids};
use crate::error::{Error, Result};
use crate::exec;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::{prctl, signal::Signal};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the new root is put together; any folder that every Linux has will do,
/// as it is only seen inside the sandbox's own mount namespace.
const ASSEMBLY: &str = "/tmp";

/// The device nodes that programs inside may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Directories of programs inside.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Entry point of the outer process: the job as JSON on standard input, the
/// report as JSON on standard output.
pub fn run_outer() -> ExitCode {
    match outer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&report_of(&error));
            ExitCode::FAILURE
        }
    }
}

/// Entry point of the inner process.
pub fn run_inner() -> ExitCode {
    let done = inner().unwrap_or_else(|error| report_of(&error));
    report(&done);
    ExitCode::SUCCESS
}

/// Entry point of the id mapper: waits for a line, then maps the process `pid`.
pub fn run_id_mapper(pid: &str) -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|e| failed("wait for the namespace", &e))?;
    ids::map(pid.parse().map_err(|_| Error::build("not a process number"))?)
}

fn report(report: &Report) {
    let text = serde_json::to_vec(report).unwrap_or_default();
    // When the parent is gone there is nobody to tell.
    drop(std::io::stdout().write_all(&text));
}

fn report_of(error: &Error) -> Report {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (text, hint) = text.split_once("\nhint: ").unwrap_or((text, ""));
    let (message, detail) = text.split_once('\n').unwrap_or((text, ""));
    let detail = detail.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    Report::Failed { message: message.to_owned(), detail, hint: hint.to_owned() }
}

fn failed(doing: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::build(format!("cannot {doing} for the sandbox: {cause}"))
}

/// Ends with the parent, even when the parent is killed.
fn end_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| failed("bind its life to its parent", &e))
}

fn outer() -> Result<()> {
    end_with_parent()?;
    let mut job = Vec::new();
    std::io::stdin().read_to_end(&mut job).map_err(|e| failed("read the job", &e))?;
    let sandbox: Sandbox = parse(&job)?;
    if sandbox.user_namespace {
        enter_user_namespace()?;
    }
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    if !sandbox.network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags).map_err(|e| {
        failed("make namespaces", &e)
            .hint("in a container this needs CAP_SYS_ADMIN, or user namespaces")
    })?;
    let status = exec::become_parent_of(&own_file()?, &[INNER], &job)
        .map_err(|e| failed("start the inner process", &e))?;
    if status.success() { Ok(()) } else { Err(Error::build(format!("the sandbox died: {status}"))) }
}

fn own_file() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| failed("find this program", &e))
}

fn parse(job: &[u8]) -> Result<Sandbox> {
    serde_json::from_slice(job).map_err(|e| failed("understand the job", &e))
}

fn enter_user_namespace() -> Result<()> {
    let own_pid = std::process::id().to_string();
    let mapper = exec::start_waiting(&own_file()?, &[ID_MAPPER, &own_pid])
        .map_err(|e| failed("start the id mapper", &e))?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|e| {
        failed("make a user namespace", &e).hint(format!(
            "the kernel or its AppArmor policy forbids them to ordinary users (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces); {}",
            ids::WAYS_OUT
        ))
    })?;
    mapper.release()?;
    let root = (nix::unistd::Uid::from_raw(0), nix::unistd::Gid::from_raw(0));
    nix::unistd::setgroups(&[]).map_err(|e| failed("drop groups", &e))?;
    nix::unistd::setresgid(root.1, root.1, root.1).map_err(|e| failed("become group 0", &e))?;
    nix::unistd::setresuid(root.0, root.0, root.0).map_err(|e| failed("become user 0", &e))?;
    end_with_parent()
}

fn inner() -> Result<Report> {
    end_with_parent()?;
    let mut job = Vec::new();
    std::io::stdin().read_to_end(&mut job).map_err(|e| failed("read the job", &e))?;
    let sandbox: Sandbox = parse(&job)?;
    nix::unistd::sethostname(HOST_NAME).map_err(|e| failed("set the host name", &e))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|e| failed("make mounts private", &e))?;
    if !matches!(sandbox.root, Root::Host) {
        enter_root(&sandbox)?;
    }
    let mut outcomes = Vec::new();
    for command in &sandbox.commands {
        outcomes.push(perform(command, sandbox.epoch)?);
    }
    Ok(Report::Done(outcomes))
}

/// Puts the new root together and makes it `/`.
fn enter_root(sandbox: &Sandbox) -> Result<()> {
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

fn perform(command: &Command, epoch: u64) -> Result<Outcome> {
    match command {
        Command::Do(op) => op.perform().map(|output| Outcome { code: 0, output }),
        Command::Run { argv, env, must_succeed } => {
            let [program, args @ ..] = argv.as_slice() else {
                return Err(Error::build("a command without a program"));
            };
            let (code, output) = exec::run_merged(program, args, &environment(env, epoch))
                .map_err(|e| failed(&format!("run {program}"), &e))?;
            if *must_succeed && code != 0 {
                let words: Vec<String> = argv.iter().map(|arg| exec::quote(arg)).collect();
                let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
                return Err(Error::build(format!("{name} failed with exit code {code}"))
                    .detail(exec::tail(output.as_bytes()))
                    .detail(format!("in the sandbox: {}", words.join(" "))));
            }
            Ok(Outcome { code, output })
        }
    }
}

/// The fixed environment of every program inside: one variable lost in one child
/// is the commonest cause of builds that differ.
fn environment(more: &[(String, String)], epoch: u64) -> Vec<(String, String)> {
    let fixed = [
        ("PATH", PATH),
        ("HOME", "/root"),
        ("TERM", "dumb"),
        ("TZ", "UTC"),
        ("LC_ALL", "C.UTF-8"),
        ("PYTHONHASHSEED", "0"),
        ("PERL_HASH_SEED", "0"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ];
    let mut all: Vec<(String, String)> =
        fixed.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    all.push(("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string()));
    all.extend(more.iter().cloned());
    all
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
    for name in ["proc", "dev"] {
        umount2(&tree.join(name), MntFlags::MNT_DETACH)
            .map_err(|e| failed(&format!("unmount /{name}"), &e))?;
    }
    Ok(())
}
