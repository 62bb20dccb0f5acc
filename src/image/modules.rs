//! The kernel modules of the initramfs: what is needed for a list of names, in the order
//! of loading, uncompressed, with the tables that busybox's modprobe reads.
//!
//! Reads the folder of one kernel release as depmod leaves it (modules.dep(5),
//! modules.softdep, modules.alias, modules.builtin). busybox ignores soft dependencies,
//! so they are resolved here.

use crate::error::{Error, Result};
use crate::fs;
use crate::names;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a server's initramfs asks for, in order. Tried with Debian's 6.12 cloud kernel,
/// where virtio_pci, nvme and ext4 are built in, as are EROFS's zstd and LZ4 decoders.
pub const INITRAMFS: &[&str] = &[
    // Disks. sd_mod serves both SCSI and SATA.
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "nvme",
    "ahci",
    "sd_mod",
    // The generic SHA-256 is built in, and dm-verity takes what is registered when a
    // table is loaded: the kernel never asks for a faster one by itself.
    "sha256_ssse3",
    "crc32c_intel",
    "dm_mod",
    "dm_verity",
    "erofs",
    "overlay",
    "ext4",
];

/// One module, as modules.dep has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Path below the release's folder ("kernel/fs/erofs/erofs.ko.xz").
    path: String,
    /// Names of what must be loaded before, the last one first.
    needs: Vec<String>,
}

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
            entries: dependencies(&table("modules.dep")?)?,
            builtin: table("modules.builtin")?.lines().map(name_of).collect(),
            aliases: aliases(&table("modules.alias")?),
            soft: soft_dependencies(&table("modules.softdep")?),
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
                Found::Builtin => builtin.push(canonical(name)),
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
        let plain = canonical(name);
        if let Some((module, _)) = self.entries.get_key_value(&plain) {
            return Found::Module(module);
        }
        if self.builtin.contains(&plain) {
            return Found::Builtin;
        }
        let alias = self.aliases.iter().find(|(alias, _)| canonical(alias) == plain);
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
        for wish in self.soft.get(module).into_iter().flatten() {
            // modprobe, too, goes on without a soft dependency that is not there.
            if let Found::Module(found) = self.find(wish) {
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
        let bytes = uncompressed(&self.folder.join(&entry.path))?;
        Ok(Module { name: name.to_owned(), path: plain_path(&entry.path), bytes })
    }

    fn dep_table(&self, order: &[String]) -> String {
        let path = |name: &String| self.entries.get(name).map(|entry| plain_path(&entry.path));
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

/// "kernel/drivers/md/dm-verity.ko.xz" -> "dm_verity"
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    canonical(file.split(".ko").next().unwrap_or(file))
}

/// The kernel takes `-` and `_` for the same.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The path without the suffix of a compression.
fn plain_path(path: &str) -> String {
    path.rfind(".ko").map_or(path, |at| &path[..at + 3]).to_owned()
}

fn dependencies(table: &str) -> Result<BTreeMap<String, Entry>> {
    let line = |line: &str| {
        let (path, needs) = line
            .split_once(':')
            .ok_or_else(|| Error::build(format!("modules.dep has a strange line: `{line}`")))?;
        let needs = needs.split_whitespace().map(name_of).collect();
        Ok((name_of(path), Entry { path: path.to_owned(), needs }))
    };
    table.lines().filter(|text| !text.is_empty()).map(line).collect()
}

/// Lines "alias PATTERN MODULE", without comments.
fn aliases(table: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()?, words.next()?) {
            ("alias", pattern, module) => Some((pattern.to_owned(), canonical(module))),
            _ => None,
        }
    };
    table.lines().filter_map(line).collect()
}

/// Lines "softdep MODULE pre: A B post: C"; only what comes before matters here.
fn soft_dependencies(table: &str) -> BTreeMap<String, Vec<String>> {
    let mut soft: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in table.lines() {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(module)) = (words.next(), words.next()) else { continue };
        let mut before = false;
        for word in words {
            match word {
                "pre:" => before = true,
                "post:" => before = false,
                name if before => {
                    soft.entry(canonical(module)).or_default().push(name.to_owned());
                }
                _ => {}
            }
        }
    }
    soft
}

/// Reads a module by the suffix of its name: `.ko`, `.ko.xz`, `.ko.zst` or `.ko.gz`.
fn uncompressed(path: &Path) -> Result<Vec<u8>> {
    let packed = fs::read(path)?;
    let mut bytes = Vec::with_capacity(packed.len() * 4);
    let read = match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("xz") => {
            liblzma::read::XzDecoder::new_multi_decoder(&packed[..]).read_to_end(&mut bytes)
        }
        Some("zst") => zstd::stream::copy_decode(&packed[..], &mut bytes).map(|()| 0),
        Some("gz") => flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes),
        _ => return Ok(packed),
    };
    read.map_err(|e| Error::io("uncompress", path, &e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
