//! What not every machine and not every user can try: each test first looks whether this
//! one can. Where it cannot, the test is told as ignored, with the reason; with `CI=true`,
//! where nothing may be left out, it fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/closure.rs"]
mod closure;
#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/escape.rs"]
mod escape;
#[path = "../fixture/mod.rs"]
mod fixture;
#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/harness.rs"]
mod harness;
#[path = "../project/mod.rs"]
mod project;
#[path = "../tools/mod.rs"]
mod tools;
#[path = "../user/mod.rs"]
mod user;
#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/world.rs"]
mod world;

mod chroot;
mod rootless;
mod trial;
mod verify;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = vec![
        trial("rootless::an_ordinary_user_builds_the_same_bytes", users, || {
            rootless::an_ordinary_user_builds_the_same_bytes();
        }),
        trial("rootless::without_ranges_there_is_one_clear_error", users, || {
            rootless::without_ranges_there_is_one_clear_error();
        }),
        trial("chroot::a_build_ends_well", root, chroot::a_build_ends_well),
        trial("escape::nor_by_others", users, escape::nor_by_others),
        trial("trial::a_covered_proc", users, trial::a_covered_proc),
        trial("trial::a_store_on_noexec", users, trial::a_store_on_noexec),
        trial("verify::an_ordinary_user_builds_too", users, verify::an_ordinary_user_builds_too),
        trial("verify::a_user_who_is_not_there_is_named", users, || {
            verify::a_user_who_is_not_there_is_named();
        }),
        trial("reproducible::one_build_is_on_a_disk_and_one_in_memory", memory, || {}),
        Trial::test("what_cannot_be_tried_is_not_told_as_passed", || {
            what_cannot_be_tried_is_not_told_as_passed();
            Ok(())
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Why this machine cannot try it, if it cannot.
type Missing = fn() -> Option<String>;

fn trial(name: &str, missing: Missing, test: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        attempt(missing(), in_ci, test)
    })
}

fn attempt(missing: Option<String>, in_ci: bool, test: fn()) -> Result<Completion, Failed> {
    match missing {
        None => {
            test();
            Ok(Completion::Completed)
        }
        Some(reason) if in_ci => {
            Err(format!("with CI=true it may not be left out: {reason}").into())
        }
        Some(reason) => Ok(Completion::ignored_with(reason)),
    }
}

/// Whether another root can be entered with the ids that a build needs: `unshare -r` has one.
fn root() -> Option<String> {
    let is_root = nix::unistd::geteuid().is_root();
    (!is_root).then(|| "only root can enter a chroot with all ids".to_owned())
}

/// Whether users can be made: `unshare` gives a root of its own, but not over /etc/passwd
/// and /etc/subuid, where newuidmap looks.
fn users() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root can make the users of this test".to_owned());
    }
    let missing = ["useradd", "usermod", "userdel", "setpriv", "newuidmap"];
    let missing = missing.into_iter().find(|name| user::find(name).is_none())?;
    Some(format!("this machine has no {missing}"))
}

/// Whether the builds of tests/images/reproducible.rs are on two kinds of file systems: folders
/// give their files in another order then. That such a difference is found is told by
/// tests/cli/verify.rs on every machine.
fn memory() -> Option<String> {
    let room = project::BUILD_IN_MEMORY;
    if project::Scratch::in_memory(room).is_some() {
        return None;
    }
    let room = room >> 30;
    Some(format!("/dev/shm has no {room} GiB free: both builds of each server are on one disk"))
}

fn what_cannot_be_tried_is_not_told_as_passed() {
    let missing = || Some("no moon".to_owned());
    let is_left_out = |done: Result<Completion, Failed>| match done {
        Ok(Completion::Ignored { reason }) => reason.is_some_and(|reason| reason == "no moon"),
        Ok(Completion::Completed) | Err(_) => false,
    };
    assert!(is_left_out(attempt(missing(), false, || panic!("it was tried"))));
    let failed = attempt(missing(), true, || panic!("it was tried")).err().unwrap();
    assert_eq!(failed.message(), Some("with CI=true it may not be left out: no moon"));
    assert!(matches!(attempt(None, true, || {}), Ok(Completion::Completed)));
}
