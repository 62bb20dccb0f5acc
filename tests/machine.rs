//! What can be done to a machine from outside: power cut and on again over the same disk,
//! standing still, files, a carrier that goes down, a snapshot and the return to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![allow(dead_code, reason = "the boot tests use the rest of the harness")]

mod vm;

use imagebuild::error::Kind;
use imagebuild::vm::{Client, Segment};
use imagebuild::vm::{DiskConfig, Users};
use std::time::{Duration, Instant};
use vm::ask::{boot, native};
use vm::{LARGER, world};

#[test]
fn a_machine_is_cut_off_stopped_saved_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let public = Segment::new("public", folder.path()).unwrap();
    let mut config = world().seeded("web1", "verbs").second_disk(DiskConfig::blank(LARGER));
    config.nics[0].cable = public.plug("web1").unwrap();
    let users = [Client::parse("172.16.255.1/16").unwrap()];
    let users = Users::attach(&public, "users", &users).unwrap();
    let address = "172.16.0.11".parse().unwrap();
    let pings = |patience| users.ping(address, patience).unwrap().is_some();

    let mut guest = boot(config);
    guest.is_running();
    guest.expect("cat /sys/class/block/vdb/size", &(LARGER / 512).to_string());
    assert!(pings(native(10)));

    let machine = &mut guest.machine;
    let bytes: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
    machine.write_file("/var/tmp/it's", &bytes).unwrap_or_else(|e| panic!("{e}"));
    assert!(machine.read_file("/var/tmp/it's").unwrap_or_else(|e| panic!("{e}")) == bytes);
    assert_eq!(machine.read_file("/nowhere").unwrap_err().kind(), Kind::Check);

    machine.set_carrier(0, false).unwrap_or_else(|e| panic!("{e}"));
    assert!(!pings(native(2)));
    machine.set_carrier(0, true).unwrap_or_else(|e| panic!("{e}"));
    assert!(pings(native(10)));

    machine.pause().unwrap();
    assert_eq!(machine.status().unwrap(), "paused");
    assert!(!pings(native(2)));
    machine.resume().unwrap();
    assert!(pings(native(10)));

    // A snapshot, a change after it, and the return.
    guest.ask("sync; echo saved >/run/state; echo saved >/var/tmp/state; sync");
    let start = Instant::now();
    let saved = imagebuild::vm::snapshot(&mut [&mut guest.machine], folder.path());
    let saved = saved.unwrap_or_else(|e| panic!("{e}"));
    eprintln!("snapshot: {:.1} s", start.elapsed().as_secs_f64());
    guest.ask("echo later >/run/state; echo later >/var/tmp/state; sync");
    guest.machine.cut_off().unwrap();
    for round in 0..2 {
        let start = Instant::now();
        let restored = imagebuild::vm::restore(&world().emulator, &saved);
        let mut machine = restored.unwrap_or_else(|e| panic!("{e}")).remove(0);
        let started = start.elapsed();
        let said = machine.succeed("cat /run/state /var/tmp/state", native(3));
        assert_eq!(said.unwrap_or_else(|e| panic!("{e}")), "saved\nsaved");
        let (started, took) = (started.as_secs_f64(), start.elapsed().as_secs_f64());
        eprintln!("restored {round}: runs after {started:.1} s, answers after {took:.1} s");
        assert!(pings(native(10)));
        machine.succeed("echo other >/var/tmp/state; sync", native(3)).unwrap();
        machine.stop().unwrap_or_else(|e| panic!("{e}"));
    }

    // On again, over the disk as it was when the plug was pulled.
    assert!(!guest.machine.is_on());
    let error = guest.machine.run("true", Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Build, "{error}");
    guest.machine.switch_on().unwrap_or_else(|e| panic!("{e}"));
    guest.is_running();
    guest.expect("cat /var/tmp/state; test ! -e /run/state", "later");
    assert!(pings(native(10)));
    guest.stop();
}
