//! Places that cannot be written, and disks that are full: nothing half-made stays.
//! The small disks are mounts of the run's own, which every user can have who can build.

use crate::harness::{Cli, Transcript};
use crate::world::World;

pub(crate) const DISK_FULL: &str = "hint: the disk is full: free some space, or use another disk (`--store DIR` for the store, `--out DIR` for images), and run the same command again; finished steps are kept\n";

/// Runs twice: on a disk of `size` at `folder`, and after the disk has grown.
pub(crate) fn twice(cli: Cli, folder: &str, size: &str, list: &str) -> Transcript {
    let script = format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin
        mkdir -p {folder}
        mount -t tmpfs -o size={size} none {folder}
        \"$0\" \"$@\" || echo \"exit code $?\"
        (cd {folder} && find {list} -type f | sort)
        mount -o remount,size=64m none {folder}
        echo again"
    );
    cli.mounts(&script).run()
}

#[test]
fn a_file_in_the_way_of_the_images() {
    let world = World::locked();
    world.put("project/out", "");
    let hint = "hint: images are written there: name another folder with `--out DIR`\n";
    world
        .cli("arch1 --quiet")
        .stderr(&format!("error: cannot make the folder out: File exists\n{hint}"))
        .code(1);
    world
        .cli("arch1 --quiet --out out/deep")
        .stderr(&format!("error: cannot make the folder out/deep: Not a directory\n{hint}"))
        .code(1);
    assert_eq!(world.list("store/objects"), [""; 0], "no work is done in vain");
}

#[test]
fn a_file_in_the_way_of_the_store() {
    let world = World::locked();
    world.put("way", "");
    world
        .cli("arch1 --store ../way/store")
        .stderr("error: cannot make the folder ../way/store/objects: Not a directory\nhint: the store is kept there: name another folder with `--store DIR` or $IMAGEBUILD_STORE\n")
        .code(1);
}

#[test]
fn a_read_only_disk_for_images() {
    let world = World::locked();
    world
        .cli("arch1 --quiet")
        .mounts("mkdir out; mount -t tmpfs -o ro none out")
        .stderr("error: cannot make a file in out: Read-only file system\nhint: images are written there: name another folder with `--out DIR`\n")
        .code(1);
}

#[test]
fn the_stores_disk_is_full_while_packages_come() {
    let world = World::locked();
    std::fs::remove_dir_all(world.path("store")).unwrap();
    let store = world.path("store").display().to_string();
    let said = twice(world.cli("arch1 --quiet"), &store, "1m", "pool tmp objects");
    let stdout: Vec<&str> = said.stdout.lines().filter(|line| !line.ends_with(".deb")).collect();
    assert_eq!(stdout, ["exit code 1", "again", "out/arch1-web1.qcow2"], "{}", said.text());
    assert_eq!(
        said.stderr,
        format!("error: cannot write a file of the cache: No space left on device\n{DISK_FULL}")
    );
    assert_eq!(said.code, 0);
}

#[test]
fn the_stores_disk_is_full_while_a_step_is_made() {
    let world = World::locked();
    std::fs::remove_dir_all(world.path("store")).unwrap();
    let store = world.path("store").display().to_string();
    let said = twice(world.cli("arch1 --quiet"), &store, "6m", "tmp objects");
    assert_eq!(said.stdout, "exit code 1\nagain\nout/arch1-web1.qcow2\n", "{}", said.text());
    let (message, hint) = said.stderr.split_once('\n').unwrap();
    assert!(message.starts_with("error: tools: unpacking base-files: cannot write TMP/store/tmp/"));
    assert!(message.ends_with(": No space left on device"), "{message}");
    assert_eq!((hint, said.code), (DISK_FULL, 0));
}

#[test]
fn a_folder_in_the_way_of_an_image() {
    let world = World::locked();
    world.put("project/out/arch1-web1.vhdx/x", "");
    world
        .cli("arch1 --quiet --format vhdx")
        .stderr("error: there is a folder where out/arch1-web1.vhdx would be\nhint: move it away, or name another folder with `--out DIR`\n")
        .code(2);
    assert_eq!(world.list("store/objects"), [""; 0], "no work is done in vain");
}

#[test]
fn the_disk_for_images_is_full() {
    let world = World::locked();
    for format in ["qcow2", "raw", "raw.zst", "vmdk", "vhdx"] {
        // Room for what is written before the disk itself, and for a part of that.
        let size = if format == "raw" { "16k" } else { "4k" };
        let size = if format == "vhdx" || format == "qcow2" { "64k" } else { size };
        let line = format!("arch1 --quiet --out full --format {format}");
        let said = twice(world.cli(&line), "full", size, ".");
        let file = format!("full/arch1-web1.{format}");
        assert_eq!(said.stdout, format!("exit code 1\nagain\n{file}\n"), "{}", said.text());
        assert_eq!(
            said.stderr,
            format!("error: cannot write {file}: No space left on device\n{DISK_FULL}")
        );
        assert_eq!(said.code, 0);
    }
}
