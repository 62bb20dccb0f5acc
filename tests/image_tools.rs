//! The image's formats against the tools that define them: qemu-img, sgdisk, sfdisk,
//! veritysetup, cpio, bsdtar, grub-mkimage. A tool that this machine lacks is skipped, by
//! name; the unit tests check the same formats by the specifications.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, as tests do")]

use imagebuild::exec::Program;
use imagebuild::fs::{Sha256Digest, digest_file};
use imagebuild::image::cpio::Archive;
use imagebuild::image::disk::{Content, Contents, Disk};
use imagebuild::image::grub::{self, BootCode};
use imagebuild::image::{qcow2, raw, raw_zst, verity, vhdx, vmdk};
use imagebuild::plan::guid::Guid;
use imagebuild::plan::layout::{Growth, Label, Layout, MIB, Sizes};
use proptest::prelude::*;
use std::path::Path;

fn tool(name: &str) -> Option<Program> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let found = folders.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: this machine has no {name}");
    }
    Some(Program::new(found?))
}

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

/// Both formats of `disk` in `folder`, judged by qemu-img.
fn check_with_qemu_img(disk: &Disk, folder: &Path) {
    let Some(qemu_img) = tool("qemu-img") else { return };
    let (flat, image) = (folder.join("image.raw"), folder.join("image.qcow2"));
    raw::write(disk, &flat).unwrap();
    qcow2::write(disk, &image).unwrap();
    let check = qemu_img.clone().args(["check", "-f", "qcow2"]).arg(&image).run().unwrap();
    assert!(String::from_utf8(check).unwrap().starts_with("No errors were found"));
    let formats = ["compare", "-f", "raw", "-F", "qcow2"];
    qemu_img.clone().args(formats).arg(&flat).arg(&image).run().unwrap();
    let info = qemu_img.args(["info", "--output=json"]).arg(&image).run().unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info["virtual-size"], disk.size());
    assert_eq!(info["dirty-flag"], false);
    assert_eq!(info["format-specific"]["data"]["lazy-refcounts"], false);
    assert_eq!(info["format-specific"]["data"]["compat"], "1.1");
}

/// All formats.
fn check_with_tools(disk: &Disk, folder: &Path) {
    check_with_qemu_img(disk, folder);
    other_formats_with_qemu_img(disk, folder);
    with_zstd(disk, folder);
}

/// VMDK and VHDX: what qemu-img thinks of the file, and the bytes that it reads from it.
fn other_formats_with_qemu_img(disk: &Disk, folder: &Path) {
    let Some(qemu_img) = tool("qemu-img") else { return };
    let (identity, flat) = (Sha256Digest::of("identity"), folder.join("image.raw"));
    let digest = disk.flat_digest().unwrap();
    for format in ["vmdk", "vhdx"] {
        let (image, back) = (folder.join("image"), folder.join("back"));
        match format {
            "vmdk" => vmdk::write(disk, identity, &image).unwrap(),
            _ => vhdx::write(disk, identity, &image).unwrap(),
        };
        let check = qemu_img.clone().args(["check", "-f", format]).arg(&image).run().unwrap();
        assert!(String::from_utf8(check).unwrap().starts_with("No errors were found"), "{format}");
        let formats = ["compare", "-f", "raw", "-F", format];
        qemu_img.clone().args(formats).arg(&flat).arg(&image).run().unwrap();
        let info = qemu_img.clone().args(["info", "-f", format, "--output=json"]).arg(&image);
        let info: serde_json::Value = serde_json::from_slice(&info.run().unwrap()).unwrap();
        assert_eq!(info["virtual-size"], disk.size(), "{format}");
        let convert = ["convert", "-f", format, "-O", "raw"];
        qemu_img.clone().args(convert).arg(&image).arg(&back).run().unwrap();
        assert_eq!(digest_file(&back).unwrap(), digest, "{format}");
    }
}

/// The compressed raw image: zstd's own judgement, and what it decompresses to.
fn with_zstd(disk: &Disk, folder: &Path) {
    let Some(zstd) = tool("zstd") else { return };
    let (image, back) = (folder.join("image.raw.zst"), folder.join("image.back"));
    raw_zst::write(disk, &image).unwrap();
    zstd.clone().args(["-q", "-t"]).arg(&image).run().unwrap();
    zstd.args(["-q", "-d", "-f", "-o"]).arg(&back).arg(&image).run().unwrap();
    assert_eq!(digest_file(&back).unwrap(), disk.flat_digest().unwrap());
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
        check_with_qemu_img(&disk, folder.path());
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
    check_with_qemu_img(&disk, folder.path());
    // Small enough to be converted back; data at both ends, and what compresses.
    let mut disk = Disk::new((300 << 20) + 1536);
    disk.place(0, Content::bytes(noise(100_000, 3))).unwrap();
    disk.place(70 << 20, Content::bytes(b"text ".repeat(1_000_000))).unwrap();
    disk.place((300 << 20) + 1024, Content::bytes(noise(512, 4))).unwrap();
    check_with_tools(&disk, folder.path());
}

