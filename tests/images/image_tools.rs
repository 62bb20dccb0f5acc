//! The image's formats against the programs that define them, from the lock's own sets:
//! qemu-img, zstd, sgdisk, sfdisk, veritysetup, cpio, bsdtar, fsck.fat, e2fsck, fsck.erofs
//! and grub-mkimage. Each also meets a file with a planted defect, which it must refuse;
//! the unit tests check the same formats by the specifications.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use crate::project;
use crate::tools::{Tools, flip};
use imagebuild::fs::{Sha256Digest, digest_file};
use imagebuild::image::cpio::Archive;
use imagebuild::image::disk::{Content, Contents, Disk};
use imagebuild::image::grub::{self, BootCode};
use imagebuild::image::tools::{EspFile, Tools as Maker};
use imagebuild::image::{qcow2, raw, raw_zst, verity, vhdx, vmdk};
use imagebuild::plan::guid::Guid;
use imagebuild::plan::layout::{Growth, Label, Layout, MIB, Sizes};
use proptest::prelude::*;
use std::path::Path;

/// The time of all files here.
const EPOCH: u64 = 1_700_000_000;

fn sizes() -> Sizes {
    Sizes {
        esp: 256 * MIB,
        packages: 1024 * MIB,
        config: 256 * MIB,
        seed: MIB,
        state: 512 * MIB,
        state_growth: Growth::ToEndOfDisk,
        disk: 0,
    }
}

fn boot_code(layout: &Layout) -> BootCode {
    let mut boot = vec![0x90; 512];
    boot[0x66] = 0xeb;
    boot[510..].copy_from_slice(&[0x55, 0xaa]);
    grub::embed(&boot, &[0x11; 30_000], layout.partition(Label::Bios)).unwrap()
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

/// The images of `disk` in `folder` that qemu-img reads: the raw one, and this one.
fn check_with_qemu_img(disk: &Disk, folder: &Path, format: &str) {
    raw::write(disk, &folder.join("image.raw")).unwrap();
    let image = folder.join("image");
    write(disk, format, &image);
    let qemu_img = |line: &str| {
        let argv: Vec<&str> = std::iter::once("qemu-img").chain(line.split(' ')).collect();
        Tools::vm().run(folder, &argv)
    };
    let said = qemu_img(&format!("check -f {format} {{}}/image"));
    assert!(said.starts_with("No errors were found"), "{format}: {said}");
    qemu_img(&format!("compare -f raw -F {format} {{}}/image.raw {{}}/image"));
    let info = qemu_img(&format!("info -f {format} --output=json {{}}/image"));
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["virtual-size"], disk.size(), "{format}");
    if format == "qcow2" {
        assert_eq!(info["dirty-flag"], false);
        assert_eq!(info["format-specific"]["data"]["lazy-refcounts"], false);
        assert_eq!(info["format-specific"]["data"]["compat"], "1.1");
    }
}

fn write(disk: &Disk, format: &str, image: &Path) {
    let identity = Sha256Digest::of("identity");
    match format {
        "qcow2" => qcow2::write(disk, image),
        "vmdk" => vmdk::write(disk, identity, image),
        "vhdx" => vhdx::write(disk, identity, image),
        other => panic!("qemu-img is not asked about {other}"),
    }
    .unwrap();
}

/// All formats, and the bytes that are read back from them.
fn check_with_tools(disk: &Disk, folder: &Path) {
    check_with_qemu_img(disk, folder, "qcow2");
    let digest = disk.flat_digest().unwrap();
    for format in ["vmdk", "vhdx"] {
        check_with_qemu_img(disk, folder, format);
        let convert = ["qemu-img", "convert", "-f", format, "-O", "raw", "{}/image", "{}/back"];
        Tools::vm().run(folder, &convert);
        assert_eq!(digest_file(&folder.join("back")).unwrap(), digest, "{format}");
    }
    with_zstd(disk, folder);
}

