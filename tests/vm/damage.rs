//! One bit turned over anywhere that a boot reads is refused by dm-verity, and said;
//! so are two copies of the same disk.

use crate::vm::ask::{Guest, native, start};
use crate::vm::{build, world};
use imagebuild::vm::{DiskConfig, Edit};

/// EROFS' superblock stands 1024 bytes after the start.
const SUPERBLOCK: u64 = 1024;

fn with_flip(name: &str, offset: u64) -> Guest {
    let mut config = world().seeded("web1", name);
    config.disk = config.disk.edit(Edit::Flip(offset));
    start(config)
}

fn flip_of_superblock(label: &str, layer: &str) {
    let (offset, _) = world().partition("web1", label);
    // A byte of the volume's name: nobody but verity can know that it is wrong.
    let guest = with_flip(&format!("superblock-{layer}"), offset + SUPERBLOCK + 64);
    guest.says("is corrupted");
    guest.says(&format!("the {layer} layer of slot a is damaged"));
    guest.says("write the image again");
    guest.says("stopped; power the machine off or reset it");
}

#[test]
#[ignore = "boots machines"]
fn a_flip_in_the_packages_superblock_is_refused() {
    flip_of_superblock("a-packages", "packages");
}

#[test]
#[ignore = "boots machines"]
fn a_flip_in_the_configurations_superblock_is_refused() {
    flip_of_superblock("a-config", "config");
}

/// The configuration is not compressed: its files stand in the partition as they are.
#[test]
#[ignore = "boots machines"]
fn a_flip_in_a_configuration_file_is_refused() {
    let world = world();
    let raw = world.out.join("raw");
    build("raw", &raw);
    let (offset, _) = world.partition("web1", "a-config");
    let at = find(&raw.join("arch4-web1.raw"), offset, 4 << 20, b"location = /servercheck.txt");
    std::fs::remove_dir_all(&raw).unwrap();
    let mut guest = with_flip("file-config", at);
    guest.wait_for_shell();
    guest.says("is corrupted");
    let asked = guest.machine.run("systemctl is-system-running --wait", native(20)).unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "degraded\n");
    guest.expect("systemctl is-failed nginx.service", "failed");
    let read = guest.holds("cat /etc/nginx/sites-available/site");
    guest.check(!read, "the damaged file can be read");
}

#[test]
#[ignore = "boots machines"]
fn a_flip_in_the_packages_data_is_refused() {
    let (offset, _) = world().partition("web1", "a-packages");
    // Half a megabyte in: what boots is spread all over, so some of it is read by all.
    let guest = with_flip("file-packages", offset + (512 << 10));
    guest.says("is corrupted");
}

#[test]
#[ignore = "boots machines"]
fn two_copies_of_the_disk_are_refused() {
    let world = world();
    let config = world.seeded("web1", "two-copies");
    let guest = start(config.second_disk(DiskConfig::of_image(world.image("web1"))));
    guest.says("two disks are copies of this system");
    guest.says("detach one of them and boot again");
}

fn find(file: &std::path::Path, start: u64, length: usize, words: &[u8]) -> u64 {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; length];
    std::fs::File::open(file).unwrap().read_exact_at(&mut bytes, start).unwrap();
    let at = bytes.windows(words.len()).position(|window| window == words).unwrap();
    start + at as u64
}
