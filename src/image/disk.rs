//! A disk as a value: its size and where which bytes come from. Everything else is
//! zeros. Writers walk it once, in order, and see only blocks that are not zero.

use super::gpt::{BACKUP_SIZE, Gpt};
use super::grub::BootCode;
use super::manifest::ContentDigest;
use crate::error::{Error, Result};
use crate::fs;
use crate::plan::layout::{Label, Layout};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From memory.
    Bytes(Vec<u8>),
    /// From a file, starting at this offset in bytes.
    File(PathBuf, u64),
}

/// What a partition holds; the rest of the partition is zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub source: Source,
    /// How many of them.
    pub length: u64,
    /// Their digest, where an earlier step knows it: saves reading them again.
    pub digest: Option<ContentDigest>,
}

impl Content {
    /// These bytes.
    pub fn bytes(bytes: Vec<u8>) -> Content {
        Content { length: bytes.len() as u64, source: Source::Bytes(bytes), digest: None }
    }

    /// The whole of the file at `path`.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn file(path: &Path) -> Result<Content> {
        let length = std::fs::metadata(path).map_err(|e| Error::io("read", path, &e))?.len();
        Ok(Content { source: Source::File(path.to_owned(), 0), length, digest: None })
    }

    /// The same content with a digest that is already known.
    #[must_use]
    pub fn with_digest(mut self, digest: ContentDigest) -> Content {
        self.digest = Some(digest);
        self
    }

    /// The content as a disk of its own.
    pub(super) fn as_disk(&self) -> Disk {
        let extent = Extent { offset: 0, length: self.length, source: self.source.clone() };
        Disk { size: self.length, extents: vec![extent] }
    }
}

/// What each partition holds; one that is not named is empty.
pub type Contents = BTreeMap<Label, Content>;

/// Bytes at a place of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// First byte on the disk.
    pub offset: u64,
    /// Bytes; for `Source::Bytes` the length of those.
    pub length: u64,
    /// Where they come from.
    pub source: Source,
}

/// A disk: a size in bytes and extents, sorted and disjoint; holes are zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    size: u64,
    extents: Vec<Extent>,
}

impl Disk {
    /// A disk of `size` bytes, all zero.
    pub fn new(size: u64) -> Disk {
        Disk { size, extents: Vec::new() }
    }

    /// The disk of `layout`, with GRUB in its place and each partition's content at its
    /// start.
    ///
    /// # Errors
    /// When a content is larger than its partition.
    pub fn assemble(layout: &Layout, boot: &BootCode, contents: &Contents) -> Result<Disk> {
        let gpt = Gpt::new(layout, &boot.mbr);
        let mut disk = Disk::new(layout.size);
        disk.place(0, Content::bytes(gpt.primary))?;
        for part in &layout.partitions {
            let content = match part.label {
                Label::Bios => Some(Content::bytes(boot.core.clone())),
                Label::Esp
                | Label::APackages
                | Label::AConfig
                | Label::BPackages
                | Label::BConfig
                | Label::Seed
                | Label::State => contents.get(&part.label).cloned(),
            };
            if let Some(content) = content {
                part.check_fits(content.length)?;
                disk.place(part.offset, content)?;
            }
        }
        disk.place(layout.size - BACKUP_SIZE as u64, Content::bytes(gpt.backup))?;
        Ok(disk)
    }

    /// Puts `content` at `offset`.
    ///
    /// # Errors
    /// When it overlaps with what is there or leaves the disk.
    pub fn place(&mut self, offset: u64, content: Content) -> Result<()> {
        let length = content.length;
        let at = self.extents.partition_point(|extent| extent.offset < offset);
        let before = at.checked_sub(1).map(|i| &self.extents[i]);
        let free_from = before.map_or(0, |extent| extent.offset + extent.length);
        let free_to = self.extents.get(at).map_or(self.size, |extent| extent.offset);
        if offset < free_from || offset.saturating_add(length) > free_to {
            let what = format!("{length} bytes at {offset} of the disk are not free");
            return Err(Error::build(what).detail(format!("free: {free_from} to {free_to}")));
        }
        if length > 0 {
            self.extents.insert(at, Extent { offset, length, source: content.source });
        }
        Ok(())
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The extents, by offset.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The SHA-256 of all bytes of the disk: what `sha256sum` says of the raw image.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn flat_digest(&self) -> Result<fs::Sha256Digest> {
        use sha2::{Digest, Sha256};
        let zeros = vec![0; 1 << 20];
        let mut hasher = Sha256::new();
        let mut done = 0;
        let skip_to = |hasher: &mut Sha256, done: u64, to: u64| {
            let mut left = to - done;
            while left > 0 {
                let count = left.min(zeros.len() as u64);
                hasher.update(&zeros[..count as usize]);
                left -= count;
            }
        };
        super::walk::each_run(self, |offset, bytes| {
            skip_to(&mut hasher, done, offset);
            hasher.update(bytes);
            done = offset + bytes.len() as u64;
            Ok(())
        })?;
        skip_to(&mut hasher, done, self.size);
        Ok(fs::Sha256Digest::from_hasher(hasher))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A disk with random holes and its bytes; contents hold runs of zeros too.
    pub(crate) fn random_disk() -> impl Strategy<Value = (Disk, Vec<u8>)> {
        let piece = (0_u64..200_000, 0_usize..300_000, any::<u8>(), any::<bool>());
        (proptest::collection::vec(piece, 0..6), 0_u64..5000).prop_map(|(pieces, tail)| {
            let mut bytes = Vec::new();
            let mut places = Vec::new();
            for (gap, length, fill, hollow) in pieces {
                bytes.resize(bytes.len() + gap as usize, 0);
                let mut content: Vec<u8> = (0..length).map(|i| fill ^ (i / 7) as u8).collect();
                if hollow {
                    content[length / 4..length - length / 4].fill(0);
                }
                places.push((bytes.len() as u64, content.clone()));
                bytes.extend(content);
            }
            bytes.resize((bytes.len() as u64 + tail).next_multiple_of(512) as usize, 0);
            let mut disk = Disk::new(bytes.len() as u64);
            for (offset, content) in places {
                disk.place(offset, Content::bytes(content)).unwrap();
            }
            (disk, bytes)
        })
    }

    #[test]
    fn nothing_overlaps_or_sticks_out() {
        let mut disk = Disk::new(1000);
        disk.place(100, Content::bytes(vec![1; 100])).unwrap();
        disk.place(200, Content::bytes(vec![1; 800])).unwrap();
        for (offset, length) in [(199, 1), (50, 51), (1000, 1), (u64::MAX, 5)] {
            assert!(disk.place(offset, Content::bytes(vec![0; length])).is_err());
        }
        let error = disk.place(0, Content::bytes(vec![1; 101])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "error: 101 bytes at 0 of the disk are not free\n  free: 0 to 100"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_flat_digest_is_that_of_the_bytes((disk, bytes) in random_disk()) {
            prop_assert_eq!(disk.flat_digest().unwrap(), fs::Sha256Digest::of(&bytes));
        }
    }
}
