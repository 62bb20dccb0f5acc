//! Builds: what they say, what they leave, and what a second one does.

use crate::world::World;
use imagebuild::exec::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The steps of a build, as they are told.
const STEPS: &str = "      Making tools: unpack 14 packages
      Making kernel: kernel and initramfs of 6.12.1-cloud-amd64
      Making bootloader: GRUB for BIOS and UEFI
      Making base: install the 3 packages that all servers have
      Making packages: install the rest of 3 packages
      Making packages-layer: EROFS and hash tree of the packages
      Making config-layer: EROFS and hash tree of 5 configuration files
      Making state: ext4 of 4.2 MB
      Making esp: FAT of 4.2 MB
      Making inventory: suppliers and licences of 3 packages
      Making image: disk map of arch1-web1
";
const WRITING: &str = "     Writing out/arch1-web1.qcow2\n";
const TIMES: &str = "        Took TIME  tools
        Took TIME  kernel
        Took TIME  bootloader
        Took TIME  base
        Took TIME  packages
        Took TIME  packages-layer
        Took TIME  config-layer
        Took TIME  state
        Took TIME  esp
        Took TIME  inventory
        Took TIME  image
";
const UNCHANGED: &str = "   Unchanged arch1-web1 is up to date\n";
const IMAGE: &str = "out/arch1-web1.qcow2\n";

/// Time of change and size of everything below a folder, by path. Left out are the
/// records of results, whose time may tell when one was last used.
fn state(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let facts = |entry: walkdir::DirEntry| {
        let data = entry.metadata().unwrap();
        (entry.into_path(), (data.modified().unwrap(), data.len()))
    };
    entries.filter(|entry| entry.file_name() != "object.json").map(facts).collect()
}

/// Paths that came, went or changed.
fn changes(before: &BTreeMap<PathBuf, (SystemTime, u64)>, folder: &Path) -> Vec<PathBuf> {
    let now = state(folder);
    let paths: BTreeSet<&PathBuf> = before.keys().chain(now.keys()).collect();
    paths.into_iter().filter(|path| before.get(*path) != now.get(*path)).cloned().collect()
}

#[test]
fn the_first_build_does_all_and_the_second_nothing() {
    let world = World::new();
    let locking = "        Read the indexes of 38 packages
      Locked 35 packages in imagebuild.lock
     Fetched 16 packages (3.7 MB, TIME)
";
    // One step at a time: in the order of the plan.
    let said = world.cli("arch1 --role web1 --jobs 1").run();
    assert_eq!((said.stdout.as_str(), said.code), (IMAGE, 0));
    // The sizes of the host's shell and C library are in it.
    let fetched = |text: &str| text.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    assert_eq!(fetched(&said.stderr), fetched(&format!("{locking}{STEPS}{TIMES}{WRITING}")));
    assert_eq!(
        world.list("project/out"),
        ["arch1-web1.cdx.json", "arch1-web1.json", "arch1-web1.qcow2"]
    );
    assert_eq!(world.list("store/tmp"), [""; 0]);
    assert!(!said.stderr.contains(['\r', '\x1b']), "plain lines when it is no terminal");

    let (project, store) = (world.path("project"), world.path("store/objects"));
    let before = (state(&project), state(&store));
    world.server.requests();
    world.cli("arch1 --role web1").stdout(IMAGE).stderr(UNCHANGED).code(0);
    world.bare("arch1 --locked").stdout(IMAGE).stderr(UNCHANGED).code(0);
    assert_eq!(changes(&before.0, &project), [""; 0].map(PathBuf::from));
    assert_eq!(changes(&before.1, &store), [""; 0].map(PathBuf::from));
    assert_eq!(world.server.requests(), [""; 0], "no network when nothing is missing");
}

#[test]
fn quiet_says_results_only() {
    let world = World::locked();
    world.cli("arch1 --quiet").stdout(IMAGE).code(0);
    world.cli("arch1 --quiet").stdout(IMAGE).code(0);
    world.cli("arch1 -q --format raw").stdout("out/arch1-web1.raw\n").code(0);
}

