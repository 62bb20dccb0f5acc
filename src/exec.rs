//! The one door to other programs: the only module that names duct.
//!
//! It shows the command so that it can be pasted, collects both outputs, kills
//! the child when its guard is dropped, and puts the last lines of standard
//! error into the error.

use crate::error::{Error, Result};
use crate::progress;
use std::ffi::{OsStr, OsString};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// How many lines of a failed program's output an error shows.
const TAIL_LINES: usize = 20;

/// A program to run, with exactly this environment and nothing of the caller's.
#[derive(Debug, Clone)]
pub struct Program {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
    quiet: bool,
}

/// What a program that ended left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; a death by signal N is 128 + N.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Program {
    /// The program at `path` (or found in the closed environment's PATH).
    pub fn new(path: impl AsRef<OsStr>) -> Program {
        Program {
            argv: vec![path.as_ref().to_owned()],
            env: Vec::new(),
            dir: None,
            stdin: Vec::new(),
            quiet: false,
        }
    }

    /// Does not show the command: for the parts of this program itself.
    #[must_use]
    pub fn quiet(mut self) -> Program {
        self.quiet = true;
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Program {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Program {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets environment variables.
    #[must_use]
    pub fn envs(mut self, all: impl IntoIterator<Item = (OsString, OsString)>) -> Program {
        self.env.extend(all);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Program {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets what the program reads on standard input (nothing, if not called).
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Program {
        self.stdin = bytes.into();
        self
    }

    /// The command as one line for a POSIX shell.
    pub fn pasteable(&self) -> String {
        let env = self.env.iter().map(|(name, value)| {
            format!("{}={}", name.to_string_lossy(), quote(&value.to_string_lossy()))
        });
        let argv = self.argv.iter().map(|arg| quote(&arg.to_string_lossy()));
        let words: Vec<String> = env.chain(argv).collect();
        words.join(" ")
    }

    /// Runs the program to its end and gives its output, whatever its exit code.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn output(&self) -> Result<Output> {
        self.finish(&self.start()?)
    }

    /// Starts the program and gives its guard, which ends it when dropped.
    ///
    /// A thread of its own keeps it: a child that binds its life to its parent
    /// (PR_SET_PDEATHSIG) dies with the *thread* that started it, and whoever starts
    /// a machine may end long before the machine does.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(self) -> Result<Spawned> {
        self.keep(Program::start)
    }

    fn keep(
        self,
        start: impl FnOnce(&Program) -> Result<Running> + Send + 'static,
    ) -> Result<Spawned> {
        let (tell, hear) = std::sync::mpsc::channel();
        let keeper = std::thread::spawn(move || {
            let running = start(&self)?;
            // The receiver waits for this; it cannot have gone away.
            drop(tell.send(Arc::clone(&running.0)));
            self.finish(&running)
        });
        match hear.recv() {
            Ok(handle) => Ok(Spawned { handle, keeper: Some(keeper) }),
            Err(_) => Err(join(keeper).err().unwrap_or_else(|| Error::build("it did not start"))),
        }
    }

    /// Starts the program and gives pipes to its standard input and output: what was set as
    /// its input is not used. Dropping the [`Spawned`] ends it.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn converse(self) -> Result<(PipeWriter, PipeReader, Spawned)> {
        let pipe = || std::io::pipe().map_err(|cause| self.cannot_run(&cause));
        let ((stdin, to), (from, stdout)) = (pipe()?, pipe()?);
        let spawned = self.keep(|program| {
            // Dropped as soon as the program has its ends, or nobody would see its own end.
            program.begin(|command| command.stdin_file(stdin).stdout_file(stdout))
        })?;
        Ok((to, from, spawned))
    }

    fn start(&self) -> Result<Running> {
        self.begin(|command| command.stdin_bytes(self.stdin.clone()).stdout_capture())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn begin(&self, pipes: impl FnOnce(duct::Expression) -> duct::Expression) -> Result<Running> {
        if !self.quiet {
            progress::command(&self.pasteable());
        }
        let command = duct::cmd(&self.argv[0], &self.argv[1..]);
        let mut expression =
            pipes(command).full_env(self.env.iter().cloned()).stderr_capture().unchecked();
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        Running::start(&expression).map_err(|cause| self.cannot_run(&cause))
    }

    fn finish(&self, running: &Running) -> Result<Output> {
        let output = running.0.wait().map_err(|cause| self.cannot_run(&cause))?;
        if interrupted() {
            return Err(interruption());
        }
        Ok(Output {
            code: exit_code(output.status),
            stdout: output.stdout.clone(),
            stderr: output.stderr.clone(),
        })
    }

    fn cannot_run(&self, cause: &std::io::Error) -> Error {
        Error::build(format!("cannot run {}: {cause}", self.argv[0].to_string_lossy()))
    }

    /// Runs the program and gives its standard output.
    ///
    /// # Errors
    /// When it cannot be started or its exit code is not 0; the error shows the
    /// command and the last lines of what it said.
    pub fn run(&self) -> Result<Vec<u8>> {
        let output = self.output()?;
        if output.code == 0 { Ok(output.stdout) } else { Err(self.failure(&output)) }
    }

    /// The error for an `output` that is not what was wanted.
    pub fn failure(&self, output: &Output) -> Error {
        let name = Path::new(&self.argv[0]).file_name().unwrap_or(&self.argv[0]);
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Error::build(format!("{} failed with exit code {}", name.to_string_lossy(), output.code))
            .detail(tail(said))
            .detail(format!("command: {}", self.pasteable()))
    }
}

/// A started program that does not outlive its guard.
struct Running(Arc<duct::Handle>);

/// A program that was started and goes on by itself; dropping this ends it.
#[derive(Debug)]
pub struct Spawned {
    handle: Arc<duct::Handle>,
    keeper: Option<std::thread::JoinHandle<Result<Output>>>,
}

impl Spawned {
    /// Whether it has ended (by itself, or by a signal).
    pub fn has_ended(&self) -> bool {
        self.keeper.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for, or a signal ended the work.
    pub fn wait(mut self) -> Result<Output> {
        self.keeper.take().map_or_else(|| Err(Error::bug("it was waited for twice")), join)
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        // Already ended is no failure; after any other there is nothing else to try.
        drop(self.handle.kill());
        drop(join(keeper));
    }
}

fn join(keeper: std::thread::JoinHandle<Result<Output>>) -> Result<Output> {
    keeper.join().unwrap_or_else(|_| Err(Error::bug("the thread that kept a program died")))
}

/// Everything that runs now, for [`interrupt`].
static RUNNING: Mutex<Vec<Weak<duct::Handle>>> = Mutex::new(Vec::new());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

impl Running {
    fn start(expression: &duct::Expression) -> std::io::Result<Running> {
        let handle = Arc::new(expression.start()?);
        let mut all = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        all.retain(|running| running.strong_count() > 0);
        all.push(Arc::downgrade(&handle));
        // The signal may have come before it was on the list.
        if interrupted() {
            drop(handle.kill());
        }
        Ok(Running(handle))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is the common case; a failed kill leaves nothing else to do.
        drop(self.0.kill());
    }
}

/// Ends every running program; the steps that wait for them end with
/// [`interruption`] and clean up after themselves. Called when a signal arrives.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    let all = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for running in all.iter().filter_map(Weak::upgrade) {
        drop(running.kill());
    }
}

/// Whether a signal asked for an end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// The error of work that a signal ended.
pub fn interruption() -> Error {
    Error::new(crate::error::Kind::Interrupted, "interrupted; finished steps are kept")
}

/// Starts `program` with `stdin` and waits for it, without any thread: for the
/// sandbox's processes between taking namespaces and starting their first child.
pub(crate) fn become_parent_of(
    program: &Path,
    args: &[&str],
    stdin: &[u8],
) -> std::io::Result<ExitStatus> {
    // Everybody in the sandbox reads the command line of its process 1.
    let mut command = plain(program, args);
    let mut child = command.arg0("imagebuild").stdin(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin)?;
    }
    child.wait()
}