/// The compressed raw image: zstd's own judgement, and what it decompresses to.
fn with_zstd(disk: &Disk, folder: &Path) {
    raw_zst::write(disk, &folder.join("image.raw.zst")).unwrap();
    Tools::test().run(folder, &["zstd", "-q", "-t", "{}/image.raw.zst"]);
    let unpack = ["zstd", "-q", "-d", "-f", "-o", "{}/image.back", "{}/image.raw.zst"];
    Tools::test().run(folder, &unpack);
    let back = digest_file(&folder.join("image.back")).unwrap();
    assert_eq!(back, disk.flat_digest().unwrap());
}

/// Disks with a few islands of data, some of them zeros, each up to `gap` bytes after the
/// one before it.
fn wide_disk(gap: u64) -> impl Strategy<Value = Disk> {
    let island = (0_u64..gap, 1_usize..400_000, any::<u64>());
    proptest::collection::vec(island, 0..6).prop_map(|islands| {
        let contents = islands.into_iter().map(|(gap, length, seed)| {
            (gap, if seed % 5 == 0 { vec![0; length] } else { noise(length, seed) })
        });
        let mut places = Vec::new();
        let mut end = 0;
        for (gap, bytes) in contents {
            places.push((end + gap, bytes));
            end = places[places.len() - 1].0 + places[places.len() - 1].1.len() as u64;
        }
        let mut disk = Disk::new((end + 512).next_multiple_of(512));
        for (offset, bytes) in places {
            disk.place(offset, Content::bytes(bytes)).unwrap();
        }
        disk
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn qemu_img_agrees_on_disks_with_random_holes(disk in wide_disk(8 << 30)) {
        let folder = tempfile::tempdir().unwrap();
        check_with_qemu_img(&disk, folder.path(), "qcow2");
    }

    // Smaller ones: where qemu-img knows of no holes, it reads every byte.
    #[test]
    fn tools_agree_on_all_formats(disk in wide_disk(60 << 20)) {
        let folder = tempfile::tempdir().unwrap();
        check_with_tools(&disk, folder.path());
    }
}

#[test]
fn qemu_img_agrees_on_edges() {
    let folder = tempfile::tempdir().unwrap();
    check_with_tools(&Disk::new(512), folder.path());
    // Data in the last sector of a disk of more than 4 GiB that ends inside a cluster, and
    // across the border of two L2 tables.
    let mut disk = Disk::new((5 << 30) + 512);
    disk.place((512 << 20) - 100, Content::bytes(noise(200, 1))).unwrap();
    disk.place(5 << 30, Content::bytes(noise(512, 2))).unwrap();
    check_with_qemu_img(&disk, folder.path(), "qcow2");
    // Small enough to be converted back; data at both ends, and what compresses.
    let mut disk = Disk::new((300 << 20) + 1536);
    disk.place(0, Content::bytes(noise(100_000, 3))).unwrap();
    disk.place(70 << 20, Content::bytes(b"text ".repeat(1_000_000))).unwrap();
    disk.place((300 << 20) + 1024, Content::bytes(noise(512, 4))).unwrap();
    check_with_tools(&disk, folder.path());
}

/// A disk of some formats' worth: data at its start, in its middle and at its end.
fn small_disk() -> Disk {
    let mut disk = Disk::new(64 << 20);
    for (offset, seed) in [(0, 11), (20 << 20, 12), ((64 << 20) - 70_000, 13)] {
        disk.place(offset, Content::bytes(noise(70_000, seed))).unwrap();
    }
    disk
}

/// Where a defect is planted: in what describes the data, and in the data.
#[test]
fn qemu_img_and_zstd_see_a_flipped_byte() {
    let (scratch, disk) = (tempfile::tempdir().unwrap(), small_disk());
    let folder = scratch.path();
    raw::write(&disk, &folder.join("image.raw")).unwrap();
    let check = |format| ["qemu-img", "check", "-f", format, "{}/image"];
    let compare =
        |format| ["qemu-img", "compare", "-f", "raw", "-F", format, "{}/image.raw", "{}/image"];
    // The magic, which all have at their start.
    for format in ["qcow2", "vmdk", "vhdx"] {
        write(&disk, format, &folder.join("image"));
        Tools::vm().run(folder, &check(format));
        flip(&folder.join("image"), 0);
        Tools::vm().refuses(folder, &check(format));
        write(&disk, format, &folder.join("image"));
        Tools::vm().run(folder, &compare(format));
        flip(&folder.join("image"), last_data(&folder.join("image")));
        Tools::vm().refuses(folder, &compare(format));
    }
    // A reference count of qcow2: the table's first entry leads to the block of them.
    write(&disk, "qcow2", &folder.join("image"));
    let bytes = std::fs::read(folder.join("image")).unwrap();
    let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let block = number(usize::try_from(number(48)).unwrap());
    flip(&folder.join("image"), block + 1);
    let said = Tools::vm().refuses(folder, &check("qcow2"));
    assert!(said.contains("refcount"), "{said}");

    raw_zst::write(&disk, &folder.join("image.raw.zst")).unwrap();
    flip(&folder.join("image.raw.zst"), last_data(&folder.join("image.raw.zst")));
    Tools::test().refuses(folder, &["zstd", "-q", "-t", "{}/image.raw.zst"]);
}

/// A place within the longest run of bytes that are not zero: noise, compressed or not.
fn last_data(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    let noisy = |window: &[u8]| window.iter().filter(|byte| **byte != 0).count() > 240;
    let at = bytes.chunks(256).rposition(noisy).unwrap();
    (at * 256 + 100) as u64
}

#[test]
fn partition_tools_agree_on_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new("arch4-web1", &sizes()).unwrap();
    let contents = Contents::from([(Label::Esp, Content::bytes(noise(3_000_000, 3)))]);
    let disk = Disk::assemble(&layout, &boot_code(&layout), &contents).unwrap();
    let image = folder.path().join("image.raw");
    raw::write(&disk, &image).unwrap();
    let ask = |argv: &[&str]| Tools::test().ask(folder.path(), argv).output;
    let sgdisk = || ask(&["sgdisk", "-v", "{}/image.raw"]);
    let sfdisk = || ask(&["sfdisk", "--verify", "{}/image.raw"]);
    // Both go on with the other copy of a damaged table; they end as if all were well.
    let sgdisk_likes = || sgdisk().contains("No problems found.") && !sgdisk().contains("corrupt");
    let sfdisk_likes = || sfdisk().contains("No errors detected.") && !sfdisk().contains("corrupt");
    assert!(sgdisk_likes() && sfdisk_likes(), "{}\n{}", sgdisk(), sfdisk());
    check_with_sfdisk(&layout, ask(&["sfdisk", "--json", "{}/image.raw"]).as_bytes());

    // The disk's GUID in the first header, the first entry's name, the second header.
    let second = std::fs::metadata(&image).unwrap().len() - 512;
    for place in [512 + 56, 1024 + 56, second + 16] {
        flip(&image, place);
        assert!(!sgdisk_likes(), "byte {place}: {}", sgdisk());
        assert!(!sfdisk_likes(), "byte {place}: {}", sfdisk());
        flip(&image, place);
    }
    assert!(sgdisk_likes() && sfdisk_likes(), "{}\n{}", sgdisk(), sfdisk());
}

fn check_with_sfdisk(layout: &Layout, json: &[u8]) {
    let table: serde_json::Value = serde_json::from_slice(json).unwrap();
    let table = &table["partitiontable"];
    let upper = |guid: Guid| guid.to_string().to_uppercase();
    assert_eq!(table["id"], upper(layout.disk_guid));
    for (part, seen) in layout.partitions.iter().zip(table["partitions"].as_array().unwrap()) {
        assert_eq!(seen["name"], part.label.as_str());
        assert_eq!(seen["start"], part.first_lba());
        assert_eq!(seen["size"], part.size / 512);
        assert_eq!(seen["uuid"], upper(part.guid));
        assert_eq!(seen["type"], upper(part.type_guid));
    }
}

#[test]
fn veritysetup_appends_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let block = verity::BLOCK;
    let lengths = [1, block, block + 1, 128 * block, 128 * block + 1, 16_385 * block];
    for (length, salt_size) in lengths.into_iter().zip([32, 32, 0, 256, 1, 32]) {
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let bytes = noise(length, 5);
        std::fs::write(&ours, &bytes).unwrap();
        let mut padded = bytes;
        padded.resize(length.next_multiple_of(block), 0);
        std::fs::write(&theirs, padded).unwrap();

        let params = verity::Params { salt: noise(salt_size, 6), uuid: Guid::of_name("verity") };
        let sealed = verity::append(&ours, &params).unwrap();
        let said = veritysetup_format(folder.path(), &params, &sealed);
        assert!(said.contains(&sealed.root_hash.to_string()), "{length}: {said}");
        assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap(), "{length}");
        let offset = format!("--hash-offset={}", sealed.hash_offset);
        let root_hash = sealed.root_hash.to_string();
        let verify = ["veritysetup", "verify", &offset, "{}/ours", "{}/ours", &root_hash];
        Tools::test().run(folder.path(), &verify);
        // The last byte of the data, the first one of the superblock, and of the last hashes.
        let hashes = std::fs::metadata(&ours).unwrap().len() - block as u64;
        for place in [length as u64 - 1, sealed.hash_offset, hashes] {
            flip(&ours, place);
            Tools::test().refuses(folder.path(), &verify);
            flip(&ours, place);
        }
    }
}

