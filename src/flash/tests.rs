//! Disks are files here, and the programs that write them the machine's own; before them in
//! the path stands a `dd` that fails when it is told to.

use super::journal::Subject;
use super::session::{SCRIPT, Session};
use super::*;
use crate::exec::Program;
use crate::image::disk::{Content, Contents, Disk};
use crate::image::grub::BootCode;
use crate::image::manifest::{Manifest, PartitionMap};
use crate::plan::layout::{Growth, Label, Layout, MIB, Sizes};
use std::os::unix::fs::{FileExt, PermissionsExt};

/// A disk that was used, larger than the image by an odd number of sectors.
const USED: u8 = 0xaa;
const ROOM: u64 = 3 * MIB + 1536;
const SEED: &[u8] = b"IMAGEBUILD-SEED 1 for a test";

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// A small image, and its bytes with the seed in it.
fn image(seed: &[u8]) -> (Work, Vec<u8>) {
    let sizes = Sizes {
        esp: MIB,
        packages: 5 * MIB,
        config: MIB,
        seed: MIB,
        state: 2 * MIB,
        state_growth: Growth::ToEndOfDisk,
        disk: 0,
    };
    let layout = Layout::new("arch1-web1", &sizes).unwrap();
    let mbr = noise(440, 9).try_into().unwrap();
    let boot = BootCode { mbr, core: noise(30_000, 7) };
    // Data, a hole within it, an end that is no multiple of anything, an empty one.
    let state = [noise(70_000, 3), vec![0; 1 << 20], noise(10_001, 4)].concat();
    let contents = Contents::from([
        (Label::Esp, Content::bytes(vec![b'e'; 1 << 19])),
        (Label::APackages, Content::bytes(noise(4 << 20, 1))),
        (Label::AConfig, Content::bytes(noise(8192, 2))),
        (Label::State, Content::bytes(state)),
    ]);
    let map = PartitionMap::new(&layout, &boot, &contents).unwrap();
    let manifest = Manifest {
        image: "arch1-web1".to_owned(),
        version: "1".to_owned(),
        identity: map.identity().unwrap(),
        map,
        root_hashes: Default::default(),
        lock: crate::fs::Sha256Digest::of("lock"),
        kernel: String::new(),
        packages: Vec::new(),
    };
    let disk = Disk::assemble(&layout, &boot, &contents).unwrap();
    let mut bytes = disk.read(0, disk.size() as usize).unwrap();
    let at = layout.partition(Label::Seed).offset as usize;
    bytes[at..at + seed.len()].copy_from_slice(seed);
    (Work::new(disk, &manifest, Some(seed.to_vec())).unwrap(), bytes)
}

fn put_program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A used disk, a store, and a `dd` that can be told to fail.
struct Bench {
    folder: tempfile::TempDir,
    work: Work,
    bytes: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let (work, bytes) = image(SEED);
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench { folder, work, bytes };
        std::fs::write(bench.disk(), vec![USED; bench.bytes.len() + ROOM as usize]).unwrap();
        std::fs::create_dir(bench.path("bin")).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn disk(&self) -> PathBuf {
        self.path("disk.raw")
    }

