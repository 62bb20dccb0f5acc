//! The kernel modules of the initramfs: what is needed for a list of names, in the order
//! of loading, uncompressed, with the tables that busybox's modprobe reads.
//!
//! Reads the folder of one kernel release as depmod leaves it (modules.dep(5),
//! modules.softdep, modules.alias, modules.builtin). busybox ignores soft dependencies,
//! so they are resolved here.

mod tables;

use crate::error::{Error, Result};
use crate::fs;
use crate::names;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tables::Entry;

/// What a server's initramfs asks for, in order. Booted with Debian's 6.12 cloud kernel
/// on virtio-blk, virtio-scsi, NVMe, AHCI and VMware's SCSI as QEMU has it; Hyper-V's was
/// never met. There virtio_pci, nvme and ext4 are built in, as are the decoders that EROFS
/// needs for zstd and LZ4.
pub const INITRAMFS: &[&str] = &[
    // Disks. sd_mod serves both SCSI and SATA.
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "nvme",
    "ahci",
    "ata_piix",
    "vmw_pvscsi",
    "hv_vmbus",
    "hv_storvsc",
    "sd_mod",
    // Before dm_verity loads a table: a generic SHA-256 is built in, so the kernel finds
    // one, never asks for `crypto-sha256`, and stays with the slow one.
    "sha256_ssse3",
    "crc32c_intel",
    "dm_mod",
    "dm_verity",
    "erofs",
    "overlay",
    "ext4",
    // Not to reach anything from here: the cards are there, in the order of their slots,
    // before udev asks, and the network does not wait for udev to find a driver.
    "virtio_net",
];

/// Modules of `INITRAMFS` whose loading fails with ENODEV on a CPU without the
/// instructions; the generic code in the kernel serves then, and the boot must go on.
pub const MAY_FAIL: &[&str] = &["sha256_ssse3", "crc32c_intel"];

/// The modules of one kernel release.
#[derive(Debug)]
pub struct Modules {
    folder: PathBuf,
    entries: BTreeMap<String, Entry>,
    builtin: BTreeSet<String>,
    /// Pattern and module, in file order.
    aliases: Vec<(String, String)>,
    /// What a module wants loaded before it, if there is such a thing.
    soft: BTreeMap<String, Vec<String>>,
}

/// A module, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_`.
    pub name: String,
    /// Path below the release's folder, ending in `.ko`.
    pub path: String,
    /// The ELF file with its signature, if it has one.
    pub bytes: Vec<u8>,
}

/// What goes into the initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The modules, each after all that it needs: `insmod` in this order works.
    pub load_order: Vec<Module>,
    /// Wanted names that are part of the kernel.
    pub builtin: Vec<String>,
    /// modules.dep for exactly these modules.
    pub modules_dep: String,
    /// modules.alias for exactly these modules.
    pub modules_alias: String,
}

/// What a name stands for.
enum Found<'a> {
    Module(&'a str),
    Builtin,
    Unknown,
}

impl Modules {
    /// Reads the tables in `folder`, which is `usr/lib/modules/<release>` of a tree.
    ///
    /// # Errors
    /// When one is missing or has a line that cannot be read.
    pub fn read(folder: &Path) -> Result<Modules> {
        let table = |name: &str| {
            fs::read_to_string(&folder.join(name)).map_err(|e| {
                e.hint("the kernel package's folder needs the tables that depmod writes")
            })
        };
        Ok(Modules {
            folder: folder.to_owned(),
            entries: tables::dependencies(&table("modules.dep")?)?,
            builtin: table("modules.builtin")?.lines().map(tables::name_of).collect(),
            aliases: tables::aliases(&table("modules.alias")?),
            soft: tables::soft_dependencies(&table("modules.softdep")?),
        })
    }

    /// The modules that `wanted` (names with `-` or `_`, or aliases such as
    /// "crypto-sha256") need, and themselves, read and uncompressed.
    ///
    /// # Errors
    /// When a name is unknown, or a module cannot be read.
    pub fn select<S: AsRef<str>>(&self, wanted: &[S]) -> Result<Selection> {
        let mut order = Vec::new();
        let mut builtin = Vec::new();
        for name in wanted.iter().map(AsRef::as_ref) {
            match self.find(name) {
                Found::Module(module) => self.visit(module, &mut Vec::new(), &mut order)?,
                Found::Builtin => builtin.push(tables::canonical(name)),
                Found::Unknown => return Err(self.unknown(name)),
            }
        }
        Ok(Selection {
            modules_dep: self.dep_table(&order),
            modules_alias: self.alias_table(&order),
            load_order: order.iter().map(|name| self.load(name)).collect::<Result<_>>()?,
            builtin,
        })
    }

