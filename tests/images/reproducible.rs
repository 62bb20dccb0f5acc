//! Same spec and same lock: same bytes, from other environments: `imagebuild verify`
//! says so of real servers, and names what was changed behind its back.

#![allow(clippy::unwrap_used, reason = "a test may")]

use crate::project;
use crate::project::{Project, Scratch};
use imagebuild::exec::Program;
use imagebuild::image::tools::Tools;
use imagebuild::plan::server::Plan;
use imagebuild::sandbox::{self, listing_from_json};
use imagebuild::store::is_record;
use imagebuild::verify::{Difference, compare};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// One of each kind: a balanced web server, a database by itself, a server that is all of
/// director, web server and one of two databases, and one that has static files in front.
const SERVERS: [(&str, &str); 4] =
    [("arch4", "web1"), ("arch4", "database1"), ("arch3", "server1"), ("arch2", "web1")];

#[test]
#[ignore = "builds 8 servers: 3 min"]
fn two_builds_are_the_same_bytes() {
    let project = Project::open();
    project.fetch(&["arch4/web1", "arch4/database1", "arch3/server1", "arch2/web1", "tools/build"]);
    let scratch = Scratch::new_in(&std::env::temp_dir());
    // There, a folder's entries come in the order in which they were made. Where there is no
    // room, both builds are on one kind of file system, which tests/root/main.rs tells.
    let memory = Scratch::in_memory(project::BUILD_IN_MEMORY);
    for (architecture, server) in SERVERS {
        let name = format!("{architecture}-{server}");
        let work = scratch.path().join(&name);
        let elsewhere = memory.as_ref().map_or(work.clone(), |memory| memory.path().join(&name));
        std::fs::create_dir_all(&work).unwrap();
        std::fs::create_dir_all(&elsewhere).unwrap();
        let output = Program::new(project::PROGRAM)
            .args(["verify", architecture, "--role", server, "--locked", "--quiet", "--keep"])
            .args(["--work".as_ref(), work.as_os_str()])
            .args(["--elsewhere".as_ref(), elsewhere.as_os_str()])
            .dir(project::folder())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.code, 0, "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
        let (usual, odd) = (store(&work, "store"), store(&elsewhere, "a deeper/the store"));
        let plan = project.plan_of(architecture, server);
        if architecture == "arch4" {
            planted_differences_are_named(&plan, &usual, &odd);
        }
        if (architecture, server) == SERVERS[0] {
            every_step_is_named(&plan, &usual, &odd);
        }
        // Before the next one needs the room.
        sandbox::remove_tree(&work).unwrap();
        sandbox::remove_tree(&elsewhere).unwrap();
    }
}

/// The store of a build that `verify` kept in `work`.
fn store(work: &Path, below: &str) -> PathBuf {
    let mut places = std::fs::read_dir(work).unwrap().map(|entry| entry.unwrap().path());
    places.find_map(|place| Some(place.join(below)).filter(|store| store.is_dir())).unwrap()
}

/// A layer has neither the times of its tree nor the order in which that was made: what
/// unpacks packages side by side leaves other times of folders each time.
#[test]
fn a_layer_knows_no_times() {
    let project = Project::open();
    project.fetch(&["tools/build"]);
    let tree = project.provide(&project.plan("web1"), "tools").path("tree");
    let tools = Tools { tree: &tree, epoch: 1_700_000_000 };
    let scratch = Scratch::new_in(&std::env::temp_dir());
    let layer = |name: &str, files: [&str; 3], time: u64| {
        let (tree, out) = (scratch.path().join(name), scratch.path().join(format!("{name}-out")));
        std::fs::create_dir_all(&out).unwrap();
        for file in files {
            let path = tree.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, file.repeat(1000)).unwrap();
        }
        for path in files.map(|file| tree.join(file)).iter().chain([&tree.join("folder"), &tree]) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
            std::fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
        tools.erofs_of_tree(&tree, "packages", &out).unwrap();
        std::fs::read(out.join("layer.erofs")).unwrap()
    };
    let one = layer("one", ["a", "folder/b", "folder/c"], 1_000_000_000);
    assert_eq!(one, layer("two", ["folder/c", "folder/b", "a"], 1_600_000_000));
    assert_ne!(one, layer("three", ["folder/c", "folder/b", "d"], 1_000_000_000));
}

/// Changes one store's results, one byte or one mode: the step and the file are named.
fn planted_differences_are_named(plan: &Plan, a: &Path, b: &Path) {
    let first = || compare::steps(plan, a, b).unwrap();
    let folder = |step: &str| {
        let planned = plan.steps.iter().find(|planned| planned.step().name() == step).unwrap();
        b.join("objects").join(planned.key().to_string())
    };
    assert_eq!(first(), None);
    let layer = folder("config-layer").join("layer.erofs");
    let whole = std::fs::read(&layer).unwrap();
    let mut changed = whole.clone();
    changed[4096] ^= 1;
    std::fs::write(&layer, changed).unwrap();
    let Difference { step, partition, details } = first().unwrap();
    assert_eq!((step, partition.as_deref()), (Some("config-layer"), Some("a-config")));
    assert!(details[0].starts_with("layer.erofs differs at byte 4096\n"), "{details:?}");

    // What other tools made is the tools' fault.
    let tool = folder("tools").join("tree/usr/share/doc/planted");
    std::fs::write(&tool, "planted\n").unwrap();
    let Difference { step, partition, details } = first().unwrap();
    assert_eq!((step, partition), (Some("tools"), None));
    assert!(details[0].starts_with("/usr/share/doc/planted\n  not there\n"), "{details:?}");
    std::fs::remove_file(&tool).unwrap();
    std::fs::write(&layer, whole).unwrap();

    let path = folder("packages").join("listing.json");
    let whole = std::fs::read(&path).unwrap();
    let mut listing = listing_from_json(&path).unwrap();
    let passwd = listing.iter_mut().find(|file| file.path == "etc/passwd").unwrap();
    passwd.mode = 0o666;
    std::fs::write(&path, serde_json::to_vec(&listing).unwrap()).unwrap();
    let Difference { step, details, .. } = first().unwrap();
    assert_eq!(step, Some("packages"));
    assert!(details[0].starts_with("/etc/passwd\n  0644 0:0 file of "), "{details:?}");
    assert!(details[0].contains("\n  0666 0:0 file of "), "{details:?}");
    std::fs::write(&path, whole).unwrap();
    assert_eq!(first(), None);
}

/// A byte more in a file of each step's result: that step is named. What has none is asked
/// above: tools and bases have only trees, and what a validator says is no part of an image.
fn every_step_is_named(plan: &Plan, a: &Path, b: &Path) {
    let mut nameless = BTreeSet::new();
    for planned in &plan.steps {
        let folder = b.join("objects").join(planned.key().to_string());
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let is_result = |path: &PathBuf| {
            path.is_file() && !is_record(&path.file_name().unwrap().to_string_lossy())
        };
        let mut files: Vec<PathBuf> = files.filter(is_result).collect();
        files.sort();
        let name = planned.step().name();
        let Some(path) = files.first() else {
            nameless.insert(name);
            continue;
        };
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.write_all(b" ").unwrap();
        // Of this step alone: to look through all before it takes a second each time.
        let alone = Plan { steps: vec![planned.clone()], ..plan.clone() };
        let named = compare::steps(&alone, a, b).unwrap().and_then(|found| found.step);
        assert_eq!(named, Some(name), "{}", path.display());
        file.set_len(length).unwrap();
    }
    assert_eq!(nameless, BTreeSet::from(["base", "tools", "validate"]));
}
