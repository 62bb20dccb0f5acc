//! Same spec and same lock: same bytes, from other surroundings: `imagebuild verify`
//! says so of real servers, and names what was changed behind its back.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod project;

use imagebuild::exec::Program;
use imagebuild::plan::server::Plan;
use imagebuild::sandbox::listing_from_json;
use imagebuild::verify::{Difference, compare};
use project::{Project, Scratch};
use std::path::{Path, PathBuf};

const SERVERS: [&str; 2] = ["web1", "database1"];

#[test]
fn two_builds_are_the_same_bytes() {
    let project = Project::open();
    project.fetch(&["arch4/web1", "arch4/database1", "tools/build"]);
    let scratch = Scratch::new_in(&std::env::temp_dir());
    for server in SERVERS {
        let work = scratch.path().join(server);
        std::fs::create_dir(&work).unwrap();
        let output = Program::new(project::PROGRAM)
            .args(["verify", "arch4", "--role", server, "--locked", "--quiet", "--keep"])
            .args(["--work".as_ref(), work.as_os_str()])
            .dir(project::folder())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.code, 0, "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
        let [usual, odd] = stores(&work);
        planted_differences_are_named(&project.plan(server), &usual, &odd);
    }
}

/// The stores of the usual and of the odd build.
fn stores(work: &Path) -> [PathBuf; 2] {
    let entries = || std::fs::read_dir(work).unwrap().map(|entry| entry.unwrap().path());
    let store =
        |below: &str| entries().map(|place| place.join(below)).find(|s| s.is_dir()).unwrap();
    [store("store"), store("a deeper/the store")]
}

/// Changes one store's results, one byte or one mode: the step and the file are named.
fn planted_differences_are_named(plan: &Plan, a: &Path, b: &Path) {
    let first = || compare::steps(plan, a, b).unwrap();
    let folder = |step: &str| {
        let planned = plan.steps.iter().find(|planned| planned.step.name() == step).unwrap();
        b.join("objects").join(planned.key.to_string())
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