    /// As modprobe(8): a module's own name first, then the kernel's, then an alias.
    fn find(&self, name: &str) -> Found<'_> {
        let plain = tables::canonical(name);
        if let Some((module, _)) = self.entries.get_key_value(&plain) {
            return Found::Module(module);
        }
        if self.builtin.contains(&plain) {
            return Found::Builtin;
        }
        let alias = self.aliases.iter().find(|(alias, _)| tables::canonical(alias) == plain);
        alias.map_or(Found::Unknown, |(_, module)| Found::Module(module))
    }

    fn unknown(&self, name: &str) -> Error {
        let known = self.entries.keys().chain(&self.builtin).map(String::as_str);
        let nearest = names::nearest(name, known);
        let error = Error::input(format!("the kernel has no module `{name}`"))
            .detail(format!("looked in {}", self.folder.display()));
        match nearest.as_slice() {
            [] => error.hint("`modinfo` on a machine with this kernel lists its modules"),
            near => error.hint(format!("did you mean `{}`?", near.join("`, `"))),
        }
    }

    /// Appends `module` to `order`, after all that it needs and wants. `path` holds the
    /// modules above it: soft dependencies may go round in circles, and then do not count.
    fn visit(&self, module: &str, path: &mut Vec<String>, order: &mut Vec<String>) -> Result<()> {
        if order.iter().chain(path.iter()).any(|seen| seen == module) {
            return Ok(());
        }
        let entry = self.entries.get(module).ok_or_else(|| self.missing(module))?;
        path.push(module.to_owned());
        for wanted in self.soft.get(module).into_iter().flatten() {
            // modprobe, too, goes on without a soft dependency that is not there.
            if let Found::Module(found) = self.find(wanted) {
                self.visit(found, path, order)?;
            }
        }
        for need in entry.needs.iter().rev() {
            self.visit(need, path, order)?;
        }
        path.pop();
        order.push(module.to_owned());
        Ok(())
    }

    fn missing(&self, module: &str) -> Error {
        let table = self.folder.join("modules.dep");
        Error::build(format!("{} has no line for `{module}`, which is needed", table.display()))
    }

    fn load(&self, name: &str) -> Result<Module> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        let bytes = tables::uncompressed(&self.folder.join(&entry.path))?;
        Ok(Module { name: name.to_owned(), path: tables::plain_path(&entry.path), bytes })
    }

    fn dep_table(&self, order: &[String]) -> String {
        let path =
            |name: &String| self.entries.get(name).map(|entry| tables::plain_path(&entry.path));
        let mut lines: Vec<String> = order
            .iter()
            .filter_map(|name| {
                let needs = self.entries.get(name)?.needs.iter().filter_map(path);
                let needs: String = needs.map(|need| format!(" {need}")).collect();
                Some(format!("{}:{needs}\n", path(name)?))
            })
            .collect();
        lines.sort();
        lines.concat()
    }

    fn alias_table(&self, order: &[String]) -> String {
        let ours = self.aliases.iter().filter(|(_, module)| order.contains(module));
        ours.map(|(alias, module)| format!("alias {alias} {module}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put(
            "modules.dep",
            b"kernel/md/dm-verity.ko.xz: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko.zst\n\
              kernel/md/dm-bufio.ko: kernel/md/dm-mod.ko.zst\n\
              kernel/md/dm-mod.ko.zst:\n\
              kernel/lib/libcrc32c.ko:\n\
              kernel/crypto/crc32c-intel.ko:\n\
              kernel/fs/erofs.ko: kernel/lib/libcrc32c.ko\n",
        );
        put("modules.builtin", b"kernel/fs/ext4/ext4.ko\n");
        put(
            "modules.alias",
            b"# a comment\nalias crypto-crc32c crc32c_intel\nalias crc32c crc32c_intel\nalias fs-xfs xfs\nalias fs-erofs erofs\n",
        );
        put(
            "modules.softdep",
            b"softdep libcrc32c pre: crc32c nothere post: erofs\nsoftdep erofs post: dm-mod\n\
              softdep crc32c_intel pre: libcrc32c\n",
        );
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(&b"verity"[..], 1).read_to_end(&mut xz).unwrap();
        put("kernel/md/dm-verity.ko.xz", &xz);
        put("kernel/md/dm-mod.ko.zst", &zstd::encode_all(&b"mod"[..], 1).unwrap());
        for plain in ["md/dm-bufio", "lib/libcrc32c", "crypto/crc32c-intel", "fs/erofs"] {
            put(&format!("kernel/{plain}.ko"), plain.as_bytes());
        }
        folder
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.load_order.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn needs_come_first_and_bytes_are_plain() {
        let folder = folder();
        let modules = Modules::read(folder.path()).unwrap();
        let selection = modules.select(&["dm-verity", "ext4", "dm_mod"]).unwrap();
        assert_eq!(names(&selection), ["dm_mod", "dm_bufio", "dm_verity"]);
        assert_eq!(selection.load_order[0].bytes, b"mod");
        assert_eq!(selection.load_order[2].bytes, b"verity");
        assert_eq!(selection.builtin, ["ext4"]);
        assert_eq!(
            selection.modules_dep,
            "kernel/md/dm-bufio.ko: kernel/md/dm-mod.ko\n\
             kernel/md/dm-mod.ko:\n\
             kernel/md/dm-verity.ko: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko\n"
        );
    }

    #[test]
    fn soft_dependencies_through_aliases_and_in_circles() {
        let folder = folder();
        let modules = Modules::read(folder.path()).unwrap();
        let selection = modules.select(&["erofs"]).unwrap();
        assert_eq!(names(&selection), ["crc32c_intel", "libcrc32c", "erofs"]);
        assert_eq!(
            selection.modules_alias,
            "alias crypto-crc32c crc32c_intel\nalias crc32c crc32c_intel\nalias fs-erofs erofs\n"
        );
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let folder = folder();
        let modules = Modules::read(folder.path()).unwrap();
        let error = modules.select(&["dm_verty"]).unwrap_err().to_string();
        assert!(error.starts_with("error: the kernel has no module `dm_verty`\n"), "{error}");
        assert!(error.contains("hint: did you mean `dm_verity`"), "{error}");
    }
}