#[test]
fn every_format_holds_the_same_disk_and_is_written_once() {
    let world = World::locked();
    for format in ["raw", "raw.zst", "vmdk", "vhdx", "qcow2"] {
        let line = format!("arch1 --format {format} --out images");
        let file = format!("images/arch1-web1.{format}\n");
        let first = world.cli(&line).run();
        assert_eq!((first.stdout.as_str(), first.code), (file.as_str(), 0), "{}", first.text());
        assert!(first.stderr.contains(&format!("     Writing {file}")), "{}", first.stderr);
        let before = state(&world.path("project/images"));
        world.cli(&line).stdout(&file).stderr(UNCHANGED).code(0);
        assert_eq!(changes(&before, &world.path("project/images")), [""; 0].map(PathBuf::from));
    }
    let read =
        |format: &str| std::fs::read(world.path(&format!("project/images/arch1-web1.{format}")));
    let flat = read("raw").unwrap();
    assert!(zstd::decode_all(read("raw.zst").unwrap().as_slice()).unwrap() == flat);
    // The tables stand in each where its own specification puts the first megabyte.
    assert_eq!(&flat[512..520], b"EFI PART");
    let manifest: serde_json::Value =
        serde_json::from_str(&world.read("project/images/arch1-web1.json")).unwrap();
    let id = &manifest["identity"].as_str().unwrap()[..8];
    let vmdk = read("vmdk").unwrap();
    assert!(String::from_utf8_lossy(&vmdk[..4096]).contains(&format!("CID={id}\n")));
    world
        .cli("arch1 --format vdi")
        .stderr("error: invalid value 'vdi' for '--format <FORMAT>'\n  [possible values: qcow2, raw, raw.zst, vmdk, vhdx]\n\n  tip: a similar value exists: 'vhdx'\n\nFor more information, try '--help'.\n")
        .code(2);
}

#[test]
fn all_servers_of_all_architectures() {
    let world = World::new();
    let second = world.read("project/images/arch1.toml");
    let second = second.replace("web1", "web2").replace("0.11\"", "0.12\"").replace("::11", "::12");
    world.put("project/images/arch2.toml", &second);
    world.change("project/images/arch1.toml", "\n[endpoints]", "[servers.web9]\nroles = [\"base\"]\n[servers.web9.addresses.private]\nv4 = \"192.168.0.19\"\nv6 = \"2001:db8:0:1::19\"\n\n[endpoints]");
    let arch1 = "out/arch1-web1.qcow2\nout/arch1-web9.qcow2\n";
    world.cli("arch1 --quiet").stdout(arch1).code(0);
    world.cli("all --quiet").stdout(&format!("{arch1}out/arch2-web2.qcow2\n")).code(0);
    world
        .cli("all --role web1")
        .stderr("error: `--server` needs one architecture, not `all`\nhint: name the architecture, such as `arch1 --server web1`\n")
        .code(2);
}

#[test]
fn verbose_commands_can_be_pasted() {
    let world = World::locked();
    let said = world.cli("arch1 --verbose").run();
    assert_eq!(said.code, 0);
    let tools =
        "grub-mkimage -O i386-pc -d /usr/lib/grub/i386-pc -p '(,gpt2)/grub' -o /out/core.img ";
    assert!(said.stderr.contains(&format!("           + {tools}")), "{}", said.stderr);
    // What is left when the words of progress are taken away is a shell script.
    let verbs = ["Fetched", "Making", "Writing", "Took"];
    let is_word = |line: &&str| verbs.iter().any(|verb| line.trim_start().starts_with(verb));
    let script: String = said.stderr.split_inclusive('\n').filter(|line| !is_word(line)).collect();
    let script = script.replace("           + ", "");
    assert!(script.lines().count() > 15, "{script}");
    let checked = Program::new("/bin/sh").arg("-n").stdin(script.clone()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&checked.stderr), "", "{script}");
    let once = world.cli("arch1 -q -v").run();
    assert!(
        once.stderr.starts_with("error: the argument '--quiet' cannot be used with '--verbose'")
    );
}

