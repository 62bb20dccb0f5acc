//! The last step: the disk map with its digests, and the files that carry the disk.

use super::{Build, RootHash};
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::image::disk::{Content, Contents, Disk};
use crate::image::grub::{self, BootCode};
use crate::image::manifest::{ContentDigest, Manifest, Package, PartitionMap};
use crate::image::{qcow2, raw};
use crate::plan::layout::Label;
use crate::plan::step::{ImageStep, Step};
use crate::progress;
use crate::store::{Key, Object};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Qcow2 => "qcow2",
            Format::Raw => "raw",
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
    /// Writes the image to `out/<image>.<format>` and its manifest to
    /// `out/<image>.json`. Says whether anything had to be written.
    ///
    /// # Errors
    /// Those of the steps, and of writing; a file that was there stays whole.
    pub fn write(&self, format: Format, out: &Path) -> Result<(PathBuf, bool)> {
        let planned = self.last()?;
        let Step::Image(image) = &planned.step else {
            return Err(Error::build("the last step of a plan is not an image"));
        };
        check_writable(out)?;
        let file = out.join(format!("{}.{}", self.plan.image, format.extension()));
        let object = self.provide(planned.key)?;
        let manifest: Manifest = object.json("manifest.json")?;
        let json = out.join(format!("{}.json", self.plan.image));
        let text = fs::read(&object.path("manifest.json"))?;
        let same_manifest = std::fs::read(&json).is_ok_and(|there| there == text);
        if same_manifest && self.is_current(&file, manifest.identity) {
            return Ok((file, false));
        }
        let inputs = self.image_inputs(&planned.step)?;
        let (boot, contents) = assemble(image, &inputs)?;
        let disk = Disk::assemble(&image.layout, &boot, &contents)?;
        progress::step("Writing", file.display().to_string());
        match format {
            Format::Qcow2 => qcow2::write(&disk, &file)?,
            Format::Raw => raw::write(&disk, &file)?,
        }
        fs::write_atomically(&json, &text)?;
        self.remember(&file, manifest.identity)?;
        Ok((file, true))
    }

    fn image_inputs(&self, step: &Step) -> Result<BTreeMap<Key, Object>> {
        step.inputs().into_iter().map(|key| Ok((key, self.provide(key)?))).collect()
    }

    /// Where the stamp of an output file is kept.
    fn stamp_path(&self, file: &Path) -> PathBuf {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let name = Sha256Digest::of(absolute.as_os_str().as_encoded_bytes());
        self.store.root().join("outputs").join(format!("{name}.json"))
    }

    fn is_current(&self, file: &Path, identity: Sha256Digest) -> bool {
        let there = stamp(file, identity);
        let noted = fs::read(&self.stamp_path(file)).ok();
        let noted = noted.and_then(|json| serde_json::from_slice::<Stamp>(&json).ok());
        noted.is_some() && there.ok() == noted
    }

    fn remember(&self, file: &Path, identity: Sha256Digest) -> Result<()> {
        let path = self.stamp_path(file);
        fs::create_dir_all(&self.store.root().join("outputs"))?;
        let json =
            serde_json::to_vec(&stamp(file, identity)?).map_err(|e| Error::build(e.to_string()))?;
        fs::write_atomically(&path, &json)
    }
}

/// Makes the folder, and a file in it: to fail after all the work is done is late.
fn check_writable(out: &Path) -> Result<()> {
    let hint = "images are written there: name another folder with `--out DIR`";
    fs::create_dir_all(out).map_err(|e| e.or_hint(hint))?;
    tempfile::tempfile_in(out)
        .map(drop)
        .map_err(|e| Error::io("make a file in", out, &e).or_hint(hint))
}

fn stamp(file: &Path, identity: Sha256Digest) -> Result<Stamp> {
    let metadata = file.metadata().map_err(|e| Error::io("look at", file, &e))?;
    Ok(Stamp {
        identity,
        size: metadata.len(),
        mtime: metadata.mtime(),
        mtime_ns: metadata.mtime_nsec(),
        inode: metadata.ino(),
    })
}

/// The boot code and the content of each partition.
fn assemble(image: &ImageStep, inputs: &BTreeMap<Key, Object>) -> Result<(BootCode, Contents)> {
    let bootloader = &inputs[&image.bootloader];
    let boot_img = fs::read(&bootloader.path("boot.img"))?;
    let core_img = fs::read(&bootloader.path("core.img"))?;
    let boot = grub::embed(&boot_img, &core_img, image.layout.partition(Label::Bios))?;
    let content = |key: &Key, name: &str| Content::file(&inputs[key].path(name));
    let layer = |key: &Key| -> Result<Content> {
        let object = &inputs[key];
        // A layer ends in its hash tree, never in zeros, so the store's digest serves.
        let content = content(key, "layer.erofs")?;
        let (length, sha256) = (content.length, object.digest("layer.erofs")?);
        Ok(content.with_digest(ContentDigest { length, sha256 }))
    };
    let contents = Contents::from([
        (Label::Esp, content(&image.esp, "esp.fat")?),
        (Label::APackages, layer(&image.packages_layer)?),
        (Label::AConfig, layer(&image.config)?),
        (Label::State, content(&image.state, "state.ext4")?),
    ]);
    Ok((boot, contents))
}

/// Makes `manifest.json`.
pub(super) fn manifest(
    image: &ImageStep,
    inputs: &BTreeMap<Key, Object>,
    aside: &Path,
) -> Result<()> {
    let (boot, contents) = assemble(image, inputs)?;
    let map = PartitionMap::new(&image.layout, &boot, &contents)?;
    let root_hash = |key: &Key| -> Result<Sha256Digest> {
        Ok(inputs[key].json::<RootHash>("verity.json")?.root_hash)
    };
    let manifest = Manifest {
        image: image.layout.image.clone(),
        version: image.version.clone(),
        identity: map.identity()?,
        map,
        root_hashes: BTreeMap::from([
            (Label::APackages, root_hash(&image.packages_layer)?),
            (Label::AConfig, root_hash(&image.config)?),
        ]),
        lock: image.lock,
        kernel: image.kernel_release.clone(),
        packages: image
            .packages
            .iter()
            .map(|package| Package {
                name: package.name.clone(),
                version: package.version.clone(),
                architecture: package.architecture.clone(),
            })
            .collect(),
    };
    fs::write_atomically(&aside.join("manifest.json"), manifest.to_json()?.as_bytes())
}