    /// Of the calls of dd that write to the disk or read from it, what happens at the given one,
    /// in place of it or before it; `$disk` and `$real` are the disk's path and the real dd's.
    fn at_call(&self, number: usize, what: &str) {
        let script = format!(
            "#!/bin/sh\nfor word; do case $word in of=/proc/self/fd/9 | if=/proc/self/fd/9) ours=1 ;; esac; done\nreal=/usr/bin/dd disk={disk}\n[ -x $real ] || real=/bin/dd\n[ -n \"$ours\" ] || exec $real \"$@\"\necho \"$*\" >>{calls}\nif [ $(wc -l <{calls}) = {number} ]; then {what}\nfi\nexec $real \"$@\"\n",
            disk = self.disk().display(),
            calls = self.path("calls").display(),
        );
        std::fs::write(self.path("bin/dd"), script).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path("bin/dd"), mode).unwrap();
    }

    fn session(&self) -> Session {
        drop(std::fs::remove_file(self.path("calls")));
        let path = std::env::var("PATH").unwrap();
        // Who is killed when the line is cut.
        let script = format!("echo $$ >$1.pid\n{SCRIPT}");
        let program = Program::new("sh").args(["-c", &script, "sh"]).arg(self.disk());
        let path = format!("{}:{path}", self.path("bin").display());
        let program = program.envs(std::env::vars_os()).env("PATH", path).quiet();
        Session::with(program, "the test".to_owned(), None).unwrap()
    }

    fn flash(&self) -> Result<()> {
        let target = Target::Device(self.disk());
        let confirm = Confirm::Said(Some("disk.raw"));
        let store = self.path("store");
        let mut flash = Flash::begin(&self.work, &target, confirm, self.session(), &store)?;
        flash.flush = MIB;
        flash.run(false)
    }

    /// The calls of dd that a run has, by their words.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("calls")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The disk is the image, and else as it should be.
    fn check(&self) {
        let now = std::fs::read(self.disk()).unwrap();
        let (image, rest) = now.split_at(self.bytes.len());
        let wrong = image.iter().zip(&self.bytes).position(|(is, must)| is != must);
        assert_eq!(wrong, None, "the first byte that differs");
        let mut must = vec![USED; rest.len()];
        let size = self.bytes.len() as u64;
        for (offset, length) in self.work.outside(now.len() as u64) {
            let (from, to) = ((offset - size) as usize, (offset + length - size) as usize);
            must[from..to].fill(0);
        }
        let wrong = rest.iter().zip(&must).position(|(is, must)| is != must);
        assert_eq!(wrong, None, "behind the image: tables of before, or what nobody was to touch");
    }

    /// The first sector, without which nothing boots.
    fn boots(&self) -> bool {
        let mut sector = [0; 512];
        File::open(self.disk()).unwrap().read_exact_at(&mut sector, 0).unwrap();
        // What was there before is there only as long as nothing was touched.
        if sector == [USED; 512] {
            assert!(std::fs::read(self.disk()).unwrap().iter().all(|byte| *byte == USED));
        } else {
            assert!(sector == [0; 512] || sector[..] == self.bytes[..512]);
        }
        sector[..] == self.bytes[..512]
    }

    fn journal(&self) -> u64 {
        let target = Target::Device(self.disk()).to_string();
        let size = std::fs::metadata(self.disk()).unwrap().len();
        let (image, seed) = (self.work.identity, self.work.seed);
        let subject = Subject { target, disk: "disk.raw".to_owned(), size, image, seed };
        Journal::open(&self.path("store"), subject).unwrap().written()
    }
}

#[test]
fn a_used_disk_becomes_the_image() {
    let bench = Bench::new();
    bench.flash().unwrap();
    bench.check();
    assert_eq!(bench.journal(), 0);
    // A second time as well.
    bench.flash().unwrap();
    bench.check();
}

#[test]
fn without_zstd_and_without_holes() {
    let bench = Bench::new();
    std::fs::remove_dir_all(bench.path("bin")).unwrap();
    std::fs::create_dir(bench.path("bin")).unwrap();
    for tool in ["sh", "tr", "cat", "ls", "dd", "sha256sum", "head", "uname", "readlink", "stat"] {
        let path = std::env::var("PATH").unwrap();
        let found = path.split(':').map(|folder| Path::new(folder).join(tool)).find(|p| p.exists());
        std::os::unix::fs::symlink(found.unwrap(), bench.path("bin").join(tool)).unwrap();
    }
    let program = Program::new("/bin/sh").args(["-c", SCRIPT, "sh"]).arg(bench.disk());
    let program = program.env("PATH", bench.path("bin")).quiet();
    let session = Session::with(program, "the test".to_owned(), None).unwrap();
    let target = Target::Device(bench.disk());
    let confirm = Confirm::Said(Some("disk.raw"));
    let flash = Flash::begin(&bench.work, &target, confirm, session, &bench.path("store")).unwrap();
    assert!(!flash.facts.has("zstd"));
    flash.run(false).unwrap();
    bench.check();
}

#[test]
fn cut_at_every_step_it_boots_nothing_and_goes_on() {
    let bench = Bench::new();
    bench.at_call(0, ":");
    bench.flash().unwrap();
    let calls = bench.calls();
    assert!(calls.len() > 20, "{calls:?}");
    let mut resumed = 0;
    // Before it is written, and when it is, and nobody has heard of it.
    let cuts = ["", "$real \"$@\" 2>/dev/null;"];
    for number in 1..=calls.len() {
        // All reads of the whole disk are alike.
        let is_read = calls[number - 1].contains("if=/proc/self/fd/9");
        if is_read && number % 6 > 1 && number < calls.len() - 1 {
            continue;
        }
        let cut = cuts[number % 2];
        std::fs::write(bench.disk(), vec![USED; bench.bytes.len() + ROOM as usize]).unwrap();
        // The shell that runs it is gone, as if the line were cut or the machine off.
        bench.at_call(number, &format!("{cut} kill -9 $(cat $disk.pid); exit 1"));
        let error = bench.flash().unwrap_err();
        // The last four write the first sector, flush it, and read all of the start back.
        let is_ending = number + 4 > calls.len();
        assert!(!bench.boots() || is_ending, "{number}: {error}");
        let says = ["the disk boots nothing now", "the disk may be whole, or boot nothing"];
        assert!(error.to_string().contains(says[usize::from(is_ending)]), "{number}: {error}");
        resumed += u64::from(bench.journal() > 0);
        bench.at_call(0, ":");
        bench.flash().unwrap_or_else(|e| panic!("{number}: {e}"));
        bench.check();
    }
    assert!(resumed > 5, "it hardly ever went on: {resumed}");
}