#[test]
fn a_damaged_result_is_made_again_to_the_byte() {
    let world = World::locked();
    world.cli("arch1 --quiet").stdout(IMAGE).code(0);
    let image = world.path("project/out/arch1-web1.qcow2");
    let whole = std::fs::read(&image).unwrap();
    let objects = world.list("store/objects");
    let layer = |key: &&String| world.path("store/objects").join(key).join("layer.tar").exists();
    let key = objects.iter().find(layer).unwrap();
    world.put(&format!("store/objects/{key}/layer.erofs"), "rotten");
    std::fs::remove_file(&image).unwrap();
    let warning = format!(
        "warning: store object {} is damaged (its file layer.erofs has changed); it is made again\n",
        &key[..12]
    );
    world.cli("arch1 --quiet").stdout(IMAGE).stderr(&warning).code(0);
    assert!(std::fs::read(&image).unwrap() == whole, "the image is the same to the byte");
    assert_eq!((world.list("store/objects"), world.list("store/tmp")), (objects, vec![]));
}

#[test]
fn a_damaged_package_of_the_store_is_fetched_again() {
    let world = World::locked();
    world.cli("plan arch1 --quiet").run();
    world.cli("arch1 --quiet").stdout(IMAGE).code(0);
    drop(std::fs::remove_dir_all(world.path("store/objects")));
    let pool = world.list("store/pool");
    let deb = world.path("store/pool").join(&pool[0]);
    let size = deb.metadata().unwrap().len() as usize;
    std::fs::write(&deb, vec![b'x'; size]).unwrap();
    let said = world.cli("arch1 --quiet").run();
    assert_eq!((said.stdout.as_str(), said.code), (IMAGE, 0), "{}", said.text());
    assert!(said.stderr.starts_with("warning: the file of "), "{}", said.stderr);
    assert!(said.stderr.ends_with(" in the store was damaged and is removed\n"));
    assert_eq!(world.list("store/pool"), pool);
}

#[test]
fn a_step_that_fails_is_named_with_the_words_of_its_program() {
    let world = World::locked();
    world.change("project/images/arch1.toml", "state = \"4M\"", "state = \"13M\"");
    let said = world.cli("arch1 --quiet").run();
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(
        lines[..2],
        ["error: state: mke2fs failed with exit code 1", "  mke2fs: 13 is an unlucky number"]
    );
    assert!(lines[2].starts_with("  in the sandbox: mke2fs -q -F -t ext4 "), "{}", said.stderr);
    assert_eq!((said.stdout.as_str(), said.code, lines.len()), ("", 1, 3));
    assert_eq!(world.list("store/tmp"), [""; 0]);
    assert_eq!(world.list("project/out"), [""; 0]);
}

#[test]
fn an_interrupted_build_leaves_nothing_half_made() {
    let world = World::locked();
    world.change("project/images/arch1.toml", "state = \"4M\"", "state = \"11M\"");
    // The shell's process becomes imagebuild; the last step before this one is done
    // when its folder is there.
    let wait = "export PATH=/usr/bin:/bin
        me=$$
        (while [ -z \"$(ls $IMAGEBUILD_STORE/tmp)\" ] || ! grep -q 'Making state' $HOME/said; do sleep 0.1; done; sleep 1; kill -INT $me) >/dev/null 2>&1 &
        exec 2>$HOME/said";
    let said = world.cli("arch1").shell(wait).run();
    let stderr = world.read("said");
    assert_eq!((said.stdout.as_str(), said.code), ("", 130), "{stderr}");
    assert!(stderr.ends_with("error: interrupted; finished steps are kept\n"), "{stderr}");
    assert_eq!(world.list("store/tmp"), [""; 0]);
    assert_eq!(world.list("project/out"), [""; 0]);
    world.change("project/images/arch1.toml", "state = \"11M\"", "state = \"4M\"");
    let again = world.cli("arch1").run();
    assert_eq!((again.stdout.as_str(), again.code), (IMAGE, 0), "{}", again.text());
    assert!(!again.stderr.contains("Making tools"), "{}", again.stderr);
}
