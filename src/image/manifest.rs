//! What an image is: the partition map with a digest per partition, and the identity
//! that follows from it, so that nobody hashes gigabytes of zeros to compare two images.

use super::disk::{Content, Contents};
use super::grub::BootCode;
use super::walk;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use crate::plan::guid::Guid;
use crate::plan::layout::{Label, Layout, Partition};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Trailing zeros of a content do not count, in blocks of this many bytes: a sparse
/// ext4 of 512 MiB has the digest of what was written into it.
const TAIL_BLOCK: usize = 4096;

/// Length and digest of a content without the blocks of zeros at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentDigest {
    /// Bytes up to the end of the last block of 4096 bytes that is not all zero (or to
    /// the end of the content, if that block is cut short); 0 if there is none.
    pub length: u64,
    /// SHA-256 of those bytes.
    pub sha256: Sha256Digest,
}

impl ContentDigest {
    /// The digest of an empty partition.
    pub fn empty() -> ContentDigest {
        ContentDigest { length: 0, sha256: Sha256Digest::of([]) }
    }

    /// Reads `content` once, holes excepted.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn of(content: &Content) -> Result<ContentDigest> {
        let mut hasher = Sha256::new();
        let mut length = 0;
        walk::each_run(&content.as_disk(), |offset, bytes| {
            let kept = without_tail(bytes);
            hash_zeros(&mut hasher, offset - length);
            hasher.update(kept);
            length = offset + kept.len() as u64;
            Ok(())
        })?;
        Ok(ContentDigest { length, sha256: Sha256Digest::from_hasher(hasher) })
    }

    /// The digest of the whole file at `path`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> Result<ContentDigest> {
        ContentDigest::of(&Content::file(path)?)
    }
}

fn without_tail(bytes: &[u8]) -> &[u8] {
    let last = bytes.chunks(TAIL_BLOCK).rposition(|block| !walk::is_zero(block));
    let blocks = last.map_or(0, |last| last + 1);
    &bytes[..bytes.len().min(blocks * TAIL_BLOCK)]
}

fn hash_zeros(hasher: &mut Sha256, mut count: u64) {
    let zeros = [0; 1 << 14];
    while count > 0 {
        let some = count.min(zeros.len() as u64);
        hasher.update(&zeros[..some as usize]);
        count -= some;
    }
}

/// One partition, as the identity sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionRecord {
    /// Number in the GPT.
    pub number: u32,
    /// GPT name.
    pub label: Label,
    /// GPT type GUID.
    pub type_guid: Guid,
    /// Unique partition GUID.
    pub guid: Guid,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// What it holds.
    pub content: ContentDigest,
}

/// Everything on the disk, by digest. Two images are the same bytes if and only if
/// their maps are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionMap {
    /// Bytes of the disk.
    pub disk_size: u64,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// SHA-256 of the 440 bytes of boot code in the MBR.
    pub boot_code: Sha256Digest,
    /// The partitions, in disk order.
    pub partitions: Vec<PartitionRecord>,
}

impl PartitionMap {
    /// The map of the disk that `Disk::assemble` makes of the same three. Contents with
    /// a digest are believed, others are read.
    ///
    /// # Errors
    /// When a content cannot be read, or does not fit.
    pub fn new(layout: &Layout, boot: &BootCode, contents: &Contents) -> Result<PartitionMap> {
        let record = |part: &Partition| {
            let core;
            let content = if part.label == Label::Bios {
                core = Content::bytes(boot.core.clone());
                Some(&core)
            } else {
                contents.get(&part.label)
            };
            Ok(PartitionRecord {
                number: part.number,
                label: part.label,
                type_guid: part.type_guid,
                guid: part.guid,
                offset: part.offset,
                size: part.size,
                content: content_digest(part, content)?,
            })
        };
        Ok(PartitionMap {
            disk_size: layout.size,
            disk_guid: layout.disk_guid,
            boot_code: Sha256Digest::of(boot.mbr),
            partitions: layout.partitions.iter().map(record).collect::<Result<_>>()?,
        })
    }

    /// The image's identity: SHA-256 of the map as JSON without spaces, keys in the
    /// order of the types above.
    ///
    /// # Errors
    /// Never in practice: the map holds nothing that JSON cannot.
    pub fn identity(&self) -> Result<Sha256Digest> {
        let json = serde_json::to_vec(self).map_err(|e| Error::build(e.to_string()))?;
        Ok(Sha256Digest::of(json))
    }
}

fn content_digest(part: &Partition, content: Option<&Content>) -> Result<ContentDigest> {
    let Some(content) = content else { return Ok(ContentDigest::empty()) };
    part.check_fits(content.length)?;
    content.digest.map_or_else(|| ContentDigest::of(content), Ok)
}

/// A Debian package in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture ("amd64", "all").
    pub architecture: String,
}

/// The file beside an image that says what the image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The image's name, such as "arch4-web1".
    pub image: String,
    /// IMAGE_VERSION of os-release.
    pub version: String,
    /// Digest of `map`.
    pub identity: Sha256Digest,
    /// Everything on the disk, by digest.
    pub map: PartitionMap,
    /// dm-verity root hashes, by partition.
    pub root_hashes: BTreeMap<Label, Sha256Digest>,
    /// SHA-256 of the lock that the image was built from.
    pub lock: Sha256Digest,
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// The packages, by name.
    pub packages: Vec<Package>,
}

impl Manifest {
    /// The manifest as JSON for people and programs: two spaces, stable order, a
    /// newline at the end.
    ///
    /// # Errors
    /// Never in practice: a manifest holds nothing that JSON cannot.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::build(e.to_string()))?;
        Ok(json + "\n")
    }

    /// Reads what `to_json` wrote and checks that the identity is that of the map.
    ///
    /// # Errors
    /// When the text is no manifest, or was changed.
    pub fn from_json(text: &str) -> Result<Manifest> {
        let manifest: Manifest = serde_json::from_str(text)
            .map_err(|e| Error::input(format!("this is not a manifest of an image: {e}")))?;
        if manifest.map.identity()? != manifest.identity {
            return Err(Error::check("the manifest's identity is not that of its partition map"));
        }
        Ok(manifest)
    }
}
