//! What can be done to a machine from outside: power cut and on again over the same disk,
//! standing still, files, a carrier that goes down, a snapshot and the return to it.

use crate::ask::{Guest, boot, native};
use crate::net::{Wired, is_reached, wire};
use crate::setup::{LARGER, world};
use imagebuild::error::{Kind, Result};
use imagebuild::qemu::{DiskConfig, Machine};
use std::time::{Duration, Instant};

/// A machine on its networks, and somebody there who pings it.
struct Bench {
    guest: Guest,
    wired: Wired,
}

impl Bench {
    fn set_up() -> Bench {
        let mut config =
            world().seeded("arch4-web1", "verbs").second_disk(DiskConfig::blank(LARGER));
        let wired = wire(&mut config);
        let mut guest = boot(config);
        guest.is_running();
        guest.expect("cat /sys/class/block/vdb/size", &(LARGER / 512).to_string());
        Bench { guest, wired }
    }

    fn pings(&self, patience: Duration) -> bool {
        self.wired.users.ping("172.16.0.11".parse().unwrap(), patience).unwrap().is_some()
    }
}

fn good<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn what_can_be_done_to_a_machine() {
    let mut bench = Bench::set_up();
    is_reached(&mut bench.guest, &bench.wired);
    assert!(bench.pings(native(10)));
    files(&mut bench.guest.machine);
    carrier_and_pause(&mut bench);
    snapshot_and_return(&mut bench);
    on_again(bench);
}

fn files(machine: &mut Machine) {
    let bytes: Vec<u8> = (0..40_000_u32).map(|number| (number % 251) as u8).collect();
    good(machine.write_file("/var/tmp/it's", &bytes));
    assert!(good(machine.read_file("/var/tmp/it's")) == bytes);
    assert_eq!(machine.read_file("/nowhere").unwrap_err().kind(), Kind::Check);
}

fn carrier_and_pause(bench: &mut Bench) {
    good(bench.guest.machine.set_link_and_wait(0, false));
    assert!(!bench.pings(native(2)));
    good(bench.guest.machine.set_link_and_wait(0, true));
    assert!(bench.pings(native(10)));
    good(bench.guest.machine.pause());
    assert_eq!(good(bench.guest.machine.status()), "paused");
    assert!(!bench.pings(native(2)));
    good(bench.guest.machine.resume());
    assert!(bench.pings(native(10)));
    let events = bench.guest.machine.events().into_iter().map(|(_, name)| name);
    let events: Vec<String> = events.filter(|name| ["STOP", "RESUME"].contains(&&**name)).collect();
    assert_eq!(events, ["STOP", "RESUME"]);
}

/// A snapshot, a change after it, and the return, twice.
fn snapshot_and_return(bench: &mut Bench) {
    bench.guest.ask("echo saved >/run/state; echo saved >/var/tmp/state; sync");
    let start = Instant::now();
    let saved = good(imagebuild::qemu::snapshot(
        &mut [&mut bench.guest.machine],
        bench.wired.folder.path(),
    ));
    eprintln!("snapshot: {:.1} s", start.elapsed().as_secs_f64());
    bench.guest.ask("echo later >/run/state; echo later >/var/tmp/state; sync");
    good(bench.guest.machine.power_off());
    for round in 0..2 {
        let start = Instant::now();
        let mut machine = good(imagebuild::qemu::restore(&world().emulator, &saved)).remove(0);
        let started = start.elapsed().as_secs_f64();
        let said = good(machine.succeed("cat /run/state /var/tmp/state", native(3)));
        let took = start.elapsed().as_secs_f64();
        eprintln!("restored {round}: runs after {started:.1} s, answers after {took:.1} s");
        assert_eq!(said, "saved\nsaved");
        assert!(bench.pings(native(10)));
        good(machine.succeed("echo other >/var/tmp/state; sync", native(3)));
        good(machine.check_and_kill());
    }
}

/// Over the disk as it was when the plug was pulled.
fn on_again(mut bench: Bench) {
    assert!(!bench.guest.machine.is_on());
    let error = bench.guest.machine.run("true", native(1)).unwrap_err();
    assert_eq!(error.kind(), Kind::Build, "{error}");
    good(bench.guest.machine.start_and_wait());
    bench.guest.is_running();
    bench.guest.expect("cat /var/tmp/state; test ! -e /run/state", "later");
    assert!(bench.pings(native(10)));
    bench.guest.stop();
}
