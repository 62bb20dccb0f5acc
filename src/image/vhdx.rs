//! Writes a disk as a dynamic VHDX: the form that Hyper-V and Azure's tools take.
//!
//! Format: Microsoft's [MS-VHDX], <https://learn.microsoft.com/openspecs/windows_protocols/ms-vhdx>.
//! The ids that other writers draw at random (of this writing, of the data, of the
//! virtual disk) follow from the image's identity here, so the file is the same every
//! time; a hypervisor changes them as soon as it opens the file for writing.

use super::disk::Disk;
use super::temporary::write_atomically;
use super::walk;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use crate::plan::guid::Guid;
use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::Path;

const MIB: u64 = 1 << 20;
/// The smallest block that the format allows: an image is mostly empty.
const BLOCK: u64 = MIB;
const SECTOR: u32 = 512;
/// Sectors that modern disks have inside.
const PHYSICAL_SECTOR: u32 = 4096;
/// Blocks for which one entry of a sector bitmap stands between those of blocks.
const CHUNK: u64 = (1 << 23) * SECTOR as u64 / BLOCK;

/// Where things lie, in bytes: two headers, two region tables, an empty log, metadata,
/// the block allocation table, then blocks.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const REGION_TABLES: [u64; 2] = [192 << 10, 256 << 10];
const LOG: u64 = MIB;
const METADATA: u64 = 2 * MIB;
const TABLE: u64 = 3 * MIB;
/// Where items start within the metadata.
const ITEMS: u64 = 64 << 10;

/// States of a block: all zeros, and wholly in the file.
const ZERO: u64 = 2;
const PRESENT: u64 = 6;

const REGION_TABLE_OF_BLOCKS: Guid = Guid::from_u128(0x2dc27766_f623_4200_9d64_115e9bfd4a08);
const REGION_METADATA: Guid = Guid::from_u128(0x8b7ca206_4790_4b9a_b8fe_575f050f886e);
const ITEM_PARAMETERS: Guid = Guid::from_u128(0xcaa16737_fa36_4d43_b3b6_33f0aa44e76b);
const ITEM_SIZE: Guid = Guid::from_u128(0x2fa54224_cd1b_4876_b211_5dbed83bf4b8);
const ITEM_DISK_ID: Guid = Guid::from_u128(0xbeca12ab_b2e6_4523_93ef_c309e000c746);
const ITEM_SECTOR: Guid = Guid::from_u128(0x8141bf1d_a96f_4709_ba47_f233a8faab5f);
const ITEM_PHYSICAL_SECTOR: Guid = Guid::from_u128(0xcda348c7_445d_4471_9cc9_e9885251c556);

/// Writes `disk` to `path`, through a temporary file; `identity` is the image's.
///
/// # Errors
/// When a source cannot be read or the file cannot be written.
pub fn write(disk: &Disk, identity: Sha256Digest, path: &Path) -> Result<Metadata> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    write_atomically(path, |file| {
        let mut blocks = Blocks::new(disk.size(), file);
        walk::each_run(disk, |offset, bytes| blocks.data(offset, bytes).map_err(failed))?;
        blocks.finish(identity).map_err(failed)
    })
}

struct Blocks<'a> {
    file: &'a File,
    /// Bytes of the disk.
    size: u64,
    /// The block allocation table, but for the entries of sector bitmaps.
    places: Vec<u64>,
    /// Where the next block goes.
    next: u64,
}

impl<'a> Blocks<'a> {
    fn new(size: u64, file: &'a File) -> Blocks<'a> {
        let count = size.div_ceil(BLOCK);
        let next = TABLE + table_length(count);
        Blocks { file, size, places: vec![ZERO; count as usize], next }
    }

    /// Takes bytes that lie within one block: the walk's windows are as large, and
    /// aligned alike.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let entry = &mut self.places[(offset / BLOCK) as usize];
        if *entry == ZERO {
            *entry = self.next | PRESENT;
            self.next += BLOCK;
        }
        self.file.write_all_at(bytes, (*entry & !(MIB - 1)) + offset % BLOCK)
    }

    fn finish(self, identity: Sha256Digest) -> std::io::Result<()> {
        let id = |what: &str| Guid::of_name(&format!("{identity}/vhdx/{what}"));
        let put = |bytes: &[u8], at: u64| self.file.write_all_at(bytes, at);
        self.file.set_len(self.next)?;
        let creator: Vec<u8> = "imagebuild".encode_utf16().flat_map(u16::to_le_bytes).collect();
        put(&[&b"vhdxfile"[..], &creator].concat(), 0)?;
        for (sequence, at) in (1..).zip(HEADERS) {
            put(&header(sequence, id("file"), id("data")), at)?;
        }
        let count = self.places.len() as u64;
        for at in REGION_TABLES {
            put(&region_table(table_length(count)), at)?;
        }
        put(&metadata(self.size, id("disk")), METADATA)?;
        put(&table(&self.places), TABLE)
    }
}

/// Bytes of the table for so many blocks: with an entry of a sector bitmap after each
/// chunk but the last one, in whole MiB.
fn table_length(blocks: u64) -> u64 {
    let entries = blocks + blocks.saturating_sub(1) / CHUNK;
    (entries * 8).next_multiple_of(MIB).max(MIB)
}