fn veritysetup_format(folder: &Path, params: &verity::Params, sealed: &verity::Verity) -> String {
    let salt = hex::encode(&params.salt);
    let salt = if salt.is_empty() { "-".to_owned() } else { salt };
    let format = [
        "veritysetup".to_owned(),
        "format".to_owned(),
        "--hash=sha256".to_owned(),
        "--data-block-size=4096".to_owned(),
        "--hash-block-size=4096".to_owned(),
        format!("--data-blocks={}", sealed.data_blocks),
        format!("--salt={salt}"),
        format!("--uuid={}", params.uuid),
        format!("--hash-offset={}", sealed.hash_offset),
        "{}/theirs".to_owned(),
        "{}/theirs".to_owned(),
    ];
    let format: Vec<&str> = format.iter().map(String::as_str).collect();
    Tools::test().run(folder, &format)
}

#[test]
fn cpio_and_bsdtar_list_the_archive() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let mut archive = Archive::new(1_700_000_000);
    archive.file("usr/bin/busybox", 0o755, noise(10_001, 7)).unwrap();
    archive.symlink("init", "usr/bin/busybox").unwrap();
    archive.char_device("dev/console", 0o600, 5, 1).unwrap();
    let paths = "dev\ndev/console\ninit\nusr\nusr/bin\nusr/bin/busybox\n";
    std::fs::write(folder.join("plain"), archive.to_bytes()).unwrap();
    std::fs::write(folder.join("packed"), archive.to_zstd(3).unwrap()).unwrap();
    let cpio = ["cpio", "-t", "--quiet", "-F", "{}/plain"];
    let bsdtar = |name| ["bsdtar", "-t", "-f", name];
    assert_eq!(Tools::test().run(folder, &cpio), paths);
    for name in ["{}/plain", "{}/packed"] {
        assert_eq!(Tools::test().run(folder, &bsdtar(name)), paths);
    }
    // The magic of the second entry, which cpio reports and passes over.
    let bytes = std::fs::read(folder.join("plain")).unwrap();
    let entry = bytes.windows(6).skip(1).position(|window| window == b"070701").unwrap() + 1;
    flip(&folder.join("plain"), entry as u64);
    assert_ne!(Tools::test().ask(folder, &cpio).output, paths);
    assert_ne!(Tools::test().ask(folder, &bsdtar("{}/plain")).output, paths);
    // Of the packed one only the frame: the kernel's initramfs has no checksum of its content.
    flip(&folder.join("packed"), 0);
    Tools::test().refuses(folder, &["zstd", "-q", "-t", "{}/packed"]);
    Tools::test().refuses(folder, &bsdtar("{}/packed"));
}

