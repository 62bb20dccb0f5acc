//! `imagebuild flash` to files and to what is none of its business.

use crate::harness::Transcript;
use crate::world::World;
use std::os::unix::fs::PermissionsExt;

const CREDENTIAL: &str = "
[[credentials]]
name = \"app.password\"
purpose = \"the application's password\"
kind = \"password\"
scope = \"server\"
";

/// A world whose image is built.
fn built() -> World {
    let world = World::locked();
    let role = world.read("project/roles/base.toml");
    world.put("project/roles/base.toml", &(role + CREDENTIAL));
    let said = world.cli("arch1 --format raw --quiet").run();
    assert_eq!(said.code, 0, "{}", said.text());
    world
}

fn bytes(world: &World, path: &str) -> Vec<u8> {
    std::fs::read(world.path(path)).unwrap()
}

/// Where the seed's partition is.
fn seed_offset(world: &World) -> usize {
    let manifest: serde_json::Value =
        serde_json::from_slice(&bytes(world, "project/out/arch1-web1.json")).unwrap();
    let partitions = manifest["map"]["partitions"].as_array().unwrap();
    let seed = partitions.iter().find(|one| one["label"] == "seed").unwrap();
    seed["offset"].as_u64().unwrap() as usize
}

#[test]
fn a_file_holds_the_image_and_the_seed() {
    let world = built();
    let lacking = "error: secrets/arch1.toml lacks secrets of web1
  app.password: the application's password
hint: `imagebuild seed arch1` makes them; `--no-seed` writes the image without
";
    world.cli("flash arch1 --to file:web1.raw").stderr(lacking).code(2);
    let said = world.cli("seed arch1 --quiet").run();
    assert_eq!(said.code, 0, "{}", said.text());
    let said = "      Erased the ends of TMP/project/web1.raw.partial
       Wrote arch1-web1 (66.1 MB, TIME)
   Read back digests (66.1 MB, TIME)
     Flashed arch1-web1 to TMP/project/web1.raw.partial: 67.1 MB
";
    world.cli("flash arch1 --to file:web1.raw").stdout("file:web1.raw\n").stderr(said).code(0);
    let (mut image, disk) =
        (bytes(&world, "project/out/arch1-web1.raw"), bytes(&world, "project/web1.raw"));
    let (seed, at) = (bytes(&world, "project/out/arch1-web1.seed"), seed_offset(&world));
    image[at..at + seed.len()].copy_from_slice(&seed);
    assert!(image == disk);
    let mode = world.path("project/web1.raw").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds secrets");
    assert_eq!(world.list("store/flash").len(), 1, "no journal, only the file that is locked");

    let there = "error: web1.raw is there already
hint: remove it, or name another file; a disk is `dev:/dev/disk/by-id/NAME`
";
    world.cli("flash arch1 --to file:web1.raw").stderr(there).code(2);
    let without = "warning: without a seed web1 starts neither SSH nor what needs secrets\n";
    world
        .cli("flash arch1 --to file:bare.raw --size 96M --no-seed --quiet")
        .stdout("file:bare.raw\n")
        .stderr(without)
        .code(0);
    let bare = bytes(&world, "project/bare.raw");
    assert!(
        bare.len() == 96 << 20 && bare.starts_with(&bytes(&world, "project/out/arch1-web1.raw"))
    );
}

#[test]
fn a_plan_lists_every_write() {
    let world = built();
    let Transcript { stdout, stderr, code } =
        world.cli("flash arch1 --to file:web1.raw --no-seed --plan --quiet").run();
    let warning = "warning: without a seed web1 starts neither SSH nor what needs secrets\n";
    assert_eq!((stderr.as_str(), code), (warning, 0));
    // Sizes and identity are those of the host's shell and C library.
    let lines: Vec<&str> = stdout.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let mut lines = lines.into_iter();
    assert!(lines.next().unwrap().starts_with("arch1-web1 (identity "));
    assert_eq!(
        lines.collect::<Vec<_>>().join("\n"),
        "  a new file of 67.1 MB, readable by its user only
  erase   the first MiB and the last, and one behind the image
  write   1 bios       at     1 MiB of     1 MiB
  write   2 esp        at     2 MiB of     4 MiB
  write   3 a-packages at     6 MiB of     4 MiB
  write   4 a-config   at    10 MiB of     4 MiB
  write   5 b-packages at    14 MiB of     4 MiB
  write   6 b-config   at    18 MiB of     4 MiB
  write   7 seed       at    22 MiB of     1 MiB
  write   8 state      at    23 MiB of     4 MiB
  read    all 67.1 MB back, and compare digests
  write   the partition table and, last of all, the first sector"
    );
    assert!(!world.path("project/web1.raw").exists());
}

