//! Embeds GRUB for BIOS into a disk without a device, as grub-bios-setup would.
//!
//! Offsets are those of GRUB's include/grub/i386/pc/boot.h and of `setup_boot_image`
//! in util/setup.c, <https://git.savannah.gnu.org/cgit/grub.git/tree/util/setup.c>.
//! No Reed-Solomon codes are added (`--no-rs-codes`): nothing else writes to the
//! BIOS boot partition.

use crate::error::{Error, Result};
use crate::plan::layout::{Partition, SECTOR};

/// Bytes of boot code in an MBR; the disk signature and the partition records follow.
pub const MBR_CODE: usize = 440;

const SECTOR_BYTES: usize = SECTOR as usize;
/// GRUB_BOOT_MACHINE_KERNEL_SECTOR: the core's first sector, u64.
const KERNEL_SECTOR: usize = 0x5c;
/// GRUB_BOOT_MACHINE_BOOT_DRIVE: 0xff is "the drive that the BIOS booted from".
const BOOT_DRIVE: usize = 0x64;
/// GRUB_BOOT_MACHINE_DRIVE_CHECK: a short jump over the workaround for BIOSes that
/// pass a wrong drive number; grub-bios-setup replaces it by two nops on hard disks.
const DRIVE_CHECK: usize = 0x66;
const SHORT_JUMP: u8 = 0xeb;
const NOP: u8 = 0x90;
/// The only block list entry, at the end of the core's first sector (diskboot.img):
/// start u64, sectors u16, segment u16.
const BLOCK_LIST: usize = 0x1f4;
/// GRUB_BOOT_MACHINE_KERNEL_SEG (0x800) and one sector, in paragraphs of 16 bytes.
const SECOND_SECTOR_SEGMENT: u16 = 0x820;

/// GRUB, ready to be written to one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootCode {
    /// The first bytes of the MBR.
    pub mbr: [u8; MBR_CODE],
    /// The content of the BIOS boot partition: whole sectors.
    pub core: Vec<u8>,
}

/// Ties `boot_img` (boot.img, 512 bytes) and `core_img` (made by grub-mkimage for
/// i386-pc) to their place in the partition `bios`.
///
/// # Errors
/// When a file is not what GRUB makes, or the core does not fit.
pub fn embed(boot_img: &[u8], core_img: &[u8], bios: &Partition) -> Result<BootCode> {
    bios.check_fits(core_img.len() as u64)?;
    Ok(BootCode {
        mbr: boot_sector(boot_img, bios.first_lba())?,
        core: core(core_img, bios.first_lba())?,
    })
}

fn boot_sector(boot_img: &[u8], core_lba: u64) -> Result<[u8; MBR_CODE]> {
    if boot_img.len() != SECTOR_BYTES || boot_img[510..] != [0x55, 0xaa] {
        return Err(Error::build("GRUB's boot.img is not a boot sector of 512 bytes"));
    }
    if boot_img[DRIVE_CHECK] != SHORT_JUMP {
        return Err(Error::build("GRUB's boot.img has no drive check at 0x66: unknown version"));
    }
    let mut mbr = [0; MBR_CODE];
    mbr.copy_from_slice(&boot_img[..MBR_CODE]);
    mbr[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&core_lba.to_le_bytes());
    mbr[BOOT_DRIVE] = 0xff;
    mbr[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[NOP, NOP]);
    Ok(mbr)
}

fn core(core_img: &[u8], core_lba: u64) -> Result<Vec<u8>> {
    let sectors = core_img.len().div_ceil(SECTOR_BYTES);
    let rest = sectors
        .checked_sub(1)
        .and_then(|rest| u16::try_from(rest).ok())
        .filter(|&rest| rest > 0)
        .ok_or_else(|| Error::build("GRUB's core.img is shorter than two sectors or too long"))?;
    let mut core = core_img.to_vec();
    core.resize(sectors * SECTOR_BYTES, 0);
    let list = &mut core[BLOCK_LIST..SECTOR_BYTES];
    list[..8].copy_from_slice(&(core_lba + 1).to_le_bytes());
    list[8..10].copy_from_slice(&rest.to_le_bytes());
    list[10..].copy_from_slice(&SECOND_SECTOR_SEGMENT.to_le_bytes());
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::layout::{Label, Layout, tests::typical};

    fn boot_img() -> Vec<u8> {
        let mut boot = vec![0x11; 512];
        boot[0x66..0x68].copy_from_slice(&[0xeb, 0x05]);
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        boot
    }

    #[test]
    fn writes_what_grub_bios_setup_writes() {
        let layout = Layout::new("x", &typical()).unwrap();
        let code = embed(&boot_img(), &[0x22; 1300], layout.partition(Label::Bios)).unwrap();
        assert_eq!(code.mbr[0x5c..0x64], 2048_u64.to_le_bytes());
        assert_eq!(code.mbr[0x64..0x68], [0xff, 0x11, 0x90, 0x90]);
        assert_eq!(code.core.len(), 1536);
        assert_eq!(code.core[0x1f4..0x1fc], 2049_u64.to_le_bytes());
        assert_eq!(code.core[0x1fc..0x200], [2, 0, 0x20, 0x08]);
        assert_eq!(code.core[0x1f3], 0x22);
    }

    #[test]
    fn a_core_that_does_not_fit_is_refused() {
        let layout = Layout::new("x", &typical()).unwrap();
        let error = embed(&boot_img(), &vec![0; (1 << 20) + 1], layout.partition(Label::Bios));
        assert!(error.unwrap_err().to_string().contains("partition `bios` is too large"));
        assert!(embed(&boot_img(), &[0; 512], layout.partition(Label::Bios)).is_err());
        assert!(embed(&[0; 512], &[0; 1024], layout.partition(Label::Bios)).is_err());
    }
}
