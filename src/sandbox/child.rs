//! The sandbox's own processes, made of this program started again.
//!
//! The outer one takes the namespaces and waits; the inner one is process 1 of
//! the new process namespace: it mounts, changes the root and does the commands.
//! When either ends, for whatever reason, the kernel ends everything inside.

use super::confine::confine;
use super::mounts::enter_root;
use super::{Command, HOST_NAME, INNER, Outcome, Report, Root, Sandbox, ids, namespaces};
use crate::error::{Error, Result};
use crate::exec;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::wait;
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Directories of programs inside.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    let (message, hint) = (message.to_owned(), hint.to_owned());
    Report::Failed { kind: error.kind(), message, detail, hint }
}

pub(super) fn failed(doing: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::build(format!("cannot {doing} for the sandbox: {cause}"))
}

/// Ends with the parent, even when the parent is killed.
pub(super) fn end_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| failed("bind its life to its parent", &e))
}

fn outer() -> Result<()> {
    end_with_parent()?;
    namespaces::leave_caller()?;
    let mut job = Vec::new();
    std::io::stdin().read_to_end(&mut job).map_err(|e| failed("read the job", &e))?;
    // Found before the mounts are others: in a chroot its path would be that from the root outside.
    let own_file = own_file()?;
    namespaces::enter(&parse(&job)?)?;
    let status = exec::become_parent_of(&own_file, &[INNER], &job)
        .map_err(|e| failed("start the inner process", &e))?;
    if status.success() { Ok(()) } else { Err(Error::build(format!("the sandbox died: {status}"))) }
}

pub(super) fn own_file() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| failed("find this program", &e))
}

fn parse(job: &[u8]) -> Result<Sandbox> {
    serde_json::from_slice(job).map_err(|e| failed("understand the job", &e))
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
    close_to_programs()?;
    let outcomes: Result<Vec<Outcome>> =
        sandbox.commands.iter().map(|command| perform(command, &sandbox)).collect();
    Ok(Report::Done(outcomes?))
}

/// Hides what this process, with all its rights, has in memory and open from the programs
/// that it starts (ptrace(2), access mode checking). And none of them, as it crashes, starts
/// the program of core_pattern, which the kernel runs as root of the machine: for that a
/// limit of one byte counts, and none of zero (fs/coredump.c).
fn close_to_programs() -> Result<()> {
    prctl::set_dumpable(false).map_err(|e| failed("hide process 1", &e))?;
    setrlimit(Resource::RLIMIT_CORE, 1, 1).map_err(|e| failed("forbid core dumps", &e))
}

fn perform(command: &Command, sandbox: &Sandbox) -> Result<Outcome> {
    match command {
        Command::Do(op) => op.perform().map(|output| Outcome { code: 0, output }),
        Command::Run { argv, env, must_succeed } => {
            let [program, args @ ..] = argv.as_slice() else {
                return Err(Error::bug("a command without a program"));
            };
            let env = environment(env, sandbox.epoch);
            let confine = || confine(sandbox.network_rights);
            let (code, output) = exec::run_merged(program, args, &env, confine, end_the_rest)
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

/// Ends all other processes of the sandbox: a daemon that a maintainer script has started,
/// and that nothing of the build waits for.
fn end_the_rest() -> std::io::Result<()> {
    // Anywhere else than in a process namespace of its own, "all" would be the host's.
    if std::process::id() != 1 {
        return Ok(());
    }
    match kill(Pid::from_raw(-1), Signal::SIGKILL) {
        // There are none.
        Err(Errno::ESRCH) => return Ok(()),
        ended => ended?,
    }
    // Until the last one has written its last byte.
    while wait().is_ok() {}
    Ok(())
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