#[test]
fn partition_tools_agree_on_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new("arch4-web1", &sizes()).unwrap();
    let contents = Contents::from([(Label::Esp, Content::bytes(noise(3_000_000, 3)))]);
    let disk = Disk::assemble(&layout, &boot_code(&layout), &contents).unwrap();
    let path = folder.path().join("image.raw");
    raw::write(&disk, &path).unwrap();
    if let Some(sgdisk) = tool("sgdisk") {
        let said = String::from_utf8(sgdisk.arg("-v").arg(&path).run().unwrap()).unwrap();
        assert!(said.contains("No problems found."), "{said}");
    }
    if let Some(sfdisk) = tool("sfdisk") {
        let said = sfdisk.clone().arg("--verify").arg(&path).run().unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("No errors detected."), "{said}");
        check_with_sfdisk(&layout, &sfdisk.arg("--json").arg(&path).run().unwrap());
    }
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
    let Some(veritysetup) = tool("veritysetup") else { return };
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
        let said = veritysetup_format(&veritysetup, &theirs, &params, &sealed);
        assert!(said.contains(&sealed.root_hash.to_string()), "{length}: {said}");
        assert!(std::fs::read(&ours).unwrap() == std::fs::read(&theirs).unwrap(), "{length}");
        let offset = format!("--hash-offset={}", sealed.hash_offset);
        let verify = veritysetup.clone().args(["verify", &offset]).arg(&ours).arg(&ours);
        verify.arg(sealed.root_hash.to_string()).run().unwrap();
    }
}

fn veritysetup_format(
    veritysetup: &Program,
    file: &Path,
    params: &verity::Params,
    sealed: &verity::Verity,
) -> String {
    let salt: String = params.salt.iter().map(|byte| format!("{byte:02x}")).collect();
    let salt = if salt.is_empty() { "-".to_owned() } else { salt };
    let format = veritysetup.clone().args([
        "format".to_owned(),
        "--hash=sha256".to_owned(),
        "--data-block-size=4096".to_owned(),
        "--hash-block-size=4096".to_owned(),
        format!("--data-blocks={}", sealed.data_blocks),
        format!("--salt={salt}"),
        format!("--uuid={}", params.uuid),
        format!("--hash-offset={}", sealed.hash_offset),
    ]);
    String::from_utf8(format.arg(file).arg(file).run().unwrap()).unwrap()
}

#[test]
fn cpio_and_bsdtar_list_the_archive() {
    let mut archive = Archive::new(1_700_000_000);
    archive.file("usr/bin/busybox", 0o755, noise(10_001, 7)).unwrap();
    archive.symlink("init", "usr/bin/busybox").unwrap();
    archive.char_device("dev/console", 0o600, 5, 1).unwrap();
    let paths = "dev\ndev/console\ninit\nusr\nusr/bin\nusr/bin/busybox\n";
    if let Some(cpio) = tool("cpio") {
        let listed = cpio.args(["-t", "--quiet"]).stdin(archive.to_bytes()).run().unwrap();
        assert_eq!(String::from_utf8(listed).unwrap(), paths);
    }
    if let Some(bsdtar) = tool("bsdtar") {
        let packed = archive.to_zstd(3).unwrap();
        let listed = bsdtar.args(["-t", "-f", "-"]).stdin(packed).run().unwrap();
        assert_eq!(String::from_utf8(listed).unwrap(), paths);
    }
}

#[test]
fn grubs_own_images_can_be_embedded() {
    let modules = Path::new("/usr/lib/grub/i386-pc");
    let Some(mkimage) = tool("grub-mkimage").filter(|_| modules.exists()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let core = folder.path().join("core.img");
    let mkimage = mkimage.args(["-O", "i386-pc", "-p", "(hd0,gpt2)/grub", "-o"]).arg(&core);
    mkimage.args(["biosdisk", "part_gpt", "fat", "normal", "linux"]).run().unwrap();
    let (boot, core) = (std::fs::read(modules.join("boot.img")), std::fs::read(core));
    let layout = Layout::new("arch4-web1", &sizes()).unwrap();
    let code = grub::embed(&boot.unwrap(), &core.unwrap(), layout.partition(Label::Bios)).unwrap();
    assert_eq!(code.mbr[0x64..0x68], [0xff, 0xfa, 0x90, 0x90]);
}
