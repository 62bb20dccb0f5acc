//! A build that a signal ends in the middle of dpkg leaves no mount, no process and
//! nothing half-made, and the next build succeeds.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::project::{Project, Scratch};
use imagebuild::exec::{Output, Program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a build may take to come to dpkg, and a process to end.
const PATIENCE: Duration = Duration::from_secs(300);

struct Site {
    scratch: Scratch,
    /// Where the packages step works.
    temporary: PathBuf,
    store: PathBuf,
    format: &'static str,
}

impl Site {
    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A build that writes down its process number first.
    fn build(&self) -> Output {
        Program::new("/bin/sh")
            .args([
                "-e",
                "-c",
                "pid=$1; shift; echo $$ >$pid.temporary; mv $pid.temporary $pid; exec \"$@\"",
            ])
            .env("PATH", "/usr/bin:/bin")
            .arg("sh")
            .arg(self.at("pid"))
            .args([project::PROGRAM, "--locked", "arch4", "--role", "web1"])
            .args(["--format", self.format])
            .args(["--store".as_ref(), self.store.as_os_str()])
            .args(["--out".as_ref(), self.at("out").as_os_str()])
            .dir(project::folder())
            .output()
            .unwrap()
    }

    /// Starts a build, ends it while dpkg is at work, and waits for its processes.
    fn interrupt(&self, signal: Signal) -> Output {
        drop(std::fs::remove_file(self.at("pid")));
        let mounts = mounts(self.scratch.path());
        std::thread::scope(|scope| {
            let build = scope.spawn(|| self.build());
            // Its database is in memory meanwhile: a file of a late package tells.
            let unpacked = self.temporary.join("tree/usr/sbin/nginx");
            wait_until("dpkg has unpacked nginx", || {
                assert!(!build.is_finished(), "the build ended too early");
                unpacked.exists()
            });
            let pid = std::fs::read_to_string(self.at("pid")).unwrap().trim().parse().unwrap();
            let processes = std::cell::RefCell::new(Vec::new());
            wait_until("the sandbox runs dpkg", || {
                assert!(!build.is_finished(), "the build ended too early");
                processes.replace(descendants(pid));
                processes.borrow().len() >= 4
            });
            let processes = processes.into_inner();
            kill(Pid::from_raw(pid), signal).unwrap();
            let output = build.join().unwrap();
            wait_until("all processes ended", || {
                processes.iter().all(|process| start_time(process.0) != Some(process.1))
            });
            assert_eq!(self::mounts(self.scratch.path()), mounts);
            output
        })
    }

    fn left_in_tmp(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.at("store/tmp")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
#[ignore = "builds 1 server four times over: 1 min"]
fn a_signal_in_the_middle_of_dpkg_leaves_nothing() {
    let project = Project::open();
    let scratch = Scratch::new_in(&std::env::temp_dir());
    project.empty_store(&scratch.path().join("store"), &["arch4/web1", "tools/build"]);
    let plan = project.plan("web1");
    let packages = plan.packages.key();
    let temporary = scratch.path().join("store/tmp").join(packages.to_string());
    let store = scratch.path().join("store");
    let site = Site { scratch, temporary, store, format: "qcow2" };
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let output = site.interrupt(signal);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.code, 130, "{said}");
        assert!(said.ends_with("error: interrupted; finished steps are kept\n"), "{said}");
        assert_eq!(site.left_in_tmp(), Vec::<PathBuf>::new(), "{signal}");
    }
    assert_eq!(site.interrupt(Signal::SIGKILL).code, 128 + 9);
    assert_eq!(site.left_in_tmp(), std::slice::from_ref(&site.temporary), "nobody could clean up");
    let objects = site.at("store/objects").join(packages.to_string());
    assert!(!objects.exists(), "half a result is visible");

    let output = site.build();
    assert_eq!(output.code, 0, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(site.at("out/arch4-web1.qcow2").exists());
    assert_eq!(site.left_in_tmp(), Vec::<PathBuf>::new());
}

#[test]
fn a_signal_while_the_image_is_written_leaves_no_part_of_it() {
    let project = Project::open();
    project.fetch(&["arch4/web1", "tools/build"]);
    project.provide(&project.plan("web1"), "image");
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let store = project.store.root().to_owned();
    // The slowest to write: each grain is compressed.
    let site = Site { scratch, temporary: PathBuf::new(), store, format: "vmdk" };
    let files = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(site.at("out")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let grows = |path: &PathBuf| path.metadata().is_ok_and(|data| data.len() > 1 << 20);
    std::thread::scope(|scope| {
        let build = scope.spawn(|| site.build());
        wait_until("a part of the image is written", || {
            assert!(!build.is_finished(), "the build ended too early");
            files().iter().any(grows)
        });
        let pid = std::fs::read_to_string(site.at("pid")).unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
        assert_eq!(build.join().unwrap().code, 130);
    });
    assert_eq!(files(), Vec::<PathBuf>::new());
    assert_eq!(site.build().code, 0);
    assert_eq!(files().len(), 3);
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The host's mounts that have to do with this test.
fn mounts(folder: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/mounts").unwrap();
    let folder = folder.to_string_lossy().into_owned();
    let ours = |line: &&str| line.contains(&folder) || line.contains(" /tmp ");
    text.lines().filter(ours).map(str::to_owned).collect()
}

/// A process, its children and theirs, with the times at which they started.
fn descendants(pid: i32) -> Vec<(i32, u64)> {
    let parents: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| Some((pid, stat_field(pid, 1)?.try_into().ok()?)))
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(child, _)| *child));
        at += 1;
    }
    found.into_iter().filter_map(|pid| Some((pid, start_time(pid)?))).collect()
}

fn start_time(pid: i32) -> Option<u64> {
    stat_field(pid, 19)
}

/// A field of /proc/PID/stat, counted from the state after the name in parentheses.
fn stat_field(pid: i32, field: usize) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(field)?.parse().ok()
}
