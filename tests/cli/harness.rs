//! A run of the real program in a closed environment, written down as a transcript:
//! arguments, standard output, standard error, exit code.
//!
//! Compared is every byte, but for what differs from run to run: the folder of the
//! test is `TMP`, the fixture's server is `MIRROR`, times and rates are `TIME`.

use imagebuild::exec::Program;
use std::path::{Path, PathBuf};

/// A command line to run, and what it must say.
#[derive(Debug, Clone)]
pub(crate) struct Cli {
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: PathBuf,
    names: Vec<(String, &'static str)>,
    before: Option<String>,
    own_mounts: bool,
    stdout: String,
    stderr: String,
}

/// What a run said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transcript {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// The program in the folder `home`, which is also its only folder: `TMP` in texts.
pub(crate) fn cli(home: &Path) -> Cli {
    let home = home.canonicalize().unwrap();
    let shown = home.display().to_string();
    Cli {
        args: Vec::new(),
        // Whatever proxy this machine's apt uses: the archives of tests are here.
        env: [("HOME", &*shown), ("TMPDIR", "/tmp"), ("no_proxy", "127.0.0.1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        dir: home,
        names: vec![(shown, "TMP")],
        before: None,
        own_mounts: false,
        stdout: String::new(),
        stderr: String::new(),
    }
}

impl Cli {
    /// Adds arguments, as typed with spaces between.
    pub(crate) fn args(mut self, line: &str) -> Cli {
        self.args.extend(line.split_whitespace().map(str::to_owned));
        self
    }

    /// Runs in this folder.
    pub(crate) fn dir(mut self, dir: &Path) -> Cli {
        self.dir = dir.to_owned();
        self
    }

    /// Sets a variable of the environment, which is empty but for `HOME` and `TMPDIR`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Cli {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Shows `text` as `name`.
    pub(crate) fn name(mut self, text: &str, name: &'static str) -> Cli {
        self.names.push((text.to_owned(), name));
        self
    }

    /// Runs this shell script first, whose process becomes the program.
    pub(crate) fn shell(mut self, script: &str) -> Cli {
        self.before = Some(script.to_owned());
        self
    }

    /// The same, with mounts of its own that end with the program. An ordinary user has them
    /// in a user namespace, where he is root: files have other owners there than outside, and
    /// trees of a store that was filled outside are made again.
    pub(crate) fn mounts(self, script: &str) -> Cli {
        Cli { own_mounts: true, ..self.shell(script) }
    }

    /// What standard output must be; nothing, if not called.
    pub(crate) fn stdout(mut self, text: &str) -> Cli {
        self.stdout = text.to_owned();
        self
    }

    /// What standard error must be; nothing, if not called.
    pub(crate) fn stderr(mut self, text: &str) -> Cli {
        self.stderr = text.to_owned();
        self
    }

    /// Runs, and compares all of it.
    #[track_caller]
    pub(crate) fn code(self, code: i32) {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        let said = self.run();
        assert_eq!(said.text(), Transcript { stdout, stderr, code }.text());
    }

    /// Runs, and gives what was said.
    pub(crate) fn run(&self) -> Transcript {
        let mut program = self.program().dir(&self.dir);
        for (name, value) in &self.env {
            program = program.env(name, value);
        }
        let output = program.output().unwrap();
        let text = |bytes: &[u8]| self.normal(&String::from_utf8_lossy(bytes));
        Transcript { stdout: text(&output.stdout), stderr: text(&output.stderr), code: output.code }
    }

    fn program(&self) -> Program {
        let binary = env!("CARGO_BIN_EXE_imagebuild");
        match &self.before {
            None => Program::new(binary).args(&self.args),
            Some(script) => {
                let script = format!("{script}\nexec \"$0\" \"$@\"");
                let user = if nix::unistd::geteuid().is_root() { None } else { Some("-r") };
                let (unshare, shell) = (Program::new("/usr/bin/unshare"), "/bin/sh");
                let program = if self.own_mounts {
                    unshare.args(user).args(["-m", shell])
                } else {
                    Program::new(shell)
                };
                program.args(["-e", "-c", &script, binary]).args(&self.args)
            }
        }
    }

    fn normal(&self, text: &str) -> String {
        let named = self
            .names
            .iter()
            .fold(text.to_owned(), |text, (long, name)| text.replace(long.as_str(), name));
        named.split_inclusive('\n').map(timeless).collect()
    }
}

/// A line without the time or the rate that is in it.
fn timeless(line: &str) -> String {
    if let Some((start, rest)) = line.split_once("Took ") {
        let name = rest.split_once(" s ").map_or(rest, |(_, name)| name);
        return format!("{start}Took TIME {name}");
    }
    match (line.rfind(", "), line.ends_with("/s)\n")) {
        (Some(at), true) => format!("{}, TIME)\n", &line[..at]),
        _ => line.to_owned(),
    }
}

impl Transcript {
    /// As one text, for comparing and reading.
    pub(crate) fn text(&self) -> String {
        format!("stdout:\n{}stderr:\n{}exit code {}\n", self.stdout, self.stderr, self.code)
    }
}
