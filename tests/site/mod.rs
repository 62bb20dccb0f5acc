//! A site of a user's own, in a folder of its own, and the program run there as he would.

#![allow(dead_code, reason = "every test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use crate::project::{self, Scratch};
use imagebuild::exec::{Output, Program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(600);

/// The site's folder; in its `tmp` the program keeps what is for a while only.
pub(crate) struct Site(Scratch);

/// What a run said, on both ways, after `code N`.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Site {
    /// Of the built-in project alone, locked.
    pub(crate) fn built_in() -> Site {
        let site = Site::empty();
        let lock = "imagebuild.lock";
        std::fs::copy(project::folder().join(lock), site.path(lock)).unwrap();
        site
    }

    fn empty() -> Site {
        let site = Site(Scratch::new_in(&std::env::temp_dir()));
        std::fs::create_dir(site.path("tmp")).unwrap();
        site
    }

    /// A copy of one of examples/.
    pub(crate) fn example(name: &str) -> Site {
        let (site, from) = (Site::empty(), project::folder().join("examples").join(name));
        for entry in walkdir::WalkDir::new(&from).min_depth(1).into_iter().map(Result::unwrap) {
            let to = site.0.path().join(entry.path().strip_prefix(&from).unwrap());
            if entry.file_type().is_dir() {
                std::fs::create_dir_all(to).unwrap();
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
        site
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn change(&self, from: &str, to: &str) {
        let text = self.read("site.toml");
        assert!(text.contains(from), "no {from} in site.toml");
        self.put("site.toml", &text.replace(from, to));
    }

    /// The program with these arguments, in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.said(&self.program(PLAIN, arguments))
    }

    /// The same on a host whose folder for temporary files has so much room: in mounts of the
    /// run's own, and with the ids that a build wants.
    pub(crate) fn run_in(&self, size: &str, arguments: &[&str]) -> Said {
        let mount = format!("mount -t tmpfs -o size={size} none \"$TMPDIR\"\n{PLAIN}");
        let is_root = nix::unistd::geteuid().is_root();
        let ids = if is_root { "" } else { "--map-root-user --map-auto " };
        let script = format!("exec /usr/bin/unshare {ids}-m /bin/sh -e -c '{mount}' \"$0\" \"$@\"");
        self.said(&self.program(&script, arguments))
    }

    /// The same, and `meanwhile` is told how it goes on.
    pub(crate) fn watch(&self, arguments: &[&str], meanwhile: impl FnOnce(&Watch<'_>)) -> Said {
        drop(std::fs::remove_file(self.path("tmp/pid")));
        std::thread::scope(|scope| {
            let run = scope.spawn(|| self.program(PLAIN, arguments));
            meanwhile(&Watch { site: self, is_over: &|| run.is_finished() });
            self.said(&run.join().unwrap())
        })
    }

    fn program(&self, script: &str, arguments: &[&str]) -> Output {
        drop(std::fs::remove_file(self.path("said")));
        Program::new("/bin/sh")
            .args(["-e", "-c", script, project::PROGRAM])
            .args(arguments)
            .envs(std::env::vars_os())
            .env("TMPDIR", self.path("tmp"))
            .dir(self.folder())
            .output()
            .unwrap()
    }

    fn said(&self, output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&std::fs::read(self.path("said")).unwrap_or_default());
        let text = text(&output.stdout) + &told + &text(&output.stderr);
        Said { code: output.code, text: format!("code {}\n{text}", output.code) }
    }

    /// Nothing of a run is left: no process, no folder.
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(self.processes(""), [0; 0]);
        let left = std::fs::read_dir(self.path("tmp")).unwrap();
        let left: Vec<PathBuf> = left.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [self.path("tmp/pid")]);
    }

    /// QEMUs that see this folder, and have this word on their command line.
    fn processes(&self, word: &str) -> Vec<i32> {
        let folder = self.folder().file_name().unwrap().to_str().unwrap().to_owned();
        let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let is_meant = |process: &PathBuf| {
            let read = |name| std::fs::read(process.join(name)).unwrap_or_default();
            let has = |name, word: &str| String::from_utf8_lossy(&read(name)).contains(word);
            has("comm", "qemu-system") && has("cmdline", word) && has("mountinfo", &folder)
        };
        all.filter(is_meant)
            .filter_map(|process| process.file_name()?.to_str()?.parse().ok())
            .collect()
    }
}

/// Writes down its process number, and what is said.
const PLAIN: &str = "echo $$ >\"$TMPDIR/pid\"; exec \"$0\" \"$@\" 2>said";

/// A run that goes on.
pub(crate) struct Watch<'a> {
    site: &'a Site,
    is_over: &'a dyn Fn() -> bool,
}

/// A test that fails meanwhile does not wait for the end of the run.
impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.site.path("tmp/pid").exists() {
            // It may have ended by itself.
            kill(Pid::from_raw(self.pid()), Signal::SIGTERM).ok();
        }
    }
}

impl Watch<'_> {
    /// Waits until these words are said.
    pub(crate) fn wait_for(&self, words: &str) {
        let (start, path) = (Instant::now(), self.site.path("said"));
        let said =
            || String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
        while !said().contains(words) {
            assert!(!(self.is_over)(), "it ended before {words:?}:\n{}", said());
            assert!(start.elapsed() < PATIENCE, "waited in vain for {words:?}:\n{}", said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The number of the program's process.
    pub(crate) fn pid(&self) -> i32 {
        self.site.read("tmp/pid").trim().parse().unwrap()
    }

    /// That of a machine's QEMU.
    pub(crate) fn emulator(&self, machine: &str) -> i32 {
        let found = self.site.processes(&format!("-name\0{machine}\0"));
        let [pid] = found[..] else { panic!("QEMUs of {machine}: {found:?}") };
        pid
    }
}
