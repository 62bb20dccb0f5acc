//! What is written to a disk, in which order, and what reading it back must give: a value,
//! made before anything is touched.

use crate::error::Result;
use crate::fs::Sha256Digest;
use crate::image::disk::{Content, Disk};
use crate::image::manifest::{Manifest, PartitionRecord};
use crate::image::pieces::Piece;
use crate::plan::layout::{Label, MIB};
use crate::progress;

/// How much of the disk a command carries.
const PIECE: u64 = 4 * MIB;
/// Zeros of one command, and of one digest: so progress is seen.
const STRETCH: u64 = 64 * MIB;
/// What makes a disk boot: the first sector. It comes last.
pub(super) const SECTOR: u64 = 512;
/// What is read past the cache begins at its multiples: no disk has larger sectors.
const BLOCK: u64 = 4096;
/// The partition table, and room: the first MiB, whose partition is none.
pub(super) const HEAD: u64 = MIB;

/// An image with the seed of one server in it.
#[derive(Debug)]
pub struct Work {
    /// The image's name.
    pub image: String,
    /// The image's identity.
    pub identity: Sha256Digest,
    /// The digest of the seed; of nothing, where none is written.
    pub seed: Sha256Digest,
    disk: Disk,
    /// The first MiB.
    head: Vec<u8>,
    regions: Vec<Region>,
    partitions: Vec<PartitionRecord>,
    seed_length: u64,
}

/// A part of the disk, and what it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    /// As an error calls it.
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) sha256: Sha256Digest,
}

impl Work {
    /// The image `disk`, as `manifest` describes it, with `seed` in its partition.
    ///
    /// # Errors
    /// When the seed does not fit, or the image cannot be read.
    pub fn new(mut disk: Disk, manifest: &Manifest, seed: Option<Vec<u8>>) -> Result<Work> {
        let seed = seed.unwrap_or_default();
        let (digest, seed_length) = (Sha256Digest::of(&seed), seed.len() as u64);
        let partitions = manifest.map.partitions.clone();
        for part in partitions.iter().filter(|part| part.label == Label::Seed) {
            disk.place(part.offset, Content::bytes(seed.clone()))?;
        }
        let head = disk.read(0, HEAD as usize)?;
        let regions = regions(&disk, &partitions, &seed)?;
        Ok(Work {
            image: manifest.image.clone(),
            identity: manifest.identity,
            seed: digest,
            disk,
            head,
            regions,
            partitions,
            seed_length,
        })
    }

    /// Bytes of the image: the smallest disk that it can be written to.
    pub fn size(&self) -> u64 {
        self.disk.size()
    }

    /// The disk's first MiB, the partition table and GRUB's first part.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What reading a disk of `size` bytes back must give, but for the first MiB.
    pub(super) fn regions(&self, size: u64) -> Vec<Region> {
        let zeros = self.outside(size).into_iter().map(|(offset, length)| Region {
            name: "what was erased outside of the image".to_owned(),
            offset,
            length,
            sha256: Sha256Digest::of(vec![0; length as usize]),
        });
        self.regions.iter().cloned().chain(zeros).collect()
    }

