//! Runs programs inside a tree: nothing of the host is seen there but the kernel.
//!
//! A sandbox has its own mounts, processes, network (loopback only, or nothing),
//! host name and IPC. It is set up by a second process of this very program
//! (`child.rs`), so that mounts and processes end with it, even after `kill -9`.
//! It has a user namespace, of the same ids for root, of his subordinate ids for an ordinary
//! user (`ids.rs`), so that files have the owners that they must have. Programs have few
//! capabilities and few system calls (`confine.rs`), and no way to a terminal.

mod child;
mod confine;
mod copy;
mod ids;
mod listing;
mod mounts;
mod namespaces;
mod ops;
mod privileged;
mod sort;

pub use child::{PATH, run_id_mapper, run_inner, run_outer};
pub use ids::check_ids;
pub use listing::{FileKind, ListedFile, listing_from_json};
pub use ops::{Op, secret_in};

use crate::error::{Error, Kind, Result};
use crate::exec::{Output, Program, Spawned};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Hidden first arguments with which this program becomes the sandbox's own parts.
pub const OUTER: &str = "__sandbox";
/// See [`OUTER`]: the first process of the inner process namespace.
pub const INNER: &str = "__sandbox-inner";
/// See [`OUTER`]: maps ids from outside of a new user namespace.
pub const ID_MAPPER: &str = "__sandbox-ids";

/// The host name inside every sandbox.
pub const HOST_NAME: &str = "imagebuild";

/// What stands at `/` inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Root {
    /// A tree, read-only but for its binds.
    ReadOnly(PathBuf),
    /// A tree with a layer in memory over it: changes are gone at the end.
    Scratch(PathBuf),
    /// The host's own tree, for jobs that are only [`Op`]s (no program runs).
    Host,
}

/// A folder or file of the host that is seen inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside; made when it is not there and the root is writable or has it.
    pub target: PathBuf,
    /// Whether it can be written.
    pub writable: bool,
}

/// One thing to do inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// Run a program to its end.
    Run {
        /// The program (absolute inside, or found in PATH) and its arguments.
        argv: Vec<String>,
        /// More environment than the fixed one.
        env: Vec<(String, String)>,
        /// Whether a failure ends the job with an error.
        must_succeed: bool,
    },
    /// Do something to files with the rights of the sandbox's root, in-process.
    Do(Op),
}

/// How one command ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Exit code; 0 for an [`Op`] that was done.
    pub code: i32,
    /// Standard output and standard error together, in the order of arrival.
    pub output: String,
}

/// A job: a root, what is bound into it, and the commands that run there in turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    root: Root,
    binds: Vec<Bind>,
    commands: Vec<Command>,
    epoch: u64,
    user_namespace: bool,
    network_rights: bool,
}

impl Sandbox {
    /// A job in this root; every program sees the clock of files as `epoch`
    /// (SOURCE_DATE_EPOCH, seconds since 1970).
    pub fn new(root: Root, epoch: u64) -> Sandbox {
        let (binds, commands) = (Vec::new(), Vec::new());
        Sandbox { root, binds, commands, epoch, user_namespace: true, network_rights: false }
    }

    /// Lets programs make and configure links and bind any port, in the sandbox's own network.
    #[must_use]
    pub fn network_rights(mut self) -> Sandbox {
        self.network_rights = true;
        self
    }

    /// Shows `source` of the host at `target`, read-only.
    #[must_use]
    pub fn bind(mut self, source: impl AsRef<Path>, target: impl AsRef<Path>) -> Sandbox {
        let (source, target) = (source.as_ref().to_owned(), target.as_ref().to_owned());
        self.binds.push(Bind { source, target, writable: false });
        self
    }

    /// Shows `source` of the host at `target`, writable.
    #[must_use]
    pub fn bind_writable(mut self, source: impl AsRef<Path>, target: impl AsRef<Path>) -> Sandbox {
        let (source, target) = (source.as_ref().to_owned(), target.as_ref().to_owned());
        self.binds.push(Bind { source, target, writable: true });
        self
    }

    /// Adds a program that must end with exit code 0.
    #[must_use]
    pub fn run<A: AsRef<str>>(self, argv: impl IntoIterator<Item = A>) -> Sandbox {
        self.program(argv, &[], true)
    }

    /// Adds a program with more environment; its failure ends the job if `must_succeed`.
    #[must_use]
    pub fn program<A: AsRef<str>>(
        mut self,
        argv: impl IntoIterator<Item = A>,
        env: &[(&str, &str)],
        must_succeed: bool,
    ) -> Sandbox {
        let argv = argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.commands.push(Command::Run { argv, env, must_succeed });
        self
    }

    /// Adds a file operation.
    #[must_use]
    pub fn op(mut self, op: Op) -> Sandbox {
        self.commands.push(Command::Do(op));
        self
    }

    /// How many commands were added so far.
    pub fn commands(&self) -> usize {
        self.commands.len()
    }

    /// Does all commands in turn and tells how each ended.
    ///
    /// # Errors
    /// When the sandbox cannot be set up (with the ways out for an ordinary user),
    /// or a command that must succeed does not: the error shows its last words.
    pub fn execute(&self) -> Result<Vec<Outcome>> {
        // What only tidies up is done all the same.
        let runs = self.commands.iter().any(|command| matches!(command, Command::Run { .. }));
        if runs && crate::exec::interrupted() {
            return Err(crate::exec::interruption());
        }
        outcomes(&self.program_of_outer()?.output()?)
    }