#[test]
fn what_is_wrong_is_told_before_anything_is_built() {
    let world = World::locked();
    let forms = "hint: write `--to ssh://root@HOST/dev/disk/by-id/NAME` (a rescue system), `--to dev:/dev/disk/by-id/NAME` (a disk of this machine) or `--to file:PATH` (a new file)\n";
    for (line, said) in [
        ("arch1 --to /dev/sda", format!("error: `/dev/sda` does not say what kind of target it is\n{forms}")),
        ("arch1 --to dev:/dev/sda --size 20G", "error: `--size` is for new files, not for dev:/dev/sda\nhint: leave out `--size`\n".to_owned()),
        ("arch1 --to file:x --size 20", "error: --size: `20` is not a size such as 512M or 4G\nhint: write it as 20G or 4096M; the most is 64T\n".to_owned()),
        ("arch1 --to ssh://h/dev/sda --host-key AAAA", "error: --host-key: this is not a public SSH key\nhint: paste the line of ~/.ssh/id_ed25519.pub: `ssh-ed25519 AAAA... you@host`\n".to_owned()),
        ("all --to file:x", "error: a disk is for one server, not for `all`\nhint: name both: `imagebuild flash arch4 --server web1 --to ...`\n".to_owned()),
    ] {
        world.cli(&format!("flash {line}")).stderr(&said).code(2);
    }
    assert_eq!(world.list("store/objects"), [""; 0]);
}

#[test]
fn a_disk_is_shown_before_it_is_lost() {
    let world = built();
    let size = 80 << 20;
    std::fs::write(world.path("disk.raw"), vec![7; size]).unwrap();
    let line = |more: &str| {
        format!(
            "flash arch1 --to dev:{} --no-seed --quiet {more}",
            world.path("disk.raw").display()
        )
    };
    let warning = "warning: without a seed web1 starts neither SSH nor what needs secrets\n";
    let shown = format!(
        "{warning}error: everything on this disk would be lost\n  TMP/disk.raw: 83.9 MB\nhint: if it is the right one, add `--confirm disk.raw` (its file's name)\n"
    );
    world.cli(&line("")).stderr(&shown).code(2);
    assert!(bytes(&world, "disk.raw").iter().all(|byte| *byte == 7));
    let said = world.cli(&line("--confirm disk.raw")).run();
    assert_eq!((said.code, said.stderr.as_str()), (0, warning), "{}", said.text());
    let (disk, image) = (bytes(&world, "disk.raw"), bytes(&world, "project/out/arch1-web1.raw"));
    assert!(disk.len() == size && disk.starts_with(&image));
}

#[test]
fn status_is_asked_of_servers_that_there_are() {
    let world = World::locked();
    for (line, said) in [
        (
            "all",
            "error: servers of one architecture are asked, not of `all`\nhint: name it: `imagebuild status arch4`\n",
        ),
        (
            "arch1 --ssh web1",
            "error: --ssh: `web1` is not SERVER=HOST\nhint: write it as web1=203.0.113.7 or web1=jump.example.org:2222\n",
        ),
        (
            "arch1 --ssh wbe1=h",
            "error: --ssh: arch1 has no server `wbe1`\nhint: did you mean `web1`?\n",
        ),
        (
            "arch1 --ssh web1=-x",
            "error: --ssh: `-x` is not USER@HOST, HOST, or one of them with :PORT\n",
        ),
        ("arch1 --secrets none.toml", "error: there is no file none.toml\n"),
    ] {
        world.cli(&format!("status {line}")).stderr(said).code(2);
    }
}

/// The disk is full in the middle: the same command goes on when there is room.
#[test]
fn a_full_disk_and_the_way_on() {
    let world = built();
    let said = crate::disk::twice(
        world.cli("flash arch1 --to file:full/web1.raw --no-seed --quiet"),
        "full",
        "2m",
        ".",
    );
    let at = said.stderr.find("error: ").unwrap_or_else(|| panic!("{}", said.text()));
    let error = &said.stderr[at..];
    assert!(error.starts_with("error: the target failed: writing at byte "), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    assert!(error.contains("hint: run the same command again"), "{error}");
    assert!(said.stdout.contains("./web1.raw.partial"), "{}", said.text());
    assert!(said.stdout.ends_with("file:full/web1.raw\n") && said.code == 0, "{}", said.text());
}
