//! Machines that are booted alone: a server's life, what it does without a seed, on a damaged
//! disk, and where the other servers it needs have never been.

use crate::platform::Platform;
use crate::tiers::{Runs, Suite};
use crate::{damage, database, flash, seeds, servers, verbs, web};
use imagebuild::qemu::{Bus, Firmware};
use libtest_mimic::Completion;
use std::collections::BTreeSet;
use std::thread::available_parallelism;

/// Tests that boot a machine to its end, and the platform that each carries besides.
type OnPlatform = (&'static str, Firmware, Bus, fn(Platform));

/// The longest first.
const ON_PLATFORM: [OnPlatform; 9] = [
    ("web::web1_lives", Firmware::Uefi, Bus::Ahci, web::web1_lives),
    ("database::database1_lives", Firmware::Bios, Bus::VirtioScsi, database::database1_lives),
    ("servers::arch3_server1", Firmware::Bios, Bus::Nvme, servers::arch3_server1),
    ("servers::arch5_database1", Firmware::Uefi, Bus::Nvme, servers::arch5_database1),
    ("servers::arch6_database1", Firmware::Uefi, Bus::VirtioScsi, servers::arch6_database1),
    (
        "seeds::web1_without_a_seed_says_so",
        Firmware::Uefi,
        Bus::VirtioBlk,
        seeds::web1_without_a_seed_says_so,
    ),
    (
        "seeds::database1_without_a_seed_starts_no_database",
        Firmware::Bios,
        Bus::Ahci,
        seeds::database1_without_a_seed_starts_no_database,
    ),
    (
        "seeds::the_seed_partition_is_read",
        Firmware::Bios,
        Bus::VmwareScsi,
        seeds::the_seed_partition_is_read,
    ),
    (
        "seeds::a_damaged_seed_is_announced",
        Firmware::Bios,
        Bus::VirtioBlk,
        seeds::a_damaged_seed_is_announced,
    ),
];

/// Tests of machines that mostly give up early.
type Plain = (&'static str, fn());

const PLAIN: [Plain; 8] = [
    ("verbs::what_can_be_done_to_a_machine", verbs::what_can_be_done_to_a_machine),
    (
        "damage::a_flip_in_the_packages_superblock_is_refused",
        damage::a_flip_in_the_packages_superblock_is_refused,
    ),
    (
        "damage::a_flip_in_the_configurations_superblock_is_refused",
        damage::a_flip_in_the_configurations_superblock_is_refused,
    ),
    (
        "damage::a_flip_in_a_configuration_file_is_refused",
        damage::a_flip_in_a_configuration_file_is_refused,
    ),
    ("damage::a_flip_in_a_packages_file_is_refused", damage::a_flip_in_a_packages_file_is_refused),
    (
        "damage::without_its_firewall_a_server_has_no_network",
        damage::without_its_firewall_a_server_has_no_network,
    ),
    (
        "damage::a_flip_in_systemd_is_refused_before_it_runs",
        damage::a_flip_in_systemd_is_refused_before_it_runs,
    ),
    ("damage::two_copies_of_the_disk_are_refused", damage::two_copies_of_the_disk_are_refused),
];

/// What each of them costs besides the images.
const COST: &str = "boots 1 server: 1 min";

/// As many machines at a time as there are processors: with more of them, what guests wait for
/// by their own clocks (systemd for a device, D-Bus for an answer) came too late on a slow host.
pub(crate) fn run() -> bool {
    let mut suite = Suite::new();
    crate::tiers::own_tests(&mut suite);
    suite.add("boots::every_platform_is_carried", (Runs::Always, ""), || {
        every_platform_is_carried();
        Ok(Completion::Completed)
    });
    for (name, firmware, bus, test) in ON_PLATFORM {
        suite.add(name, (Runs::InGate, COST), move || {
            test(Platform(firmware, bus));
            Ok(Completion::Completed)
        });
    }
    let cost = "boots 1 server, and another one from the disk that it wrote: 4 min";
    suite.add("flash::over_ssh_to_a_disk_that_boots", (Runs::InGate, cost), || {
        flash::over_ssh_to_a_disk_that_boots();
        Ok(Completion::Completed)
    });
    for (name, test) in PLAIN {
        suite.add(name, (Runs::InGate, COST), move || {
            test();
            Ok(Completion::Completed)
        });
    }
    suite.run(available_parallelism().unwrap().get())
}

/// Both firmwares with each controller; VMware's has no UEFI here.
fn every_platform_is_carried() {
    let carried = ON_PLATFORM.iter().map(|(_, firmware, bus, _)| format!("{firmware:?} {bus:?}"));
    let carried: BTreeSet<String> = carried.collect();
    let buses = [Bus::VirtioBlk, Bus::VirtioScsi, Bus::Nvme, Bus::Ahci];
    let both = buses.iter().flat_map(|bus| [format!("Bios {bus:?}"), format!("Uefi {bus:?}")]);
    let wanted: BTreeSet<String> = both.chain(["Bios VmwareScsi".to_owned()]).collect();
    assert_eq!(carried, wanted);
}
