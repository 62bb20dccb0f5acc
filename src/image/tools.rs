//! The image's parts that programs of the tools closure make: file systems, GRUB.
//!
//! Each function writes named files into a folder and nothing else; all times,
//! ids and seeds that the programs would draw are given to them.

use crate::error::{Error, Result};
use crate::fs;
use crate::plan::guid::Guid;
use crate::sandbox::{Root, Sandbox};
use std::fmt::Write;
use std::path::Path;

/// The unpacked tools closure, and the time that all files get.
#[derive(Debug, Clone, Copy)]
pub struct Tools<'a> {
    /// The tree.
    pub tree: &'a Path,
    /// SOURCE_DATE_EPOCH.
    pub epoch: u64,
}

/// Where the results go, inside the sandbox.
const OUT: &str = "/out";

/// GRUB's modules for both firmwares: reads a FAT on GPT, its own environment
/// block, and starts Linux.
const GRUB_MODULES: [&str; 14] = [
    "part_gpt",
    "fat",
    "normal",
    "linux",
    "loadenv",
    "test",
    "echo",
    "probe",
    "serial",
    "terminal",
    "reboot",
    "sleep",
    "minicmd",
    "configfile",
];

/// How EROFS is compressed: LZ4 in clusters of 64 KiB, the ends of files packed together.
/// Of 322 MB, 201 MB are left after one second of one processor; zstd at level 3 leaves
/// 179 MB after seven (each of its clusters is tried several times), and takes longer to
/// read.
const COMPRESSION: [&str; 3] = ["-zlz4", "-C65536", "-Efragments"];