#[test]
fn fsck_agrees_on_the_file_systems() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    std::fs::write(folder.join("kernel"), noise(3_000_000, 8)).unwrap();
    let maker = Maker { tree: Tools::build().tree(), epoch: EPOCH };
    let source = &folder.join("kernel");
    let files = ["EFI/BOOT/BOOTX64.EFI", "a/vmlinuz", "b/a-longer.name"];
    let files = files.map(|path| EspFile { path, source });
    maker.esp("arch4-web1", 64 * MIB, &files, folder).unwrap();
    maker.state("arch4-web1", 64 * MIB, folder).unwrap();
    std::fs::create_dir(folder.join("tree")).unwrap();
    std::fs::copy(source, folder.join("tree/kernel")).unwrap();
    maker.erofs_of_tree(&folder.join("tree"), "packages", folder).unwrap();

    // A FAT's first entry; the superblock's count of inodes; the superblock's checksum.
    let fat = |file: &Path| u64::from(le16(file, 14)) * 512;
    let fsck_fat = ["fsck.fat", "-n", "-V", "{}/esp.fat"];
    sees_a_flipped_byte(Tools::test(), folder, "esp.fat", fat, &fsck_fat);
    let e2fsck = ["e2fsck", "-f", "-n", "{}/state.ext4"];
    sees_a_flipped_byte(Tools::test(), folder, "state.ext4", |_| 1024, &e2fsck);
    let fsck_erofs = ["fsck.erofs", "{}/layer.erofs"];
    sees_a_flipped_byte(Tools::build(), folder, "layer.erofs", |_| 1024 + 4, &fsck_erofs);
}

