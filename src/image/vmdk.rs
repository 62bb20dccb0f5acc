//! Writes a disk as a stream-optimized VMDK: the form that importers of VMware, of
//! clouds and of VirtualBox take, each piece of 64 KiB compressed by itself.
//!
//! Format: VMware's "Virtual Disk Format 5.0", section "Stream-Optimized Compressed
//! Sparse Extents". What other writers draw at random, the content id, follows from the
//! image's identity here, and the compressor gives the same bytes on every CPU.

use super::disk::Disk;
use super::temporary::write_atomically;
use super::walk;
use crate::error::{Error, Result};
use crate::fs::Sha256Digest;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{BufWriter, Write};
use std::path::Path;

const SECTOR: u64 = 512;
/// A grain: what is compressed, found and left out as one.
const GRAIN: u64 = walk::BLOCK as u64;
const GRAIN_SECTORS: u64 = GRAIN / SECTOR;
/// Entries of a grain table; the format's only choice.
const ENTRIES: u64 = 512;
const DESCRIPTOR_SECTORS: u64 = 20;
/// Sectors before the first grain.
const OVERHEAD: u64 = GRAIN_SECTORS;
/// In the header's place for it: the grain directory is named by the footer.
const AT_END: u64 = u64::MAX;
const MARKER_TABLE: u32 = 1;
const MARKER_DIRECTORY: u32 = 2;
const MARKER_FOOTER: u32 = 3;

/// Writes `disk` to `path`, through a temporary file; `identity` is the image's.
///
/// # Errors
/// When a source cannot be read or the file cannot be written.
pub fn write(disk: &Disk, identity: Sha256Digest, path: &Path) -> Result<Metadata> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write_atomically(path, |file| {
        let mut stream = Stream {
            out: BufWriter::new(file),
            sector: 0,
            tables: BTreeMap::new(),
            size: disk.size(),
        };
        stream.start(&descriptor(disk.size(), identity, &name)).map_err(failed)?;
        walk::each_run(disk, |offset, bytes| stream.data(offset, bytes).map_err(failed))?;
        stream.finish().map_err(failed)
    })
}

struct Stream<W: Write> {
    out: W,
    /// Where the next byte goes, in sectors.
    sector: u64,
    /// Grain tables by their number: sectors of grains.
    tables: BTreeMap<u64, Vec<u32>>,
    /// Bytes of the disk.
    size: u64,
}

impl<W: Write> Stream<W> {
    /// Writes bytes and zeros up to the end of the sector.
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let padding = bytes.len().next_multiple_of(SECTOR as usize) - bytes.len();
        self.out.write_all(bytes)?;
        self.out.write_all(&vec![0; padding])?;
        self.sector += (bytes.len() + padding) as u64 / SECTOR;
        Ok(())
    }

    fn start(&mut self, descriptor: &str) -> std::io::Result<()> {
        self.put(&header(self.size, AT_END))?;
        let mut area = descriptor.as_bytes().to_vec();
        area.resize(((OVERHEAD - 1) * SECTOR) as usize, 0);
        self.put(&area)
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        for (at, block) in (offset..).step_by(GRAIN as usize).zip(bytes.chunks(GRAIN as usize)) {
            if walk::is_zero(block) {
                continue;
            }
            let grain = at / GRAIN;
            let place = u32::try_from(self.sector)
                .map_err(|_| std::io::Error::other("a VMDK extent ends at 2 TiB"))?;
            let table = self.tables.entry(grain / ENTRIES);
            let table = table.or_insert_with(|| vec![0; ENTRIES as usize]);
            table[(grain % ENTRIES) as usize] = place;
            self.put(&marked(at / SECTOR, &compressed(block)?))?;
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        let tables = std::mem::take(&mut self.tables);
        let mut directory = vec![0; (self.size.div_ceil(GRAIN)).div_ceil(ENTRIES) as usize];
        for (number, table) in tables {
            self.put(&marker(ENTRIES * 4 / SECTOR, MARKER_TABLE))?;
            directory[number as usize] = u32::try_from(self.sector)
                .map_err(|_| std::io::Error::other("a VMDK extent ends at 2 TiB"))?;
            self.put(&little_endian(&table))?;
        }
        let directory = little_endian(&directory);
        let sectors = (directory.len() as u64).div_ceil(SECTOR);
        self.put(&marker(sectors, MARKER_DIRECTORY))?;
        let place = self.sector;
        self.put(&directory)?;
        self.put(&marker(1, MARKER_FOOTER))?;
        self.put(&header(self.size, place))?;
        // The end of the stream: a marker of zeros.
        self.put(&[0; SECTOR as usize])?;
        self.out.flush()
    }
}

