//! Same spec and same lock: same bytes, from another store, path, working directory,
//! umask, locale, time zone, user name and number of cores. Where two builds differ,
//! the first step and the file that differ are named.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "reference/compare.rs"]
mod compare;
mod project;

use imagebuild::exec::Program;
use imagebuild::fs::{Sha256Digest, digest_file};
use imagebuild::plan::server::Plan;
use imagebuild::sandbox::listing_from_json;
use project::{Project, Scratch};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const SERVERS: [&str; 2] = ["web1", "database1"];

/// One build: where it stores and writes, and what surrounds it.
struct Surroundings {
    store: PathBuf,
    out: PathBuf,
    /// Where it is started: the project, or a copy of it.
    dir: PathBuf,
    umask: &'static str,
    env: &'static [(&'static str, &'static str)],
    one_core: bool,
}

impl Surroundings {
    fn build(&self, server: &str, format: &str) {
        if self.one_core {
            let mut one = nix::sched::CpuSet::new();
            one.set(0).unwrap();
            // Of this thread, which the program inherits.
            nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &one).unwrap();
        }
        let script = format!("umask {}; exec \"$0\" \"$@\"", self.umask);
        let mut program = Program::new("/bin/sh").args(["-c", &script, project::PROGRAM]);
        for (name, value) in self.env {
            program = program.env(name, value);
        }
        let program = program
            .args(["--locked", "--quiet", "arch4", "--role", server, "--format", format])
            .args(["--store".as_ref(), self.store.as_os_str()])
            .args(["--out".as_ref(), self.out.as_os_str()])
            .dir(&self.dir);
        program.run().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn two_builds_are_the_same_bytes() {
    let project = Project::open();
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let at = |name: &str| scratch.path().join(name);
    let plain = Surroundings {
        store: at("plain/store"),
        out: at("plain/out"),
        dir: project::folder().to_owned(),
        umask: "022",
        env: &[("HOME", "/root"), ("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8")],
        one_core: false,
    };
    let other = Surroundings {
        store: at("another path/deeper/the store"),
        out: at("another path/images"),
        dir: at("another path"),
        umask: "077",
        env: &[
            ("HOME", "/nonexistent"),
            ("USER", "somebody"),
            ("TZ", "Asia/Kathmandu"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("PERL_HASH_SEED", "7"),
        ],
        one_core: true,
    };
    for surroundings in [&plain, &other] {
        let sets = ["arch4/web1", "arch4/database1", "tools/build"];
        project.empty_store(&surroundings.store, &sets);
    }
    copy_project(&other.dir);
    std::thread::scope(|scope| {
        for surroundings in [&plain, &other] {
            scope.spawn(move || {
                for (server, format) in SERVERS.iter().flat_map(|s| [(s, "qcow2"), (s, "raw")]) {
                    surroundings.build(server, format);
                }
            });
        }
    });
    for server in SERVERS {
        let plan = project.plan(server);
        let steps = first_difference(&plan, &plain.store, &other.store);
        assert!(steps.is_none(), "{server}: {}", steps.unwrap());
        for extension in ["json", "raw", "qcow2"] {
            let file = format!("arch4-{server}.{extension}");
            same_bytes(&plain.out.join(&file), &other.out.join(&file));
        }
        planted_differences_are_named(&plan, &plain.store, &other.store);
    }
}

/// Copies the project's own files, with the modes that the umask gives them.
fn copy_project(to: &Path) {
    for name in ["images", "roles", "overlays", "imagebuild.lock"] {
        for entry in walkdir::WalkDir::new(project::folder().join(name)) {
            let entry = entry.unwrap();
            let target = to.join(entry.path().strip_prefix(project::folder()).unwrap());
            if entry.file_type().is_dir() {
                std::fs::create_dir_all(&target).unwrap();
            } else {
                std::fs::copy(entry.path(), &target).unwrap();
            }
        }
    }
}

/// Compares the stores' results in the order of the plan.
fn first_difference(plan: &Plan, a: &Path, b: &Path) -> Option<String> {
    plan.steps.iter().find_map(|planned| {
        let folders = [a, b].map(|store| store.join("objects").join(planned.key.to_string()));
        let [in_a, in_b] = folders.each_ref().map(|folder| digests(folder));
        if in_a == in_b {
            return None;
        }
        let names: Vec<&String> = in_a.keys().chain(in_b.keys()).collect();
        let differs = |name: &&&String| in_a.get(**name) != in_b.get(**name);
        let name = names.iter().find(differs).unwrap();
        let mut text = format!("the step {} differs first, in {name}", planned.step.name());
        if *name == "listing.json" {
            let [a, b] = folders.map(|f| listing_from_json(&f.join("listing.json")).unwrap());
            for difference in compare::differences(&a, &b).iter().take(20) {
                text += &format!("\n/{}\n  {}", difference.path, difference.what);
            }
        }
        Some(text)
    })
}

/// The files of a result, but for the record, which has times of the store's disk.
fn digests(folder: &Path) -> BTreeMap<String, Sha256Digest> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name != "object.json")
        .map(|(name, path)| (name, digest_file(&path).unwrap()))
        .collect()
}

/// Compares two files; says where the first difference is.
fn same_bytes(a: &Path, b: &Path) {
    let (mut a_file, mut b_file) = (File::open(a).unwrap(), File::open(b).unwrap());
    let (mut a_part, mut b_part) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0;
    let lengths = [a_file.metadata().unwrap().len(), b_file.metadata().unwrap().len()];
    assert_eq!(lengths[0], lengths[1], "lengths of {}", a.display());
    loop {
        let count = a_file.read(&mut a_part).unwrap();
        b_file.read_exact(&mut b_part[..count]).unwrap();
        if a_part[..count] != b_part[..count] {
            let offset = (0..count).find(|&i| a_part[i] != b_part[i]).unwrap();
            panic!("{} differs at byte {}", a.display(), at + offset);
        }
        if count == 0 {
            return;
        }
        at += count;
    }
}

/// Changes one store's results, one byte or one mode: the step and the file are named.
fn planted_differences_are_named(plan: &Plan, a: &Path, b: &Path) {
    let folder = |step: &str| {
        let planned = plan.steps.iter().find(|planned| planned.step.name() == step).unwrap();
        b.join("objects").join(planned.key.to_string())
    };
    let layer = folder("config-layer").join("layer.erofs");
    let whole = std::fs::read(&layer).unwrap();
    let mut changed = whole.clone();
    changed[4096] ^= 1;
    std::fs::write(&layer, changed).unwrap();
    let named = first_difference(plan, a, b).unwrap();
    assert_eq!(named, "the step config-layer differs first, in layer.erofs");
    std::fs::write(&layer, whole).unwrap();

    let path = folder("packages").join("listing.json");
    let whole = std::fs::read(&path).unwrap();
    let mut listing = listing_from_json(&path).unwrap();
    let passwd = listing.iter_mut().find(|file| file.path == "etc/passwd").unwrap();
    passwd.mode = 0o666;
    std::fs::write(&path, serde_json::to_vec(&listing).unwrap()).unwrap();
    let named = first_difference(plan, a, b).unwrap();
    assert!(named.starts_with("the step packages differs first, in listing.json\n/etc/passwd\n"));
    std::fs::write(&path, whole).unwrap();
    assert_eq!(first_difference(plan, a, b), None);
}