#[test]
fn a_write_that_fails_is_told() {
    let bench = Bench::new();
    bench.at_call(7, "echo 'dd: error writing: Input/output error' >&2; exit 1");
    let error = bench.flash().unwrap_err().to_string();
    assert!(error.contains("Input/output error"), "{error}");
    assert!(error.contains("the disk boots nothing now: "), "{error}");
    assert!(error.contains("hint: run the same command again"), "{error}");
    assert!(!bench.boots());
}

#[test]
fn a_disk_that_gives_back_other_bytes_never_boots() {
    let bench = Bench::new();
    // The packages: in the middle of the image.
    let at = 3 * MIB + 4096;
    let spoil = format!("printf X | $real of=$disk bs=1 seek={at} conv=notrunc 2>/dev/null");
    // After the last write, before the first byte is read back: found by its words.
    bench.at_call(0, ":");
    let script = std::fs::read_to_string(bench.path("bin/dd")).unwrap();
    let script = script
        .replace("if [ $(", &format!("case \"$*\" in *of=/dev/null*) {spoil} ;; esac\nif [ $("));
    std::fs::write(bench.path("bin/dd"), script).unwrap();
    let error = bench.flash().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Check);
    assert!(
        error.message().contains("other bytes than were written: partition `a-packages`"),
        "{error}"
    );
    assert!(!bench.boots());
}

#[test]
fn what_somebody_else_wrote_in_between_is_written_again() {
    let bench = Bench::new();
    bench.at_call(0, ":");
    bench.flash().unwrap();
    let calls = bench.calls();
    bench.at_call(calls.len() - 6, "kill -9 $(cat $disk.pid); exit 1");
    bench.flash().unwrap_err();
    assert!(bench.journal() > 0);
    bench.at_call(0, ":");
    let file = File::options().write(true).open(bench.disk()).unwrap();
    file.write_all_at(b"somebody else", 4 * MIB).unwrap();
    drop(file);
    bench.flash().unwrap();
    bench.check();
}

#[test]
fn another_seed_begins_anew() {
    let bench = Bench::new();
    bench.at_call(0, ":");
    bench.flash().unwrap();
    bench.at_call(bench.calls().len() - 6, "kill -9 $(cat $disk.pid); exit 1");
    bench.flash().unwrap_err();
    assert!(bench.journal() > 0);
    let (work, bytes) = image(b"another seed");
    let other = Bench { work, bytes, ..bench };
    assert_eq!(other.journal(), 0);
    other.at_call(0, ":");
    other.flash().unwrap();
    other.check();
}

#[test]
fn regions_are_the_whole_disk() {
    let (work, bytes) = image(SEED);
    for room in [0, 512, 4096, MIB, MIB + 512, ROOM] {
        let size = work.size() + room;
        let mut all = [&bytes[..], &vec![USED; room as usize][..]].concat();
        for (offset, length) in work.outside(size) {
            all[offset as usize..(offset + length) as usize].fill(0);
        }
        let mut at = HEAD;
        for region in work.regions(size) {
            // All of the image; outside of it, what was erased.
            assert!(region.offset == at || region.offset > work.size(), "{region:?}");
            assert!(region.offset.is_multiple_of(4096) || region.offset >= work.size());
            let (from, to) = (region.offset as usize, (region.offset + region.length) as usize);
            assert_eq!(region.sha256, crate::fs::Sha256Digest::of(&all[from..to]), "{region:?}");
            at = region.offset + region.length;
        }
        assert_eq!(at, size);
        // A table of before is in the first sectors, or in the last.
        let erased = work.erased(size, true);
        assert!(erased.iter().any(|(offset, _)| *offset == 0));
        assert!(
            erased.iter().any(|(offset, length)| offset + length == size),
            "{room}: {erased:?}"
        );
    }
}