    /// Starts the job and gives its guard: when that is dropped, all inside ends.
    ///
    /// # Errors
    /// When the sandbox's process cannot be started.
    pub fn spawn(&self) -> Result<Running> {
        self.program_of_outer()?.spawn().map(Running)
    }

    fn program_of_outer(&self) -> Result<Program> {
        let user_namespace = self.gets_user_namespace()?;
        self.show();
        Sandbox { user_namespace, ..self.clone() }.outer()
    }

    /// The outer process, which reads this job.
    fn outer(&self) -> Result<Program> {
        let job = serde_json::to_vec(self)
            .map_err(|e| Error::build(format!("cannot describe the sandbox: {e}")))?;
        Ok(Program::new(helper()?).arg(OUTER).stdin(job).quiet())
    }

    /// Whether there is a user namespace around it. For an ordinary user there must be; root
    /// has one where the kernel and a container around it allow one, which is tried once in a
    /// run. Without programs ([`Root::Host`]) he needs none.
    fn gets_user_namespace(&self) -> Result<bool> {
        static FOR_ROOT: Mutex<Option<bool>> = Mutex::new(None);
        if !nix::unistd::geteuid().is_root() {
            return Ok(true);
        }
        if matches!(self.root, Root::Host) {
            return Ok(false);
        }
        let mut known = FOR_ROOT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let trial = Sandbox { binds: Vec::new(), commands: Vec::new(), ..self.clone() };
        let tried = outcomes(&trial.outer()?.output()?);
        if let Err(error) = &tried {
            let why = error.message();
            crate::progress::warn(format!(
                "root gets no user namespace here ({why}): only lost capabilities and a filter of system calls hold the programs of packages"
            ));
        }
        *known = Some(tried.is_ok());
        Ok(tried.is_ok())
    }

    /// Shows the programs that it runs.
    fn show(&self) {
        let root = match &self.root {
            Root::ReadOnly(tree) | Root::Scratch(tree) => tree.as_path(),
            Root::Host => Path::new("/"),
        };
        for command in &self.commands {
            if let Command::Run { argv, .. } = command {
                let words: Vec<String> = argv.iter().map(|arg| crate::exec::quote(arg)).collect();
                let words = words.join(" ");
                crate::progress::command(&format!("{words}  # in a sandbox on {}", root.display()));
            }
        }
    }
}

/// Makes one sandbox and nothing in it, with `store` as the place of its tree: what forbids them
/// here is told before the first byte is fetched for them.
///
/// # Errors
/// With what forbids them, and the way out.
pub fn try_one(store: &Path) -> Result<()> {
    check_ids()?;
    let flags = nix::sys::statvfs::statvfs(store).map(|stat| stat.flags());
    if flags.is_ok_and(|flags| flags.contains(nix::sys::statvfs::FsFlags::ST_NOEXEC)) {
        let message = format!("no program may run from {}: it is mounted noexec", store.display());
        return Err(Error::input(message).hint(
            "builds run Debian's programs from there: name another place with `--store DIR`",
        ));
    }
    // `gc` takes away what a kill leaves there.
    let work = store.join("tmp");
    crate::fs::create_dir_all(&work)?;
    let tree = tempfile::tempdir_in(&work).map_err(|e| Error::io("make a folder in", &work, &e))?;
    Sandbox::new(Root::ReadOnly(tree.path().to_owned()), 0).execute().map(drop)
}

/// A job that goes on by itself, for programs that run for minutes.
#[derive(Debug)]
pub struct Running(Spawned);

impl Running {
    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Waits for its end and tells how each command ended.
    ///
    /// # Errors
    /// As [`Sandbox::execute`].
    pub fn wait(self) -> Result<Vec<Outcome>> {
        outcomes(&self.0.wait()?)
    }
}

fn outcomes(output: &Output) -> Result<Vec<Outcome>> {
    let report: Result<Report, _> = serde_json::from_slice(&output.stdout);
    match report {
        Ok(Report::Done(outcomes)) => Ok(outcomes),
        Ok(Report::Failed { kind, message, detail, hint }) => {
            let error = Error::new(kind, message).detail(detail);
            Err(if hint.is_empty() { error } else { error.hint(hint) })
        }
        Err(_) if crate::exec::interrupted() => Err(crate::exec::interruption()),
        Err(_) => Err(Error::build(format!("the sandbox ended with code {}", output.code))
            .detail(crate::exec::tail(&output.stderr))),
    }
}

/// What the sandbox's process says at its end, as JSON on its standard output.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    Done(Vec<Outcome>),
    Failed { kind: Kind, message: String, detail: String, hint: String },
}

/// The program that becomes the sandbox's parts, where it is not this one.
static HELPER: OnceLock<PathBuf> = OnceLock::new();

/// Names the built program to a process that is another one: a test of the library.
/// The first call counts.
pub fn use_helper(program: impl Into<PathBuf>) {
    HELPER.get_or_init(|| program.into());
}

fn helper() -> Result<PathBuf> {
    if let Some(named) = HELPER.get() {
        return Ok(named.clone());
    }
    if let Some(named) = std::env::var_os("IMAGEBUILD_HELPER") {
        return Ok(named.into());
    }
    std::env::current_exe().map_err(|e| Error::build(format!("cannot find this program: {e}")))
}

/// Removes a tree whose files may belong to subordinate ids.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_tree(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Sandbox::new(Root::Host, 0).op(Op::Remove { path: path.to_owned() }).execute()?;
            Ok(())
        }
        Err(e) => Err(Error::io("remove", path, &e)),
    }
}