/// A number at this place of a file.
fn le16(file: &Path, place: usize) -> u16 {
    let bytes = std::fs::read(file).unwrap();
    u16::from_le_bytes([bytes[place], bytes[place + 1]])
}

/// The validator accepts the file, and not any more with another byte at that place.
#[track_caller]
fn sees_a_flipped_byte(
    tools: &Tools,
    folder: &Path,
    name: &str,
    place: impl Fn(&Path) -> u64,
    validator: &[&str],
) {
    let path = folder.join(name);
    // fsck.erofs reports errors and ends as if there were none.
    let accepts = || {
        let said = tools.ask(folder, validator);
        (said.code == 0 && !said.output.contains("<E>"), said.output)
    };
    let (accepted, said) = accepts();
    assert!(accepted, "{said}");
    flip(&path, place(&path));
    let (accepted, said) = accepts();
    assert!(!accepted, "{validator:?} sees no defect:\n{said}");
}

/// What grub-bios-setup would have written: the places that GRUB's own two files name.
/// That they are right shows when the image boots (tests/boot.rs).
#[test]
fn grubs_own_images_can_be_embedded() {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker { tree: Tools::build().tree(), epoch: EPOCH };
    maker.bootloader(folder.path()).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let (mut boot, core) = (read("boot.img"), read("core.img"));
    let layout = Layout::new("arch4-web1", &sizes()).unwrap();
    let bios = layout.partition(Label::Bios);
    let code = grub::embed(&boot, &core, bios).unwrap();
    assert_eq!(code.mbr[0x5c..0x64], bios.first_lba().to_le_bytes());
    assert_eq!(code.mbr[0x64..0x68], [0xff, 0xfa, 0x90, 0x90]);
    let list = &code.core[0x1f4..0x200];
    assert_eq!(list[..8], (bios.first_lba() + 1).to_le_bytes());
    assert_eq!(usize::from(u16::from_le_bytes([list[8], list[9]])), core.len().div_ceil(512) - 1);
    assert_eq!(code.core[0x200..core.len()], core[0x200..]);
    // diskboot.img itself ends with such a list, of one entry.
    assert_eq!(core[0x1fe..0x200], list[10..]);
    for place in [0x66, 510] {
        boot[place] = !boot[place];
        assert!(grub::embed(&boot, &core, bios).is_err(), "byte {place}");
        boot[place] = !boot[place];
    }
}

/// The menu that this repository writes, as GRUB's own parser reads it.
#[test]
fn grub_parses_the_menu() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(project::folder().join("overlays/grub/grub.cfg")).unwrap();
    let check = ["grub-script-check", "{}/grub.cfg"];
    std::fs::write(folder.path().join("grub.cfg"), &text).unwrap();
    Tools::build().run(folder.path(), &check);
    std::fs::write(folder.path().join("grub.cfg"), text.replacen("fi\n", "\n", 1)).unwrap();
    Tools::build().refuses(folder.path(), &check);
}