/// Sector bitmaps are for disks with parents; their entries stay zero.
fn table(places: &[u64]) -> Vec<u8> {
    let chunks = places.chunks(CHUNK as usize);
    let bytes = |chunk: &[u64]| chunk.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let chunks: Vec<Vec<u8>> = chunks.map(bytes).collect();
    chunks.join(&[0; 8][..])
}

fn header(sequence: u64, file: Guid, data: Guid) -> Vec<u8> {
    let mut header = b"head\0\0\0\0".to_vec();
    header.extend(sequence.to_le_bytes());
    header.extend(file.to_gpt());
    header.extend(data.to_gpt());
    // No id of a log: it is empty; its version is 0, the format's is 1.
    header.extend([0; 16 + 2]);
    header.extend(1_u16.to_le_bytes());
    header.extend((MIB as u32).to_le_bytes());
    header.extend(LOG.to_le_bytes());
    checksummed(header, 4096)
}

fn region_table(table_length: u64) -> Vec<u8> {
    let mut regions = b"regi\0\0\0\0".to_vec();
    regions.extend(2_u64.to_le_bytes());
    for (guid, at, length) in
        [(REGION_TABLE_OF_BLOCKS, TABLE, table_length), (REGION_METADATA, METADATA, MIB)]
    {
        regions.extend(guid.to_gpt());
        regions.extend(at.to_le_bytes());
        regions.extend((length as u32).to_le_bytes());
        // Whoever does not know this region must not open the file.
        regions.extend(1_u32.to_le_bytes());
    }
    checksummed(regions, 64 << 10)
}

fn metadata(size: u64, disk: Guid) -> Vec<u8> {
    // Required; and of those, what belongs to the disk and not to the file.
    let (file, virtual_disk) = (4_u32, 6_u32);
    let parameters = (BLOCK as u32).to_le_bytes().into_iter().chain([0; 4]).collect();
    let items: [(Guid, u32, Vec<u8>); 5] = [
        (ITEM_PARAMETERS, file, parameters),
        (ITEM_SIZE, virtual_disk, size.to_le_bytes().to_vec()),
        (ITEM_DISK_ID, virtual_disk, disk.to_gpt().to_vec()),
        (ITEM_SECTOR, virtual_disk, SECTOR.to_le_bytes().to_vec()),
        (ITEM_PHYSICAL_SECTOR, virtual_disk, PHYSICAL_SECTOR.to_le_bytes().to_vec()),
    ];
    let mut table = b"metadata\0\0".to_vec();
    table.extend((items.len() as u16).to_le_bytes());
    table.resize(32, 0);
    let mut values = Vec::new();
    for (guid, flags, value) in items {
        table.extend(guid.to_gpt());
        table.extend((ITEMS as u32 + values.len() as u32).to_le_bytes());
        table.extend((value.len() as u32).to_le_bytes());
        table.extend(flags.to_le_bytes());
        table.extend([0; 4]);
        values.extend(value);
    }
    table.resize(ITEMS as usize, 0);
    [table, values].concat()
}

/// Pads with zeros, and puts the checksum of all into its place at byte 4.
fn checksummed(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0);
    let checksum = crc32c(&bytes);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// CRC-32C (Castagnoli), bit by bit: of some kilobytes only.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::super::disk::{Content, Disk};
    use super::*;
    use proptest::prelude::*;

    fn written(disk: &Disk) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.vhdx");
        write(disk, Sha256Digest::of("image"), &path).unwrap();
        std::fs::read(&path).unwrap()
    }

    /// Reads an image back by the specification, from the table of blocks.
    fn read_back(image: &[u8], size: u64) -> Vec<u8> {
        let mut bytes = vec![0; size.next_multiple_of(BLOCK) as usize];
        for (block, into) in bytes.chunks_mut(BLOCK as usize).enumerate() {
            let entry = TABLE as usize + (block + block / CHUNK as usize) * 8;
            let entry = u64::from_le_bytes(image[entry..entry + 8].try_into().unwrap());
            let at = (entry >> 20 << 20) as usize;
            match entry & 7 {
                PRESENT => into.copy_from_slice(&image[at..at + BLOCK as usize]),
                state => assert_eq!((state, at), (ZERO, 0)),
            }
        }
        bytes.truncate(size as usize);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn reads_back((disk, bytes) in random_disk()) {
            let image = written(&disk);
            prop_assert!(super::tests::read_back(&image, disk.size()) == bytes);
            prop_assert!(image.len().is_multiple_of(MIB as usize));
        }
    }

    #[test]
    fn data_beyond_the_first_chunk_and_the_same_bytes_twice() {
        let mut disk = Disk::new((5 << 30) + 512);
        disk.place(4 << 30, Content::bytes(vec![7; 600])).unwrap();
        let image = written(&disk);
        assert_eq!(image.len() as u64, TABLE + 2 * MIB);
        assert!(image == written(&disk));
        // After 4096 blocks and the entry of their sector bitmap.
        let entry = TABLE as usize + 4097 * 8;
        assert_eq!(image[entry..entry + 8], ((TABLE + MIB) | PRESENT).to_le_bytes());
        assert_eq!(image[(TABLE + MIB) as usize..][..600], [7; 600]);
    }

    #[test]
    fn crc32c_is_the_one_of_the_standard() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