#[test]
fn a_new_file_is_whole_or_not_there() {
    let bench = Bench::new();
    let (path, store) = (bench.path("new.raw"), bench.path("store"));
    let target = Target::File(path.clone());
    let options = Options { file_size: Some(bench.work.size() + 5 * MIB), ..Options::default() };
    write(&bench.work, &target, &options, &store).unwrap();
    let now = std::fs::read(&path).unwrap();
    assert!(now.starts_with(&bench.bytes) && now.len() as u64 == bench.work.size() + 5 * MIB);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!partial(&path).exists());
    let error = write(&bench.work, &target, &options, &store).unwrap_err();
    assert!(error.message().ends_with("new.raw is there already"), "{error}");
    let small = Options { file_size: Some(MIB), ..Options::default() };
    let error = write(&bench.work, &Target::File(bench.path("x")), &small, &store).unwrap_err();
    assert!(error.message().starts_with("the image has "), "{error}");
}

#[test]
fn what_is_open_elsewhere_is_in_use() {
    let bench = Bench::new();
    let other = File::open(bench.disk()).unwrap();
    let error = bench.flash().unwrap_err().to_string();
    let own = std::process::id();
    assert!(error.contains("disk.raw is in use\n"), "{error}");
    assert!(error.contains(&format!("process {own} (")), "{error}");
    drop(other);
    bench.flash().unwrap();
    bench.check();
}

#[test]
fn a_decompressor_that_fails_is_told() {
    let bench = Bench::new();
    put_program(
        &bench.path("bin/zstd"),
        "[ \"$1\" = -dcq ] && [ ! -e $0.used ] && : >$0.used && printf abc && exit\necho broken >&2; exit 1",
    );
    let error = bench.flash().unwrap_err().to_string();
    assert!(error.contains("unpacking at byte ") && error.contains("broken"), "{error}");
    assert!(!bench.boots());
}

#[test]
fn what_was_dirty_outside_is_erased_again() {
    let bench = Bench::new();
    bench.at_call(0, ":");
    bench.flash().unwrap();
    let calls = bench.calls().len();
    bench.at_call(calls - 6, "kill -9 $(cat $disk.pid); exit 1");
    bench.flash().unwrap_err();
    bench.at_call(0, ":");
    // Another disk behind the same name.
    std::fs::write(bench.disk(), vec![USED; bench.bytes.len() + ROOM as usize]).unwrap();
    bench.flash().unwrap();
    bench.check();
}

#[test]
fn no_file_of_somebody_elses_is_filled_with_secrets() {
    let bench = Bench::new();
    let path = bench.path("new.raw");
    std::fs::write(bench.path("victim"), "precious").unwrap();
    std::os::unix::fs::symlink(bench.path("victim"), partial(&path)).unwrap();
    let flash = || {
        write(&bench.work, &Target::File(path.clone()), &Options::default(), &bench.path("store"))
    };
    flash().unwrap_err();
    assert_eq!(std::fs::read(bench.path("victim")).unwrap(), b"precious");
    std::fs::remove_file(partial(&path)).unwrap();
    // Another run that writes it is not disturbed.
    let own = File::options().create_new(true).write(true).open(partial(&path)).unwrap();
    own.set_len(5).unwrap();
    let lock = nix::fcntl::Flock::lock(own, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let error = flash().unwrap_err();
    assert!(error.message().starts_with("another imagebuild is writing "), "{error}");
    assert_eq!(lock.metadata().unwrap().len(), 5);
    drop(lock);
    // What an earlier run left, for all to read: emptied, and closed.
    std::fs::write(partial(&path), vec![USED; 64 << 20]).unwrap();
    flash().unwrap();
    assert!(std::fs::read(&path).unwrap() == bench.bytes);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_wrong_disk_is_not_touched() {
    let bench = Bench::new();
    let before = std::fs::read(bench.disk()).unwrap();
    let flash = |disk: PathBuf, confirm: Option<&str>| {
        let options = Options { confirm: confirm.map(str::to_owned), ..Options::default() };
        write(&bench.work, &Target::Device(disk), &options, &bench.path("store"))
    };
    for (confirm, why) in [
        (None, "everything on this disk would be lost"),
        (Some("disk2.raw"), "the disk is not `disk2.raw`"),
    ] {
        assert_eq!(flash(bench.disk(), confirm).unwrap_err().message(), why);
    }
    let missing = flash(bench.path("none"), Some("none")).unwrap_err();
    assert!(missing.message().starts_with("there is no "), "{missing}");
    let folder = flash(bench.folder.path().to_owned(), Some("x")).unwrap_err();
    assert!(folder.message().ends_with(" is neither a disk nor a file"), "{folder}");
    std::fs::write(bench.path("small"), "x").unwrap();
    let small = flash(bench.path("small"), Some("small")).unwrap_err();
    assert!(small.message().contains("has 1 bytes (1 B), the image needs "), "{small}");
    assert!(before == std::fs::read(bench.disk()).unwrap());
    assert!(!bench.path("store").exists());
}
