//! The partition table as bytes: protective MBR, primary and backup GPT.
//!
//! UEFI 2.10, chapter 5, <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>.
//! 128 entries of 128 bytes, 512-byte sectors.

use super::grub::MBR_CODE;
use crate::plan::guid::Guid;
use crate::plan::layout::{Layout, Partition, SECTOR};

const ENTRIES: usize = 128;
const ENTRY_SIZE: usize = 128;
const HEADER_SIZE: usize = 92;
const SECTOR_BYTES: usize = SECTOR as usize;
/// Sectors of the entry array.
const ENTRY_SECTORS: u64 = (ENTRIES * ENTRY_SIZE) as u64 / SECTOR;

/// Bytes of protective MBR, header and entries at the start of the disk.
pub const PRIMARY_SIZE: usize = SECTOR_BYTES * 2 + ENTRIES * ENTRY_SIZE;
/// Bytes of entries and header at the end of the disk.
pub const BACKUP_SIZE: usize = SECTOR_BYTES + ENTRIES * ENTRY_SIZE;

/// The two ends of a partitioned disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpt {
    /// The first `PRIMARY_SIZE` bytes of the disk.
    pub primary: Vec<u8>,
    /// The last `BACKUP_SIZE` bytes of the disk.
    pub backup: Vec<u8>,
}

impl Gpt {
    /// The table of `layout`, with `boot_code` in the first 440 bytes of the MBR.
    pub fn new(layout: &Layout, boot_code: &[u8; MBR_CODE]) -> Gpt {
        let sectors = layout.size / SECTOR;
        let entries = entry_array(&layout.partitions);
        let header = Header { sectors, disk_guid: layout.disk_guid, entries_crc: crc32(&entries) };
        let primary = [
            &protective_mbr(sectors, boot_code)[..],
            &header.bytes(1, sectors - 1, 2),
            &entries[..],
        ]
        .concat();
        let backup_entries = sectors - 1 - ENTRY_SECTORS;
        let backup = [&entries[..], &header.bytes(sectors - 1, 1, backup_entries)].concat();
        Gpt { primary, backup }
    }
}

struct Header {
    sectors: u64,
    disk_guid: Guid,
    entries_crc: u32,
}

impl Header {
    /// The header's sector (table 5.5) for the copy at sector `own`.
    fn bytes(&self, own: u64, other: u64, entries: u64) -> [u8; SECTOR_BYTES] {
        let mut bytes = [0; SECTOR_BYTES];
        put(&mut bytes, 0, b"EFI PART");
        put(&mut bytes, 8, &0x0001_0000_u32.to_le_bytes());
        put(&mut bytes, 12, &(HEADER_SIZE as u32).to_le_bytes());
        put(&mut bytes, 24, &own.to_le_bytes());
        put(&mut bytes, 32, &other.to_le_bytes());
        put(&mut bytes, 40, &(2 + ENTRY_SECTORS).to_le_bytes());
        put(&mut bytes, 48, &(self.sectors - 2 - ENTRY_SECTORS).to_le_bytes());
        put(&mut bytes, 56, &self.disk_guid.to_gpt());
        put(&mut bytes, 72, &entries.to_le_bytes());
        put(&mut bytes, 80, &(ENTRIES as u32).to_le_bytes());
        put(&mut bytes, 84, &(ENTRY_SIZE as u32).to_le_bytes());
        put(&mut bytes, 88, &self.entries_crc.to_le_bytes());
        // The header's own checksum is computed with its field at zero.
        let crc = crc32(&bytes[..HEADER_SIZE]);
        put(&mut bytes, 16, &crc.to_le_bytes());
        bytes
    }
}

/// One partition record over the whole disk (5.2.3), so that tools that know only
/// the MBR leave the disk alone.
fn protective_mbr(sectors: u64, boot_code: &[u8; MBR_CODE]) -> [u8; SECTOR_BYTES] {
    let mut bytes = [0; SECTOR_BYTES];
    put(&mut bytes, 0, boot_code);
    put(&mut bytes, 447, &[0x00, 0x02, 0x00]);
    bytes[450] = 0xee;
    put(&mut bytes, 451, &[0xff, 0xff, 0xff]);
    put(&mut bytes, 454, &1_u32.to_le_bytes());
    let covered = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    put(&mut bytes, 458, &covered.to_le_bytes());
    put(&mut bytes, 510, &[0x55, 0xaa]);
    bytes
}

fn entry_array(partitions: &[Partition]) -> Vec<u8> {
    let mut bytes = vec![0; ENTRIES * ENTRY_SIZE];
    for part in partitions {
        let start = (part.number as usize - 1) * ENTRY_SIZE;
        put(&mut bytes, start, &entry(part));
    }
    bytes
}

/// One partition entry (table 5.6).
fn entry(part: &Partition) -> [u8; ENTRY_SIZE] {
    let mut bytes = [0; ENTRY_SIZE];
    put(&mut bytes, 0, &part.type_guid.to_gpt());
    put(&mut bytes, 16, &part.guid.to_gpt());
    put(&mut bytes, 32, &part.first_lba().to_le_bytes());
    put(&mut bytes, 40, &part.last_lba().to_le_bytes());
    for (at, unit) in (56..ENTRY_SIZE).step_by(2).zip(part.label.as_str().encode_utf16()) {
        put(&mut bytes, at, &unit.to_le_bytes());
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::layout::tests::typical;

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn crc32_is_the_one_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn both_headers_point_at_each_other() {
        let layout = Layout::new("arch4-web1", &typical()).unwrap();
        let gpt = Gpt::new(&layout, &[0; MBR_CODE]);
        assert_eq!((gpt.primary.len(), gpt.backup.len()), (PRIMARY_SIZE, BACKUP_SIZE));
        let last = layout.size / SECTOR - 1;
        let (front, back) = (&gpt.primary[512..1024], &gpt.backup[gpt.backup.len() - 512..]);
        assert_eq!(&front[..8], b"EFI PART");
        assert_eq!((u64_at(front, 24), u64_at(front, 32)), (1, last));
        assert_eq!((u64_at(back, 24), u64_at(back, 32)), (last, 1));
        assert_eq!((u64_at(front, 72), u64_at(back, 72)), (2, last - 32));
        assert_eq!((u64_at(front, 40), u64_at(front, 48)), (34, last - 33));
    }

    #[test]
    fn entries_say_where_and_what() {
        let layout = Layout::new("arch4-web1", &typical()).unwrap();
        let gpt = Gpt::new(&layout, &[0; MBR_CODE]);
        let esp = &gpt.primary[1024 + 128..1024 + 256];
        assert_eq!((u64_at(esp, 32), u64_at(esp, 40)), (4096, 4096 + 524_288 - 1));
        assert_eq!(&esp[56..64], b"e\0s\0p\0\0\0");
    }
}
