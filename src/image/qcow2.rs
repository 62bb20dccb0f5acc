//! Writes a disk as qcow2 version 3, straight from the extents: one pass, nothing
//! compressed, clusters of zeros not allocated, the same bytes every time.
//!
//! Format: QEMU's docs/interop/qcow2.txt (<https://www.qemu.org/docs/master/interop/qcow2.html>).
//! Order in the file: header, refcount table and L1 table, whose places follow from the
//! size alone; then data in disk order; then L2 tables and refcount blocks, which are
//! known only once the data has been seen. So nothing is read twice.

use super::disk::Disk;
use super::temporary::write_atomically;
use super::walk;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::Path;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of 8 bytes in a cluster: of an L2 table, and of the refcount table.
const ENTRIES: u64 = CLUSTER / 8;
/// Refcounts of 16 bits in a refcount block.
const REFCOUNTS: u64 = CLUSTER / 2;
/// log2 of the bits of a refcount.
const REFCOUNT_ORDER: u32 = 4;
const HEADER_LENGTH: u32 = 104;
/// Set in an entry whose cluster has a refcount of exactly one.
const COPIED: u64 = 1 << 63;

/// Writes `disk` to `path`, through a temporary file.
///
/// # Errors
/// When a source cannot be read or the file cannot be written.
pub fn write(disk: &Disk, path: &Path) -> Result<Metadata> {
    write_atomically(path, |file| {
        let mut image = Writer::new(disk.size(), file, path);
        walk::each_run(disk, |offset, bytes| image.data(offset, bytes))?;
        image.finish()
    })
}

/// What the size of the disk alone decides.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    size: u64,
    l1_entries: u64,
    l1_clusters: u64,
    refcount_table_clusters: u64,
}

impl Geometry {
    fn new(size: u64) -> Geometry {
        let l1_entries = size.div_ceil(CLUSTER * ENTRIES);
        let l1_clusters = l1_entries.div_ceil(ENTRIES).max(1);
        // Room for the case that every cluster is allocated; each cluster of the table
        // speaks for 16 TiB, so that this is nearly always one.
        let most = size.div_ceil(CLUSTER) + l1_entries + l1_clusters + 1;
        let blocks = most.div_ceil(REFCOUNTS - 2) + 1;
        Geometry {
            size,
            l1_entries,
            l1_clusters,
            refcount_table_clusters: blocks.div_ceil(ENTRIES),
        }
    }

    fn refcount_table_offset(self) -> u64 {
        CLUSTER
    }

    fn l1_offset(self) -> u64 {
        self.refcount_table_offset() + self.refcount_table_clusters * CLUSTER
    }

    fn data_offset(self) -> u64 {
        self.l1_offset() + self.l1_clusters * CLUSTER
    }

    fn header(self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LENGTH as usize);
        header.extend(b"QFI\xfb");
        header.extend(3_u32.to_be_bytes());
        // No backing file: offset u64, length u32.
        header.extend([0; 12]);
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(self.size.to_be_bytes());
        // No encryption.
        header.extend(0_u32.to_be_bytes());
        // Fits: 2^32 entries are 2 EiB.
        header.extend((self.l1_entries as u32).to_be_bytes());
        header.extend(self.l1_offset().to_be_bytes());
        header.extend(self.refcount_table_offset().to_be_bytes());
        header.extend((self.refcount_table_clusters as u32).to_be_bytes());
        // No snapshots (count u32, offset u64); no feature bits (three u64): in
        // particular no lazy refcounts and no dirty bit.
        header.extend([0; 12 + 24]);
        header.extend(REFCOUNT_ORDER.to_be_bytes());
        header.extend(HEADER_LENGTH.to_be_bytes());
        // The zeros that follow are the header extension "end".
        header
    }
}

struct Writer<'a> {
    geometry: Geometry,
    file: &'a File,
    path: &'a Path,
    /// Where the next cluster of the file goes.
    next: u64,
    /// L2 tables by index in L1.
    tables: BTreeMap<u64, Vec<u64>>,
}

