//! The files next to each other in the folder for images: the disk in the form asked
//! for, its manifest, its bill of materials. Each appears whole or not at all, and
//! what is there already is not written again.

use super::{Build, Inputs, disk};
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::image::disk::Disk;
use crate::image::manifest::Manifest;
use crate::image::{qcow2, raw, raw_zst, vhdx, vmdk};
use crate::progress;
use crate::store::Object;
use serde::{Deserialize, Serialize};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The form of the file that carries the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// QEMU's format, without its empty parts.
    Qcow2,
    /// The bytes of the disk, in a sparse file.
    Raw,
    /// The bytes of the disk, compressed with zstd.
    #[value(name = "raw.zst")]
    #[serde(rename = "raw.zst")]
    RawZst,
    /// VMware's format, stream-optimized: what importers take.
    Vmdk,
    /// The format of Hyper-V.
    Vhdx,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] =
        [Format::Qcow2, Format::Raw, Format::RawZst, Format::Vmdk, Format::Vhdx];

    /// The end of the file's name, behind a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Qcow2 => "qcow2",
            Format::Raw => "raw",
            Format::RawZst => "raw.zst",
            Format::Vmdk => "vmdk",
            Format::Vhdx => "vhdx",
        }
    }

    fn write(self, disk: &Disk, identity: Sha256Digest, file: &Path) -> Result<Metadata> {
        match self {
            Format::Qcow2 => qcow2::write(disk, file),
            Format::Raw => raw::write(disk, file),
            Format::RawZst => raw_zst::write(disk, file),
            Format::Vmdk => vmdk::write(disk, identity, file),
            Format::Vhdx => vhdx::write(disk, identity, file),
        }
    }
}

/// What is remembered of a file that was written, to see that it is still that.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    identity: Sha256Digest,
    size: u64,
    mtime: i64,
    mtime_ns: i64,
    inode: u64,
}

impl Build<'_> {
    /// Writes the image to `out/<image>.<format>`, its manifest to `out/<image>.json`
    /// and its bill of materials to `out/<image>.cdx.json`. Says whether anything had to be written.
    ///
    /// # Errors
    /// Those of the steps, and of writing; a file that was there stays whole.
    pub fn write(&self, format: Format, out: &Path) -> Result<(PathBuf, bool)> {
        let file = self.check_output(format, out)?;
        let object = self.provide(&self.plan.last)?;
        let manifest: Manifest = object.json("manifest.json")?;
        let small = self.small_files(&object, out)?;
        let same =
            small.iter().all(|(path, text)| std::fs::read(path).is_ok_and(|there| there == *text));
        if same && self.is_current(&file, manifest.identity) {
            return Ok((file, false));
        }
        let disk = self.disk()?;
        progress::step("Writing", file.display().to_string());
        let written = format.write(&disk, manifest.identity, &file)?;
        for (path, text) in small {
            fs::write_atomically(&path, &text)?;
        }
        self.remember(&file, &stamp(&written, manifest.identity))?;
        Ok((file, true))
    }

    /// The image as a disk, whose bytes are in files of the store.
    ///
    /// # Errors
    /// Those of the steps.
    pub fn disk(&self) -> Result<Disk> {
        let image = &self.plan.disk;
        let inputs = Inputs::of(image.inputs(), |input| self.provide(input))?;
        let (boot, contents) = disk::assemble(image, &inputs)?;
        Disk::assemble(&image.layout, &boot, &contents)
    }

    /// What the image is.
    ///
    /// # Errors
    /// Those of the steps.
    pub fn manifest(&self) -> Result<Manifest> {
        self.provide(&self.plan.last)?.json("manifest.json")
    }

    /// Makes the folder `out` if it is not there, and checks that the image can be
    /// written in it; gives the image's file.
    ///
    /// # Errors
    /// When nothing can be written there, with the reason.
    pub fn check_output(&self, format: Format, out: &Path) -> Result<PathBuf> {
        let file = out.join(format!("{}.{}", self.plan.image, format.extension()));
        check_writable(out, &file)?;
        Ok(file)
    }

    /// The small files next to an image: its manifest, and its bill of materials under
    /// the ending that CycloneDX names.
    fn small_files(&self, object: &Object, out: &Path) -> Result<[(PathBuf, Vec<u8>); 2]> {
        let at = |ending: &str| out.join(format!("{}.{ending}", self.plan.image));
        let text = |name: &str| fs::read(&object.path(name));
        Ok([(at("json"), text("manifest.json")?), (at("cdx.json"), text("sbom.json")?)])
    }

    /// Where the stamp of an output file is kept.
    fn stamp_path(&self, file: &Path) -> PathBuf {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let name = Sha256Digest::of(absolute.as_os_str().as_encoded_bytes());
        self.executor.store.root().join("outputs").join(format!("{name}.json"))
    }

    fn is_current(&self, file: &Path, identity: Sha256Digest) -> bool {
        let there = file.metadata().map(|metadata| stamp(&metadata, identity));
        let noted = fs::read(&self.stamp_path(file)).ok();
        let noted = noted.and_then(|json| serde_json::from_slice::<Stamp>(&json).ok());
        noted.is_some() && there.ok() == noted
    }

    fn remember(&self, file: &Path, stamp: &Stamp) -> Result<()> {
        let path = self.stamp_path(file);
        fs::create_dir_all(&self.executor.store.root().join("outputs"))?;
        let json = serde_json::to_vec(stamp).map_err(|e| Error::build(e.to_string()))?;
        fs::write_atomically(&path, &json)
    }
}

/// Makes the folder, and a file in it.
fn check_writable(out: &Path, file: &Path) -> Result<()> {
    let elsewhere = "images are written there: name another folder with `--out DIR`";
    fs::create_dir_all(out).map_err(|e| e.or_hint(elsewhere))?;
    if file.is_dir() {
        return Err(Error::input(format!("there is a folder where {} would be", file.display()))
            .hint("move it away, or name another folder with `--out DIR`"));
    }
    let tried = tempfile::tempfile_in(out).map(drop);
    tried.map_err(|cause| {
        let error = Error::io("make a file in", out, &cause);
        let full = cause.kind() == std::io::ErrorKind::StorageFull;
        if full { error } else { error.hint(elsewhere) }
    })
}

fn stamp(metadata: &Metadata, identity: Sha256Digest) -> Stamp {
    Stamp {
        identity,
        size: metadata.len(),
        mtime: metadata.mtime(),
        mtime_ns: metadata.mtime_nsec(),
        inode: metadata.ino(),
    }
}
