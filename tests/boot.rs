//! The shipped images, unmodified, booted: what a person would find who logs in, on the
//! first boot, after a restart and after a power cut.
//!
//! Some twenty minutes under emulation, three machines at a time on two processors: a
//! machine that boots leaves some of its own idle.
//! `cargo test --release --test boot -- NAME` tells one test, and shows how it goes.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod vm;

#[path = "vm/damage.rs"]
mod damage;
#[path = "vm/database.rs"]
mod database;
#[path = "vm/platforms.rs"]
mod platforms;
#[path = "vm/seeds.rs"]
mod seeds;
#[path = "vm/servers.rs"]
mod servers;
#[path = "vm/web.rs"]
mod web;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::thread::available_parallelism;
use vm::ask::Guest;

/// What must be the same after every boot.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    machine_id: String,
    enabled: String,
    host_key: String,
}

impl Identity {
    fn of(guest: &mut Guest) -> Identity {
        Identity {
            machine_id: guest.ask("cat /etc/machine-id"),
            enabled: guest.ask("systemctl list-unit-files --state=enabled --no-legend --plain"),
            host_key: guest.ask("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key"),
        }
    }
}

/// Leaves traces that the next boot must not find, and tries those that are refused.
fn drift(guest: &mut Guest) {
    guest.ask("echo drift >>/etc/hosts; echo drift >/etc/imagebuild-drift");
    guest.ask("systemctl disable sysstat.service; systemctl mask nftables.service");
    for refused in ["touch /usr/drift", "touch /drift", "echo drift >>/var/lib/dpkg/status"] {
        let taken = guest.holds(refused);
        guest.check(!taken, &format!("`{refused}` was not refused"));
    }
}

/// Nothing of [`drift`] is left, and the journal knows of `boots` boots.
fn no_drift(guest: &mut Guest, boots: usize) {
    guest.ask("! grep drift /etc/hosts");
    guest.ask("test ! -e /etc/imagebuild-drift");
    guest.expect("systemctl is-enabled sysstat.service nftables.service", "enabled\nenabled");
    guest.expect("journalctl --list-boots --no-pager --quiet | wc -l", &boots.to_string());
    guest.ask("journalctl -b -1 -n 1 --quiet | grep .");
}

/// A test for each of these functions, named as they are.
macro_rules! trials {
    ($($module:ident: $($name:ident)+;)+) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            $module::$name();
            Ok(())
        }),)+)+]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let processors = available_parallelism().unwrap().get();
    arguments.test_threads.get_or_insert(processors + processors.div_ceil(2));
    // The longest first.
    let trials = trials! {
        web: web1_lives;
        database: database1_lives;
        servers:
            arch1_web1 arch2_web2 arch3_server1 arch1_database1 arch2_web1 arch3_server2
            arch4_web2 arch5_web1 arch5_database1 arch5_database2
            arch6_web1 arch6_web2 arch6_database1 arch6_database2;
        seeds:
            web1_without_a_seed_says_so database1_without_a_seed_starts_no_database
            the_seed_partition_is_read a_damaged_seed_is_announced;
        platforms:
            bios_from_virtio_blk bios_from_virtio_scsi bios_from_nvme bios_from_ahci
            bios_from_vmware_scsi
            uefi_from_virtio_blk uefi_from_virtio_scsi uefi_from_nvme uefi_from_ahci;
        damage:
            a_flip_in_the_packages_superblock_is_refused
            a_flip_in_the_configurations_superblock_is_refused
            a_flip_in_a_configuration_file_is_refused
            a_flip_in_a_packages_file_is_refused
            without_its_firewall_a_server_has_no_network
            a_flip_in_systemd_is_refused_before_it_runs
            two_copies_of_the_disk_are_refused;
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}