impl<'a> Writer<'a> {
    fn new(size: u64, file: &'a File, path: &'a Path) -> Writer<'a> {
        let geometry = Geometry::new(size);
        let next = geometry.data_offset();
        Writer { geometry, file, path, next, tables: BTreeMap::new() }
    }

    fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|e| Error::io("write", self.path, &e))
    }

    /// Takes whole clusters at `offset` of the disk; the disk's end may cut the last
    /// one short, and then the file is grown over it later.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.put(self.next, bytes)?;
        let first = offset / CLUSTER;
        for cluster in first..first + (bytes.len() as u64).div_ceil(CLUSTER) {
            let table = self.tables.entry(cluster / ENTRIES);
            let table = table.or_insert_with(|| vec![0; ENTRIES as usize]);
            table[(cluster % ENTRIES) as usize] = self.next | COPIED;
            self.next += CLUSTER;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        let mut l1 = vec![0; self.geometry.l1_entries as usize];
        for (index, table) in std::mem::take(&mut self.tables) {
            self.put(self.next, &big_endian(&table))?;
            l1[index as usize] = self.next | COPIED;
            self.next += CLUSTER;
        }
        self.put(self.geometry.l1_offset(), &big_endian(&l1))?;
        self.refcounts()?;
        self.put(0, &self.geometry.header())?;
        self.file.set_len(self.next).map_err(|e| Error::io("write", self.path, &e))
    }

    /// Every cluster of the file, the refcount blocks' own included, is used once.
    fn refcounts(&mut self) -> Result<()> {
        let used = self.next / CLUSTER;
        // A block counts itself, too.
        let blocks = used.div_ceil(REFCOUNTS - 1);
        let total = used + blocks;
        let mut table = Vec::new();
        for block in 0..blocks {
            let ones = (total - block * REFCOUNTS).min(REFCOUNTS);
            let mut counts = [0_u8, 1].repeat(ones as usize);
            counts.resize(CLUSTER as usize, 0);
            self.put(self.next, &counts)?;
            table.push(self.next);
            self.next += CLUSTER;
        }
        self.put(self.geometry.refcount_table_offset(), &big_endian(&table))
    }
}

fn big_endian(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::super::disk::{Content, Disk};
    use super::*;
    use proptest::prelude::*;

    fn u64_at(bytes: &[u8], at: u64) -> u64 {
        u64::from_be_bytes(bytes[at as usize..at as usize + 8].try_into().unwrap())
    }

    /// Reads an image back by the specification.
    fn read_back(image: &[u8]) -> Vec<u8> {
        let (size, l1) = (u64_at(image, 24), u64_at(image, 40));
        let mut bytes = vec![0; size.next_multiple_of(CLUSTER) as usize];
        for (cluster, into) in (0..).zip(bytes.chunks_mut(CLUSTER as usize)) {
            let table = u64_at(image, l1 + cluster / ENTRIES * 8) & !COPIED;
            let entry = if table == 0 { 0 } else { u64_at(image, table + cluster % ENTRIES * 8) };
            let at = (entry & !COPIED) as usize;
            if at != 0 {
                into.copy_from_slice(&image[at..at + CLUSTER as usize]);
            }
        }
        bytes.truncate(size as usize);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn reads_back((disk, bytes) in random_disk()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("image.qcow2");
            write(&disk, &path).unwrap();
            let image = std::fs::read(&path).unwrap();
            prop_assert!(read_back(&image) == bytes);
            prop_assert!(image.len().is_multiple_of(CLUSTER as usize));
        }
    }

    #[test]
    fn zeros_are_not_allocated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.qcow2");
        let mut disk = Disk::new(3 << 40);
        disk.place(CLUSTER, Content::bytes(vec![0; 5 << 20])).unwrap();
        disk.place(2 << 40, Content::bytes(vec![1; 1])).unwrap();
        write(&disk, &path).unwrap();
        // Header, refcount table, L1, one data cluster, one L2 table, one refcount block.
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 6 * CLUSTER);
    }

    #[test]
    fn the_same_bytes_however_the_source_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [vec![5; 70_000], vec![0; 3 << 20], vec![6; 9]].concat();
        let sparse = folder.path().join("sparse");
        let mut hollow = Disk::new(bytes.len() as u64);
        hollow.place(0, Content::bytes(bytes.clone())).unwrap();
        super::super::raw::write(&hollow, &sparse).unwrap();
        let images = [Content::bytes(bytes), Content::file(&sparse).unwrap()].map(|content| {
            let mut disk = Disk::new(16 << 20);
            disk.place(1000, content).unwrap();
            write(&disk, &folder.path().join("image.qcow2")).unwrap();
            std::fs::read(folder.path().join("image.qcow2")).unwrap()
        });
        assert!(images[0] == images[1]);
    }
}
