//! The last step: the disk map with its digests, from the results of the others.

use super::{Inputs, RootHash};
use crate::error::{Error, Result};
use crate::fs::{self, Sha256Digest};
use crate::image::disk::{Content, Contents};
use crate::image::grub::{self, BootCode};
use crate::image::manifest::{ContentDigest, Manifest, Package, PartitionMap};
use crate::image::sbom::{self, Materials};
use crate::plan::layout::Label;
use crate::plan::step::{ImageStep, PackageRef, Planned};
use std::collections::BTreeMap;
use std::path::Path;

/// The files with the file systems that are written once, on an empty disk.
pub(super) const STATE: &str = "state.ext4";
/// See [`STATE`].
pub(super) const ESP: &str = "esp.fat";
/// Notes the digest of a file system, without the zeros at its end, beside it: an ext4 is
/// nearly all zeros, and hashing them takes longer than all else that an edit needs.
pub(super) fn note_content(temporary: &Path, name: &str) -> Result<()> {
    let digest = ContentDigest::of_file(&temporary.join(name))?;
    let json = serde_json::to_vec(&digest).map_err(|e| Error::build(e.to_string()))?;
    fs::write_atomically(&temporary.join(note(name)), &json)
}

/// Where a file system's digest is noted.
fn note(name: &str) -> String {
    format!("{name}.json")
}

/// The boot code and the content of each partition.
pub(super) fn assemble(image: &ImageStep, inputs: &Inputs) -> Result<(BootCode, Contents)> {
    let bootloader = &inputs[&image.bootloader];
    let boot_img = fs::read(&bootloader.path("boot.img"))?;
    let core_img = fs::read(&bootloader.path("core.img"))?;
    let boot = grub::embed(&boot_img, &core_img, image.layout.partition(Label::Bios))?;
    let content = |input: &Planned, name: &str| Content::file(&inputs[input].path(name));
    let noted = |input: &Planned, name: &str| -> Result<Content> {
        Ok(content(input, name)?.with_digest(inputs[input].json(&note(name))?))
    };
    let layer = |input: &Planned| -> Result<Content> {
        let object = &inputs[input];
        // A layer ends in its hash tree, never in zeros, so the store's digest serves.
        let content = content(input, "layer.erofs")?;
        let (length, sha256) = (content.length, object.digest("layer.erofs")?);
        Ok(content.with_digest(ContentDigest { length, sha256 }))
    };
    let contents = Contents::from([
        (Label::Esp, noted(&image.esp, ESP)?),
        (Label::APackages, layer(&image.packages_layer)?),
        (Label::AConfig, layer(&image.config)?),
        (Label::State, noted(&image.state, STATE)?),
    ]);
    Ok((boot, contents))
}

/// Makes `manifest.json` and `sbom.json`.
pub(super) fn manifest(image: &ImageStep, inputs: &Inputs, temporary: &Path) -> Result<()> {
    let (boot, contents) = assemble(image, inputs)?;
    let map = PartitionMap::new(&image.layout, &boot, &contents)?;
    let root_hash = |layer: &Planned| -> Result<Sha256Digest> {
        Ok(inputs[layer].json::<RootHash>("verity.json")?.root_hash)
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
        packages: image.packages.iter().map(named).collect(),
    };
    fs::write_atomically(&temporary.join("manifest.json"), manifest.to_json()?.as_bytes())?;
    let bill = bill(image, inputs, &manifest)?;
    fs::write_atomically(&temporary.join("sbom.json"), bill.as_bytes())
}

fn named(package: &PackageRef) -> Package {
    let (name, version) = (package.name.clone(), package.version.clone());
    Package { name, version, architecture: package.architecture.clone() }
}

fn bill(image: &ImageStep, inputs: &Inputs, manifest: &Manifest) -> Result<String> {
    let materials = Materials {
        packages: &image.packages,
        boot: &image.boot,
        requested: &image.requested,
        own: &image.own,
        facts: &inputs[&image.inventory].json("inventory.json")?,
        epoch: image.epoch,
    };
    sbom::to_json(manifest, &materials)
}