impl Tools<'_> {
    fn sandbox(&self, out: &Path) -> Sandbox {
        Sandbox::new(Root::ReadOnly(self.tree.to_owned()), self.epoch).bind_writable(out, OUT)
    }

    /// GRUB for BIOS (`boot.img`, `core.img`) and for UEFI (`BOOTX64.EFI`).
    ///
    /// # Errors
    /// When grub-mkimage fails.
    pub fn bootloader(&self, out: &Path) -> Result<()> {
        // The prefix: partition 2 of whichever disk the firmware booted.
        let bios = ["biosdisk"].iter().chain(&GRUB_MODULES);
        let bios = mkimage("i386-pc", "(,gpt2)/grub", "core.img").into_iter().chain(words(bios));
        let efi = mkimage("x86_64-efi", "/grub", "BOOTX64.EFI");
        let efi = efi.into_iter().chain(words(GRUB_MODULES.iter()));
        self.sandbox(out)
            .run(bios)
            .run(efi)
            .run(["cp", "/usr/lib/grub/i386-pc/boot.img", OUT])
            .execute()?;
        Ok(())
    }

    /// A layer: the tree at `source` as EROFS in `out/layer.erofs`.
    ///
    /// # Errors
    /// When mkfs.erofs fails.
    pub fn erofs_of_tree(&self, source: &Path, label: &str, out: &Path) -> Result<()> {
        let sandbox = self.sandbox(out).bind(source, "/source");
        sandbox.run(self.mkfs_erofs(label, &["/source"], &COMPRESSION)).execute()?;
        Ok(())
    }

    /// A layer from a tar file, uncompressed: for small ones.
    ///
    /// # Errors
    /// When mkfs.erofs fails.
    pub fn erofs_of_tar(&self, tar: &Path, label: &str, out: &Path) -> Result<()> {
        let sandbox = self.sandbox(out).bind(tar, "/source.tar");
        sandbox.run(self.mkfs_erofs(label, &["/source.tar"], &["--tar=f"])).execute()?;
        Ok(())
    }

    fn mkfs_erofs(&self, label: &str, source: &[&str], options: &[&str]) -> Vec<String> {
        // With SOURCE_DATE_EPOCH set it would forget --all-time and keep older times: of
        // folders, those depend on the order in which packages were unpacked.
        let program = ["env", "-u", "SOURCE_DATE_EPOCH", "mkfs.erofs", "--quiet", "--all-time"];
        let mut argv = words(program.iter());
        argv.push(format!("-T{}", self.epoch));
        argv.extend(["-U".to_owned(), Guid::of_name(label).to_string()]);
        argv.extend(words(options.iter()));
        argv.push(format!("{OUT}/layer.erofs"));
        argv.extend(words(source.iter()));
        argv
    }

    /// The empty file system for /var, `size` bytes, in `out/state.ext4`.
    ///
    /// # Errors
    /// When mke2fs fails.
    pub fn state(&self, image: &str, size: u64, out: &Path) -> Result<()> {
        let uuid = Guid::of_name(&format!("{image}/state file system"));
        // One -E only: the last one counts. Inode tables are written now, as zeros,
        // which take no space and spare the first boot the work.
        let extended = format!("hash_seed={uuid},root_owner=0:0,lazy_itable_init=0");
        self.sandbox(out)
            .run([
                "mke2fs",
                "-q",
                "-F",
                "-t",
                "ext4",
                "-L",
                "state",
                "-U",
                &uuid.to_string(),
                "-E",
                &extended,
                &format!("{OUT}/state.ext4"),
                &format!("{}k", size / 1024),
            ])
            .execute()?;
        Ok(())
    }

    /// The EFI system partition, `size` bytes, in `out/esp.fat`, with these files.
    ///
    /// # Errors
    /// When it cannot be made; when the files do not fit, mcopy says so.
    pub fn esp(&self, image: &str, size: u64, files: &[EspFile<'_>], out: &Path) -> Result<()> {
        let id = fs::Sha256Digest::of(format!("{image}/esp")).to_string()[..8].to_owned();
        let fat = format!("{OUT}/esp.fat");
        let blocks = (size / 1024).to_string();
        // -i after --invariant, which would set it to a constant.
        let mut sandbox = self.sandbox(out).run([
            "mkfs.fat",
            "--invariant",
            "-i",
            &id,
            "-F",
            "32",
            "-n",
            "ESP",
            "-C",
            &fat,
            &blocks,
        ]);
        let mut script = format!(
            "export MTOOLS_SKIP_CHECK=1\nmmd -i {fat} ::/EFI ::/EFI/BOOT ::/grub ::/a ::/b\n"
        );
        for (number, file) in files.iter().enumerate() {
            let inside = format!("/in/{number}");
            sandbox = sandbox.bind(file.source, &inside);
            // Writing to a String cannot fail.
            let _infallible = writeln!(script, "mcopy -i {fat} {inside} ::/{}", file.path);
        }
        sandbox.run(["sh", "-e", "-c", &script]).execute()?;
        Ok(())
    }
}

/// A file of the ESP.
#[derive(Debug, Clone, Copy)]
pub struct EspFile<'a> {
    /// From the partition's root, without a leading slash.
    pub path: &'a str,
    /// The file to copy.
    pub source: &'a Path,
}

fn mkimage(platform: &str, prefix: &str, name: &str) -> Vec<String> {
    let (folder, out) = (format!("/usr/lib/grub/{platform}"), format!("{OUT}/{name}"));
    words(["grub-mkimage", "-O", platform, "-d", &folder, "-p", prefix, "-o", &out].iter())
}

fn words<'a>(words: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    words.map(|word| (*word).to_owned()).collect()
}

/// The programs of the initramfs that are not busybox', with the shared objects
/// that each needs, as the closure's own dynamic loader finds them.
///
/// # Errors
/// When the loader fails.
pub fn shared_objects(tools: Tools<'_>, programs: &[&str]) -> Result<Vec<String>> {
    let mut sandbox = Sandbox::new(Root::ReadOnly(tools.tree.to_owned()), tools.epoch);
    for program in programs {
        sandbox = sandbox.run(["/lib64/ld-linux-x86-64.so.2", "--list", program]);
    }
    let mut found: Vec<String> = sandbox
        .execute()?
        .iter()
        .flat_map(|outcome| outcome.output.lines())
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(Error::build("the dynamic loader of the tools closure lists nothing"));
    }
    Ok(found)
}