    /// Calls `sink` with all pieces from `start` on (at least the first MiB is left out): bytes
    /// or zeros, at most so many that progress can be seen.
    pub(super) fn each_piece(
        &self,
        start: u64,
        mut sink: impl FnMut(u64, Piece<'_>) -> Result<()>,
    ) -> Result<()> {
        let start = start.max(HEAD);
        self.disk.each_piece(PIECE, |offset, piece| match piece {
            Piece::Data(bytes) => {
                let skip = start.saturating_sub(offset).min(bytes.len() as u64);
                let bytes = &bytes[skip as usize..];
                if bytes.is_empty() { Ok(()) } else { sink(offset + skip, Piece::Data(bytes)) }
            }
            Piece::Zeros(count) => {
                let (mut at, end) = (offset.max(start), offset + count);
                while at < end {
                    let count = STRETCH.min(end - at);
                    sink(at, Piece::Zeros(count))?;
                    at += count;
                }
                Ok(())
            }
        })
    }

    /// What of a disk of `size` bytes is outside the image, and yet made zero: right behind it,
    /// where a data volume is made, and the end, where the backup of a partition table is. Offsets
    /// and lengths.
    pub(super) fn outside(&self, size: u64) -> Vec<(u64, u64)> {
        let behind = self.size();
        let first = (behind, HEAD.min(size - behind));
        // Whole blocks of 4096 bytes, for what is read back past the cache.
        let from = (size.saturating_sub(HEAD) / BLOCK * BLOCK).max(first.0 + first.1);
        let all = [first, (from, size.saturating_sub(from))];
        all.into_iter().filter(|(_, length)| *length > 0).collect()
    }

    /// What is erased first: the start; of a run that begins, the end of the image, where a disk
    /// of the same size has an old backup, and all that is outside.
    pub(super) fn erased(&self, size: u64, begins: bool) -> Vec<(u64, u64)> {
        let mut all = vec![(0, HEAD)];
        if begins {
            all.push((self.size() - HEAD, HEAD));
        }
        all.extend(self.outside(size));
        all
    }

    /// Every write, a line each, for a disk of `size` bytes.
    pub fn describe(&self, size: u64) -> String {
        let mut text = String::new();
        let mut line = |what: String| text += &format!("  {what}\n");
        line("erase   the first MiB and the last, and one behind the image: no old table, volume or boot loader is left".to_owned());
        for part in &self.partitions {
            let length =
                if part.label == Label::Seed { self.seed_length } else { part.content.length };
            let what = match (part.label, length) {
                (Label::Seed, 0) => "zeros: no seed".to_owned(),
                (_, 0) => "zeros".to_owned(),
                (Label::Seed, length) => format!("this server's seed, {}", progress::bytes(length)),
                (_, length) => progress::bytes(length),
            };
            line(format!(
                "write   {} {:<10} at {:>5} MiB of {:>5} MiB: {what}",
                part.number,
                part.label,
                part.offset / MIB,
                part.size / MIB
            ));
        }
        line(format!("read    all {} back, and compare digests", progress::bytes(self.size())));
        line(
            "write   the partition table and, last of all, the first sector: now it boots"
                .to_owned(),
        );
        if size > self.size() {
            line(format!(
                "leave   the other {} as they are: the first boot takes them",
                progress::bytes(size - self.size())
            ));
        }
        text
    }
}

fn regions(disk: &Disk, partitions: &[PartitionRecord], seed: &[u8]) -> Result<Vec<Region>> {
    let mut regions = Vec::new();
    let mut at = HEAD;
    let mut zeros = Zeros::default();
    for part in partitions {
        zeros.until(&mut regions, &mut at, part.offset, "what is between partitions");
        let content = if part.label == Label::Seed {
            (seed.len() as u64, Sha256Digest::of(seed))
        } else {
            (part.content.length, part.content.sha256)
        };
        let (mut length, mut sha256) = content;
        if !length.is_multiple_of(BLOCK) {
            // Of the small ones: GRUB's, the seed. What follows is zeros.
            length = length.next_multiple_of(BLOCK);
            sha256 = Sha256Digest::of(disk.read(at, length as usize)?);
        }
        if length > 0 {
            let name = format!("partition `{}`", part.label);
            regions.push(Region { name, offset: at, length, sha256 });
            at += length;
        }
        let name = format!("the empty rest of partition `{}`", part.label);
        zeros.until(&mut regions, &mut at, part.offset + part.size, &name);
    }
    // The backup of the partition table.
    let last = disk.size() - HEAD;
    zeros.until(&mut regions, &mut at, last, "what is behind the partitions");
    let bytes = disk.read(last, HEAD as usize)?;
    let name = "the backup of the partition table".to_owned();
    regions.push(Region { name, offset: last, length: HEAD, sha256: Sha256Digest::of(bytes) });
    Ok(regions)
}

/// Regions of zeros: their digests depend on their lengths alone, and most are equal.
#[derive(Default)]
struct Zeros(std::collections::BTreeMap<u64, Sha256Digest>);

impl Zeros {
    fn until(&mut self, regions: &mut Vec<Region>, at: &mut u64, end: u64, name: &str) {
        while *at < end {
            // To the next multiple, so that large blocks are read.
            let step = if at.is_multiple_of(MIB) { STRETCH } else { MIB };
            let length = ((*at / step + 1) * step).min(end) - *at;
            let sha256 =
                *self.0.entry(length).or_insert_with(|| Sha256Digest::of(vec![0; length as usize]));
            regions.push(Region { name: name.to_owned(), offset: *at, length, sha256 });
            *at += length;
        }
    }
}
