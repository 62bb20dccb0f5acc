//! `verify` names what differs: faults are planted in the programs of the fixture's
//! closure and in the scripts of its packages, where no user can reach.

use crate::harness::Cli;
use crate::scripts::with_site;
use crate::world::World;
use std::path::Path;

#[test]
fn the_same_bytes_are_said_to_be_the_same() {
    let world = World::locked();
    let said = world.cli("verify arch1 --quiet").run();
    assert_eq!((said.stderr.as_str(), said.code), ("", 0), "{}", said.text());
    let names: Vec<&str> = said.stdout.lines().map(|line| &line[66..]).collect();
    assert_eq!(names, ["arch1-web1.raw", "arch1-web1.qcow2"]);
    world.cli("arch1 --quiet --format raw").run();
    let raw = imagebuild::fs::digest_file(&world.path("project/out/arch1-web1.raw")).unwrap();
    assert!(said.stdout.starts_with(&raw.to_string()));
}

#[test]
fn nothing_is_left_unless_it_is_asked_for() {
    let world = World::locked();
    std::fs::create_dir(world.path("work")).unwrap();
    world.cli("verify arch1 --work ../work").run();
    assert_eq!(world.list("work"), [""; 0]);
    world.cli("verify arch1 --work ../work --keep").run();
    assert_eq!(world.list("work").len(), 2);
}

const VERIFY: &str = "verify arch1 --quiet";

/// What is said of a fault: the lines of the error.
fn found(cli: &Cli) -> Vec<String> {
    let said = cli.run();
    assert_eq!((said.stdout.as_str(), said.code), ("", 4), "{}", said.text());
    said.stderr.lines().map(str::to_owned).collect()
}

/// A fault in a program of the closure, and where it must be found: the step, the
/// partition, the file.
struct Fault {
    from: &'static str,
    to: &'static str,
    found: [&'static str; 3],
}

const EROFS: &str = "mkfs.erofs) printf '%4096s' layer >\"$out\" ;;";

const FAULTS: [Fault; 6] = [
    Fault {
        from: "printf '%2000s' grub >\"$out\" ;;",
        to: "{ printf '%1963s' grub; cat /proc/sys/kernel/random/uuid; } >\"$out\" ;;",
        found: ["bootloader", "bios, esp", "BOOTX64.EFI"],
    },
    Fault {
        from: "busybox) echo sh ;;",
        to: "busybox) cat /proc/sys/kernel/random/uuid ;;",
        found: ["kernel", "esp", "initrd"],
    },
    Fault {
        from: EROFS,
        to: "mkfs.erofs) cat /proc/sys/kernel/random/uuid >\"$out\" ;;",
        found: ["packages-layer", "a-packages", "layer.erofs"],
    },
    Fault {
        from: EROFS,
        to: "mkfs.erofs) case \" $* \" in *--tar=f*) cat /proc/sys/kernel/random/uuid ;; *) echo x ;; esac >\"$out\" ;;",
        found: ["config-layer", "a-config", "layer.erofs"],
    },
    Fault {
        from: "truncate -s \"${size%k}K\" \"$out\" ;;",
        to: "cat /proc/sys/kernel/random/uuid >\"$out\"; truncate -s \"${size%k}K\" \"$out\" ;;",
        found: ["state", "state", "state.ext4"],
    },
    Fault {
        from: "mkfs.fat) printf '%4096s' fat >\"$out\" ;;",
        to: "mkfs.fat) cat /proc/uptime >\"$out\" ;;",
        found: ["esp", "esp", "esp.fat"],
    },
];

#[test]
fn a_random_id_or_a_clock_in_each_step_is_found_there() {
    for Fault { from, to, found: [step, partition, file] } in FAULTS {
        let lines = found(&World::broken((from, to)).cli(VERIFY));
        assert_eq!(lines[0], "error: arch1-web1 is not the same in the odd build", "{lines:?}");
        assert_eq!(lines[1], format!("  the step {step} differs first"), "{lines:?}");
        assert_eq!(lines[2], format!("  partition: {partition}"), "{lines:?}");
        assert!(lines[3].starts_with(&format!("  {file} ")), "{lines:?}");
    }
}

#[test]
fn a_script_that_reads_the_clock_is_found_with_its_file() {
    let script = "#!/bin/sh\nread -r up rest </proc/uptime\necho \"made at $up\" >/etc/made\n";
    let world = with_site(&[("postinst", script)], "");
    let lines = found(&world.cli(VERIFY));
    // All servers have that package.
    assert_eq!(lines[1], "  the step base differs first");
    assert_eq!(lines[2..4], ["  partition: a-packages", "  /etc/made"]);
    assert!(lines[4].starts_with("    0644 0:0 file of "), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("      -made at ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("      +made at ")), "{lines:?}");
}

/// The kind of a file system, as statfs(2) numbers it.
fn kind(path: &Path) -> i64 {
    nix::sys::statfs::statfs(path).unwrap().filesystem_type().0
}

/// One build is on a disk, the other in memory, where a folder's entries come in the order
/// in which they were made: in a mount of the run's own.
#[test]
fn a_script_that_lists_a_folder_unsorted_is_found() {
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let tmpfs = nix::sys::statfs::TMPFS_MAGIC.0;
    assert_ne!(kind(disk), tmpfs, "{} must be on a disk", disk.display());
    let script = "#!/bin/sh\nmkdir /etc/many\nfor i in q w e r t y u i o p a s d f g h j k; do echo >/etc/many/$i; done\nls -U /etc/many >/etc/order\n";
    let world = with_site(&[("postinst", script)], "");
    let line = format!("verify arch1 --quiet --work {} --elsewhere ../memory", disk.display());
    let mount = "mkdir ../memory; mount -t tmpfs none ../memory";
    let lines = found(&world.cli(&line).mounts(mount));
    assert_eq!(
        lines[1..4],
        ["  the step base differs first", "  partition: a-packages", "  /etc/order"]
    );
}

#[test]
fn a_build_that_fails_is_named() {
    let world = World::broken(("mkfs.fat) printf", "mkfs.fat) exit 3; printf"));
    let said = world.cli("verify arch1 --quiet").run();
    assert_eq!(said.code, 1, "{}", said.text());
    assert!(
        said.stderr.starts_with("error: the usual build: imagebuild failed with exit code 1\n")
            || said.stderr.starts_with("error: the usual build: sh failed with exit code 1\n"),
        "{}",
        said.stderr
    );
}
