//! An image as it lies in a folder: its manifest, and the bytes of its partitions from
//! the raw or the qcow2 file next to it.

use super::report::{Report, entries, size};
use crate::build::Format;
use crate::error::{Error, Result};
use crate::fs;
use crate::image::manifest::{Manifest, PartitionRecord};
use crate::image::reader::DiskFile;
use crate::plan::layout::Label;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An image.
#[derive(Debug)]
pub struct Image {
    name: String,
    manifest: Manifest,
    disk: Option<PathBuf>,
}

impl Image {
    /// The image that `path` names: its manifest, or its disk with the manifest next to it.
    ///
    /// # Errors
    /// When one of the two is not there or is something else.
    pub fn open(path: &Path) -> Result<Image> {
        if !path.is_file() {
            return Err(Error::input(format!("there is no image {}", path.display()))
                .hint("name an image of `imagebuild` (.qcow2, .raw), or its .json; for revisions name an architecture too: `imagebuild diff HEAD~1 HEAD arch4`"));
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut endings = Format::ALL.map(Format::extension).into_iter().chain(["json"]);
        let stem = endings.find_map(|ending| file.strip_suffix(ending)?.strip_suffix('.'));
        let stem = stem.unwrap_or(&file);
        let sibling = |ending: &str| path.with_file_name(format!("{stem}.{ending}"));
        let json = sibling("json");
        let text = fs::read_to_string(&json).map_err(|e| {
            e.hint("the manifest that `imagebuild` writes next to an image must stay there")
        })?;
        let manifest = Manifest::from_json(&text).map_err(|e| e.context(json.display()))?;
        let disk = if file == format!("{stem}.json") {
            ["qcow2", "raw"].map(sibling).into_iter().find(|disk| disk.is_file())
        } else {
            Some(path.to_owned())
        };
        Ok(Image { name: path.display().to_string(), manifest, disk })
    }

    fn record(&self, label: Label) -> Option<&PartitionRecord> {
        self.manifest.map.partitions.iter().find(|record| record.label == label)
    }

    /// Copies what a partition holds to the file `into`.
    ///
    /// # Errors
    /// When the disk's file is not there, or is not the manifest's.
    pub fn extract(&self, label: Label, into: &Path) -> Result<()> {
        let missing = || Error::input(format!("there is no disk beside {}", self.name));
        let disk = self.disk.as_ref().ok_or_else(missing)?;
        let record = self.record(label).ok_or_else(missing)?;
        let digest = DiskFile::open(disk)?.copy(record.offset, record.content.length, into)?;
        if digest == record.content.sha256 {
            return Ok(());
        }
        Err(Error::check(format!(
            "partition `{label}` of {} is not what its manifest says",
            disk.display()
        ))
        .hint("the file was changed or damaged after it was built: build it again"))
    }
}

/// The layers whose content differs between two images.
pub fn changed_layers(a: &Image, b: &Image) -> Vec<Label> {
    let differs =
        |label: &Label| a.record(*label).map(|r| r.content) != b.record(*label).map(|r| r.content);
    [Label::APackages, Label::AConfig].into_iter().filter(differs).collect()
}

/// All that manifests tell.
pub fn compare(a: &Image, b: &Image) -> Report {
    let packages = |image: &Image| -> BTreeMap<String, String> {
        let all = image.manifest.packages.iter();
        all.map(|package| (package.name.clone(), package.version.clone())).collect()
    };
    let image = if a.manifest.image == b.manifest.image {
        a.manifest.image.clone()
    } else {
        format!("{} and {}", a.manifest.image, b.manifest.image)
    };
    Report {
        image,
        a: a.name.clone(),
        b: b.name.clone(),
        packages: entries(&packages(a), &packages(b)),
        disk: entries(&disk(a), &disk(b)),
        ..Report::default()
    }
}

fn disk(image: &Image) -> BTreeMap<String, String> {
    let map = &image.manifest.map;
    let content = |record: &PartitionRecord| {
        let digest = &record.content.sha256.to_string()[..12];
        let (have, of) = (size(record.content.length), crate::progress::bytes(record.size));
        (format!("partition {}", record.label), format!("{have} of {of}, sha256 {digest}…"))
    };
    let mut all: BTreeMap<String, String> = map.partitions.iter().map(content).collect();
    all.insert("whole disk".into(), size(map.disk_size));
    all.insert("boot code".into(), format!("sha256 {}…", &map.boot_code.to_string()[..12]));
    all
}