/// SparseExtentHeader, of the file's start and again (with the directory) of its end.
fn header(size: u64, directory: u64) -> Vec<u8> {
    let mut header = b"KDMV".to_vec();
    header.extend(3_u32.to_le_bytes());
    // Line ends can be tested; compressed grains; markers.
    header.extend(0x0003_0001_u32.to_le_bytes());
    let capacity = size.div_ceil(SECTOR);
    for value in [capacity, GRAIN_SECTORS, 1, DESCRIPTOR_SECTORS] {
        header.extend(value.to_le_bytes());
    }
    header.extend((ENTRIES as u32).to_le_bytes());
    for value in [0, directory, OVERHEAD] {
        header.extend(value.to_le_bytes());
    }
    // Closed cleanly; the line ends that a transfer as text would break; deflate.
    header.extend(b"\0\n \r\n");
    header.extend(1_u16.to_le_bytes());
    header.resize(SECTOR as usize, 0);
    header
}

/// A marker without data of its own: how many sectors follow, and what they are.
fn marker(sectors: u64, kind: u32) -> Vec<u8> {
    let mut marker = sectors.to_le_bytes().to_vec();
    marker.extend(0_u32.to_le_bytes());
    marker.extend(kind.to_le_bytes());
    marker
}

fn marked(sector: u64, compressed: &[u8]) -> Vec<u8> {
    let mut grain = sector.to_le_bytes().to_vec();
    grain.extend((compressed.len() as u32).to_le_bytes());
    grain.extend(compressed);
    grain
}

/// One grain; the disk's end may cut the last one short, and zeros complete it.
fn compressed(block: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(block)?;
    encoder.write_all(&vec![0; GRAIN as usize - block.len()])?;
    encoder.finish()
}

fn little_endian(entries: &[u32]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

/// The text that VMware reads first. The content id changes with the content; all ones
/// stand for "no parent", and a zero for "not set".
fn descriptor(size: u64, identity: Sha256Digest, name: &str) -> String {
    let sectors = size.div_ceil(SECTOR);
    let id = &identity.as_bytes()[..4];
    let id = u32::from_be_bytes([id[0], id[1], id[2], id[3]]).clamp(1, u32::MAX - 1);
    // As for any disk of more than 1 GiB: 255 heads, 63 sectors.
    let cylinders = (sectors / (255 * 63)).clamp(1, 65_535);
    format!(
        "# Disk DescriptorFile
version=1
CID={id:08x}
parentCID=ffffffff
createType=\"streamOptimized\"

# Extent description
RDONLY {sectors} SPARSE \"{name}\"

# The Disk Data Base
#DDB

ddb.adapterType = \"pvscsi\"
ddb.geometry.cylinders = \"{cylinders}\"
ddb.geometry.heads = \"255\"
ddb.geometry.sectors = \"63\"
ddb.virtualHWVersion = \"10\"
"
    )
}

#[cfg(test)]
mod tests {
    use super::super::disk::tests::random_disk;
    use super::super::disk::{Content, Disk};
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn u64_at(image: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(image[at..at + 8].try_into().unwrap())
    }

    fn u32_at(image: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
    }

    fn written(disk: &Disk) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.vmdk");
        write(disk, Sha256Digest::of("image"), &path).unwrap();
        std::fs::read(&path).unwrap()
    }

    /// Reads an image back by the specification, from the footer.
    fn read_back(image: &[u8]) -> Vec<u8> {
        let footer = image.len() - 1024;
        let directory = (u64_at(image, footer + 56) * SECTOR) as usize;
        let size = u64_at(image, footer + 12) * SECTOR;
        let mut bytes = vec![0; size.next_multiple_of(GRAIN) as usize];
        for (grain, into) in bytes.chunks_mut(GRAIN as usize).enumerate() {
            let table = u32_at(image, directory + grain / 512 * 4) as usize * 512;
            let place = if table == 0 { 0 } else { u32_at(image, table + grain % 512 * 4) };
            if place != 0 {
                let at = place as usize * 512;
                assert_eq!(u64_at(image, at) * SECTOR, grain as u64 * GRAIN);
                let end = at + 12 + u32_at(image, at + 8) as usize;
                flate2::read::ZlibDecoder::new(&image[at + 12..end]).read_exact(into).unwrap();
            }
        }
        bytes.truncate(size as usize);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn reads_back((disk, bytes) in random_disk()) {
            let image = written(&disk);
            prop_assert!(read_back(&image) == bytes);
            prop_assert!(image.len().is_multiple_of(512));
        }
    }

    #[test]
    fn zeros_take_no_grains_and_ids_follow_from_the_identity() {
        let mut disk = Disk::new(1 << 40);
        disk.place(1 << 39, Content::bytes(vec![1; 1])).unwrap();
        let image = written(&disk);
        assert!(image.len() < 1 << 20, "{}", image.len());
        assert!(image == written(&disk));
        let text = String::from_utf8_lossy(&image[512..2048]).into_owned();
        let id = &Sha256Digest::of("image").to_string()[..8];
        assert!(text.contains(&format!("\nCID={id}\n")), "{text}");
    }
}