/// A program that was started and waits for a line on its standard input.
pub(crate) struct Waiting(std::process::Child);

/// Starts a program that waits to be released; again without any thread.
pub(crate) fn start_waiting(program: &Path, args: &[&str]) -> std::io::Result<Waiting> {
    Ok(Waiting(plain(program, args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
}

impl Waiting {
    /// Lets it go on, waits for its end, and gives its error as this one's.
    pub(crate) fn release(mut self) -> Result<()> {
        if let Some(mut pipe) = self.0.stdin.take() {
            pipe.write_all(b"\n").map_err(|e| Error::build(format!("the helper died: {e}")))?;
        }
        let ended = self.0.wait_with_output();
        let output = ended.map_err(|e| Error::build(format!("the helper died: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Err(match text.split_once("\nhint: ") {
            Some((message, hint)) => Error::input(message).hint(hint),
            None => Error::input(text),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn plain(program: &Path, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.args(args);
    command
}

/// Runs a program with exactly this environment and gives its exit code and both
/// outputs as one text, in the order of arrival. It reads nothing. It is started by a thread
/// of its own after `confine`, which takes rights away from that thread and so from it. When
/// it has ended, `end_the_rest` must end whatever it left behind: that may hold the output
/// open.
pub(crate) fn run_merged(
    program: &str,
    args: &[String],
    env: &[(String, String)],
    confine: impl FnOnce() -> std::io::Result<()> + Send,
    end_the_rest: impl FnOnce() -> std::io::Result<()>,
) -> std::io::Result<(i32, String)> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mut output, writer) = std::io::pipe()?;
    let mut command = plain(Path::new(program), &args);
    command.env_clear().envs(env.iter().map(|(name, value)| (name, value))).current_dir("/");
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let start = || confine().and_then(|()| command.spawn());
    let mut child = std::thread::scope(|scope| join_thread(scope.spawn(start)))?;
    // It has the other ends of the pipe.
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        output.read_to_end(&mut text).map(|_| text)
    });
    let status = child.wait()?;
    end_the_rest()?;
    let text = reader.join().unwrap_or_else(|_| Err(std::io::Error::other("its reader died")))?;
    Ok((exit_code(status), String::from_utf8_lossy(&text).into_owned()))
}

fn join_thread<T>(
    thread: std::thread::ScopedJoinHandle<'_, std::io::Result<T>>,
) -> std::io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that starts it died")))
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The last lines of a program's output, for an error.
pub fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Quotes one word for a POSIX shell, only where it must.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_command_and_the_last_words_of_a_failure() {
        let program = Program::new("/bin/sh").args(["-c", "echo out; echo it broke >&2; exit 3"]);
        let error = program.run().unwrap_err().to_string();
        assert_eq!(
            error,
            "error: sh failed with exit code 3\n  it broke\n  command: /bin/sh -c 'echo out; echo it broke >&2; exit 3'"
        );
    }

    #[test]
    fn a_dropped_guard_ends_the_program() {
        let start = std::time::Instant::now();
        let program = Program::new("/bin/sleep").arg("60").quiet();
        // From a thread that ends at once: the program must live on.
        let spawned = std::thread::spawn(move || program.spawn()).join().unwrap().unwrap();
        assert!(!spawned.has_ended());
        drop(spawned);
        assert!(start.elapsed().as_secs() < 30);
    }

    #[test]
    fn a_program_is_talked_with() {
        let (mut to, from, spawned) = Program::new("/bin/sh")
            .args(["-c", "read line; echo $line; echo end >&2"])
            .converse()
            .unwrap();
        let mut said = String::new();
        to.write_all(b"word\n").unwrap();
        std::io::BufReader::new(from).read_to_string(&mut said).unwrap();
        assert_eq!(said, "word\n");
        assert_eq!(spawned.wait().unwrap().stderr, b"end\n");
    }

    #[test]
    fn the_callers_environment_stays_outside() {
        let said = Program::new("/bin/sh").args(["-c", "echo ${HOME-none}"]).run().unwrap();
        assert_eq!(said, b"none\n");
    }
}
