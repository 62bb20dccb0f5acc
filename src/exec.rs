//! The one door to other programs: the only module that names duct.
//!
//! It shows the command so that it can be pasted, collects both outputs, kills
//! the child when its guard is dropped, and puts the last lines of standard
//! error into the error.

use crate::error::{Error, Result};
use crate::progress;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// How many lines of a failed program's output an error shows.
const TAIL_LINES: usize = 20;

/// A program to run, with exactly this environment and nothing of the caller's.
#[derive(Debug, Clone)]
pub struct Program {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
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
        }
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
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn output(&self) -> Result<Output> {
        progress::command(&self.pasteable());
        let mut expression = duct::cmd(&self.argv[0], &self.argv[1..])
            .full_env(self.env.iter().cloned())
            .stdin_bytes(self.stdin.clone())
            .stdout_capture()
            .stderr_capture()
            .unchecked();
        if let Some(dir) = &self.dir {
            expression = expression.dir(dir);
        }
        let failed = |cause: std::io::Error| {
            Error::build(format!("cannot run {}: {cause}", self.argv[0].to_string_lossy()))
        };
        let handle = Running(expression.start().map_err(failed)?);
        let output = handle.0.wait().map_err(failed)?;
        Ok(Output {
            code: exit_code(output.status),
            stdout: output.stdout.clone(),
            stderr: output.stderr.clone(),
        })
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
struct Running(duct::Handle);

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is the common case; a failed kill leaves nothing else to do.
        drop(self.0.kill());
    }
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
    fn the_callers_environment_stays_outside() {
        let said = Program::new("/bin/sh").args(["-c", "echo ${HOME-none}"]).run().unwrap();
        assert_eq!(said, b"none\n");
    }
}
