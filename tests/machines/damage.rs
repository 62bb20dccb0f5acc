//! One bit turned over anywhere that a boot reads is refused by dm-verity, and said;
//! so are two copies of the same disk.

use crate::ask::{Guest, native, start};
use crate::setup::{build, world};
use imagebuild::qemu::{DiskConfig, Edit};
use imagebuild::sandbox::{Root, Sandbox};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// EROFS' superblock stands 1024 bytes after the start.
const SUPERBLOCK: u64 = 1024;

fn with_flip(name: &str, offset: u64) -> Guest {
    let mut config = world().seeded("arch4-web1", name);
    config.disk = config.disk.edit(Edit::Flip(offset));
    start(config)
}

fn flip_of_superblock(label: &str, layer: &str) {
    let (offset, _) = world().partition("arch4-web1", label);
    // A byte of the volume's name: nobody but verity can know that it is wrong.
    let guest = with_flip(&format!("superblock-{layer}"), offset + SUPERBLOCK + 64);
    guest.says("is corrupted");
    guest.says(&format!("the {layer} layer of slot a is damaged"));
    guest.says("write the image again");
    guest.gives_up();
}

pub(crate) fn a_flip_in_the_packages_superblock_is_refused() {
    flip_of_superblock("a-packages", "packages");
}

pub(crate) fn a_flip_in_the_configurations_superblock_is_refused() {
    flip_of_superblock("a-config", "config");
}

/// The configuration is not compressed: its files stand in the partition as they are.
/// A machine that is up with a part of it may be up without its firewall.
pub(crate) fn a_flip_in_a_configuration_file_is_refused() {
    let (offset, size) = world().partition("arch4-web1", "a-config");
    let mut bytes = vec![0; size as usize];
    File::open(raw_web1()).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    let words = b"location = /servercheck.txt";
    let at = bytes.windows(words.len()).position(|window| window == words).unwrap();
    let guest = with_flip("file-config", offset + at as u64);
    guest.says("is corrupted");
    guest.says("the config layer of slot a is damaged");
    guest.gives_up();
}

pub(crate) fn a_flip_in_a_packages_file_is_refused() {
    let mut guest = with_flip("file-packages", place_of("/usr/sbin/nginx"));
    guest.wait_for_shell();
    guest.within(native(10), "systemctl show -P Result nginx.service | grep -qv success");
    guest.says("is corrupted");
    let read = guest.holds("cat /usr/sbin/nginx >/dev/null");
    guest.check(!read, "the damaged file can be read");
    guest.ask("! systemctl is-active nginx.service");
}

pub(crate) fn without_its_firewall_a_server_has_no_network() {
    // nft's own library: nft itself is small, and lies packed with other files.
    let library = "/usr/lib/x86_64-linux-gnu/libnftables.so.1.1.0";
    let mut guest = with_flip("nft", place_of(library));
    guest.wait_for_shell();
    guest.within(native(10), "systemctl is-failed --quiet nftables.service");
    // Decided, though the rest of the boot waits some minutes more for a network.
    guest.within(native(10), "! systemctl list-jobs --no-legend | grep -q systemd-networkd");
    guest.expect("systemctl is-active systemd-networkd.service || true", "inactive");
    let addresses = "ip -o address show | grep -vE ' lo |inet6 fe80'";
    let has_one = guest.holds(addresses);
    guest.check(!has_one, "a card has an address");
}

/// Else the kernel panics and starts again, for ever, and never says why.
pub(crate) fn a_flip_in_systemd_is_refused_before_it_runs() {
    let guest = with_flip("systemd", place_of("/usr/lib/systemd/systemd"));
    guest.says("is corrupted");
    guest.says("the layers of slot a cannot be mounted as one root: systemd cannot be read");
    guest.gives_up();
    assert!(guest.machine.alarms().is_empty(), "{:?}", guest.machine.alarms());
}

/// A byte of the disk in the middle of a file of web1's packages.
fn place_of(path: &str) -> u64 {
    let (offset, _) = world().partition("arch4-web1", "a-packages");
    let (by_path, by_offset) = (format!("--path={path}"), format!("--offset={offset}"));
    let outcomes = Sandbox::new(Root::ReadOnly(world().tools.clone()), 0)
        .bind(raw_web1(), "/run/disk")
        .run(["dump.erofs", &by_path, &by_offset, "-e", "/run/disk"])
        .execute()
        .unwrap();
    let dump = &outcomes[0].output;
    // `   0:        0..  133504 |  133504 :  101486592.. 101543936 |   57344`
    let extent = dump.lines().find_map(|line| line.trim().strip_prefix("0: ")).unwrap();
    let physical = extent.split(" : ").nth(1).unwrap().split('|').next().unwrap();
    let (start, end) = physical.split_once("..").unwrap();
    let [start, end] = [start, end].map(|number| number.trim().parse::<u64>().unwrap());
    offset + (start + end) / 2
}

fn raw_web1() -> PathBuf {
    static RAW: OnceLock<PathBuf> = OnceLock::new();
    let raw = RAW.get_or_init(|| {
        let raw = world().out.join("raw");
        build("arch4-web1", "raw", &raw);
        raw
    });
    raw.join("arch4-web1.raw")
}

pub(crate) fn two_copies_of_the_disk_are_refused() {
    let world = world();
    let config = world.seeded("arch4-web1", "two-copies");
    let guest = start(config.second_disk(DiskConfig::of_image(world.image("arch4-web1"))));
    guest.says("two disks are copies of this system");
    guest.says("detach one of them and boot again");
}
