//! The disk map: which partition lies where. A pure function of the image's name and
//! the sizes in the spec, printed by `imagebuild plan` and pinned by a golden.
//!
//! Sizes cannot change once a server is flashed, so an overflow is an error here and
//! never a silent growth.

use super::guid::Guid;
use crate::error::{Error, Result};
use crate::progress;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bytes in a sector; every offset and size in a GPT counts these.
pub const SECTOR: u64 = 512;
/// Bytes in a mebibyte; partitions start and end on multiples.
pub const MIB: u64 = 1 << 20;
/// GRUB's core image and nothing else lives in the BIOS boot partition.
const BIOS_BOOT_SIZE: u64 = MIB;

/// The partitions of every image, in disk order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// GRUB's core image, for machines that boot by BIOS.
    Bios,
    /// The EFI system partition: GRUB, kernels, initramfs.
    Esp,
    /// Slot A, packages layer.
    APackages,
    /// Slot A, configuration layer.
    AConfig,
    /// Slot B, packages layer; empty until the first update.
    BPackages,
    /// Slot B, configuration layer; empty until the first update.
    BConfig,
    /// Secrets and facts of one machine; empty in the image.
    Seed,
    /// `/var`.
    State,
}

impl Label {
    /// Every partition, in disk order.
    pub const ALL: [Label; 8] = [
        Label::Bios,
        Label::Esp,
        Label::APackages,
        Label::AConfig,
        Label::BPackages,
        Label::BConfig,
        Label::Seed,
        Label::State,
    ];

    /// The GPT partition name.
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Bios => "bios",
            Label::Esp => "esp",
            Label::APackages => "a-packages",
            Label::AConfig => "a-config",
            Label::BPackages => "b-packages",
            Label::BConfig => "b-config",
            Label::Seed => "seed",
            Label::State => "state",
        }
    }

    /// The GPT type GUID.
    ///
    /// Slots, seed and state are plain Linux data, not the Discoverable Partitions
    /// types: systemd-gpt-auto-generator would mount those by itself, and two slots
    /// of one type are ambiguous to it. The initramfs names what it wants.
    pub fn type_guid(self) -> Guid {
        match self {
            // "Hah!IdontNeedEFI", https://www.gnu.org/software/grub/manual/grub/html_node/BIOS-installation.html
            Label::Bios => Guid::from_u128(0x21686148_6449_6e6f_744e_656564454649),
            // UEFI 2.10, table 5.7
            Label::Esp => Guid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b),
            // https://uapi-group.org/specifications/specs/discoverable_partitions_specification/
            Label::APackages
            | Label::AConfig
            | Label::BPackages
            | Label::BConfig
            | Label::Seed
            | Label::State => Guid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4),
        }
    }

    fn size(self, sizes: &Sizes) -> u64 {
        match self {
            Label::Bios => BIOS_BOOT_SIZE,
            Label::Esp => sizes.esp,
            Label::APackages | Label::BPackages => sizes.packages,
            Label::AConfig | Label::BConfig => sizes.config,
            Label::Seed => sizes.seed,
            Label::State => sizes.state,
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the first boot does with a partition's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Growth {
    /// Stays as it is in the image.
    Fixed,
    /// Grows to the end of the disk at first boot.
    ToEndOfDisk,
}

/// The sizes that the spec chooses, each in bytes and a multiple of 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// The EFI system partition (typically 256 MiB).
    pub esp: u64,
    /// The packages layer of one slot, with its hash tree (typically 1 GiB).
    pub packages: u64,
    /// The configuration layer of one slot, with its hash tree (typically 256 MiB).
    pub config: u64,
    /// The seed (typically 1 MiB).
    pub seed: u64,
    /// `/var` in the image (typically 512 MiB).
    pub state: u64,
    /// Whether `/var` grows; on database servers the data partition takes the rest.
    pub state_growth: Growth,
    /// The whole disk at least; what the partitions leave is free.
    pub disk: u64,
}

/// One partition of the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its number in the GPT, from 1.
    pub number: u32,
    /// What it is; also its GPT name.
    pub label: Label,
    /// GPT type GUID.
    pub type_guid: Guid,
    /// Unique partition GUID (PARTUUID).
    pub guid: Guid,
    /// First byte, on a multiple of 1 MiB.
    pub offset: u64,
    /// Bytes, a multiple of 1 MiB.
    pub size: u64,
    /// What the first boot does with it.
    pub growth: Growth,
}

impl Partition {
    /// The first sector.
    pub fn first_lba(&self) -> u64 {
        self.offset / SECTOR
    }

    /// The last sector, which still belongs to the partition.
    pub fn last_lba(&self) -> u64 {
        (self.offset + self.size) / SECTOR - 1
    }

    /// Checks that `length` bytes of content fit.
    ///
    /// # Errors
    /// Names the partition, both sizes and what to raise.
    pub fn check_fits(&self, length: u64) -> Result<()> {
        if length <= self.size {
            return Ok(());
        }
        let (label, have, need) = (self.label, self.size, length);
        let error = Error::build(format!("the content of partition `{label}` is too large"))
            .detail(format!("content:   {need} bytes ({})", progress::bytes(need)))
            .detail(format!("partition: {have} bytes ({})", progress::bytes(have)));
        Err(error.hint(match label {
            Label::Bios => {
                "GRUB's core image must fit in 1 MiB: build it with fewer modules".into()
            }
            Label::Esp => raise("esp", need),
            Label::APackages | Label::BPackages => raise("packages", need),
            Label::AConfig | Label::BConfig => raise("configuration", need),
            Label::Seed => raise("seed", need),
            Label::State => raise("state", need),
        }))
    }
}

/// What to do about a partition that is too small, by its key.
fn raise(key: &str, need: u64) -> String {
    format!(
        "write `{key} = \"{}M\"` or more under `[disk]` in site.toml (and raise `smallest`, if it does not fit then), or put less in; machines in use keep the sizes that they were flashed with",
        need.div_ceil(MIB)
    )
}

/// The whole map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The image's name, such as "arch4-web1".
    pub image: String,
    /// The disk's GUID.
    pub disk_guid: Guid,
    /// Bytes of the whole disk: the smallest disk that this image can be flashed to.
    pub size: u64,
    /// The partitions, in disk order.
    pub partitions: Vec<Partition>,
}

impl Layout {
    /// Places the partitions of the image `image` one after another.
    ///
    /// # Errors
    /// When a size is zero, not a multiple of 1 MiB, or absurd.
    pub fn new(image: &str, sizes: &Sizes) -> Result<Layout> {
        let mut partitions: Vec<Partition> = Vec::new();
        // The first MiB holds the MBR and the primary GPT.
        let mut offset = MIB;
        for (number, label) in (1..).zip(Label::ALL) {
            let size = checked_size(label, sizes)?;
            let growth = if label == Label::State { sizes.state_growth } else { Growth::Fixed };
            let guid = Guid::of_name(&format!("{image}/{label}"));
            let type_guid = label.type_guid();
            partitions.push(Partition { number, label, type_guid, guid, offset, size, growth });
            offset += size;
        }
        let disk_guid = Guid::of_name(&format!("{image}/disk"));
        // The last MiB holds the backup GPT.
        let size = (offset + MIB).max(sizes.disk);
        Ok(Layout { image: image.to_owned(), disk_guid, size, partitions })
    }

    /// The partition with this label.
    pub fn partition(&self, label: Label) -> &Partition {
        // `new` makes them all, in the order of the enum.
        &self.partitions[label as usize]
    }
}

fn checked_size(label: Label, sizes: &Sizes) -> Result<u64> {
    const LIMIT: u64 = 1 << 44;
    let size = label.size(sizes);
    if size > 0 && size.is_multiple_of(MIB) && size <= LIMIT {
        return Ok(size);
    }
    Err(Error::input(format!("the size of partition `{label}` cannot be {size} bytes"))
        .hint("sizes under `[disk]` are multiples of 1 MiB, at least 1 MiB and at most 16 TiB"))
}

impl fmt::Display for Layout {
    /// A table, one line a partition: number, label, offset and size in MiB, growth, PARTUUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "disk {} {} MiB {}", self.image, self.size / MIB, self.disk_guid)?;
        for part in &self.partitions {
            let growth = match part.growth {
                Growth::Fixed => "fixed",
                Growth::ToEndOfDisk => "grows",
            };
            let (number, label, guid) = (part.number, part.label, part.guid);
            let (offset, size) = (part.offset / MIB, part.size / MIB);
            writeln!(f, "{number} {label:<10} at {offset:>5} MiB, {size:>5} MiB, {growth} {guid}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn typical() -> Sizes {
        Sizes {
            esp: 256 * MIB,
            packages: 1024 * MIB,
            config: 256 * MIB,
            seed: MIB,
            state: 512 * MIB,
            state_growth: Growth::ToEndOfDisk,
            disk: 0,
        }
    }

    #[test]
    fn overflow_names_partition_sizes_and_remedy() {
        let layout = Layout::new("arch4-web1", &typical()).unwrap();
        let error = layout.partition(Label::AConfig).check_fits(300 * MIB + 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "error: the content of partition `a-config` is too large\n  content:   314572801 bytes (314.6 MB)\n  partition: 268435456 bytes (268.4 MB)\nhint: write `configuration = \"301M\"` or more under `[disk]` in site.toml (and raise `smallest`, if it does not fit then), or put less in; machines in use keep the sizes that they were flashed with"
        );
    }

    #[test]
    fn labels_index_the_partitions() {
        let layout = Layout::new("x", &typical()).unwrap();
        assert!(Label::ALL.iter().all(|&label| layout.partition(label).label == label));
    }

    #[test]
    fn odd_sizes_are_refused() {
        let error = Layout::new("x", &Sizes { seed: 1000, ..typical() }).unwrap_err();
        assert_eq!(error.message(), "the size of partition `seed` cannot be 1000 bytes");
    }

    proptest! {
        #[test]
        fn partitions_are_aligned_and_disjoint(mib in proptest::array::uniform5(1_u64..5000)) {
            let [esp, packages, config, seed, state] = mib.map(|size| size * MIB);
            let sizes = Sizes { esp, packages, config, seed, state, state_growth: Growth::Fixed, disk: 0 };
            let layout = Layout::new("x", &sizes).unwrap();
            let mut end = MIB;
            for part in &layout.partitions {
                prop_assert_eq!(part.offset, end);
                prop_assert!(part.offset.is_multiple_of(MIB));
                end += part.size;
            }
            prop_assert_eq!(layout.size, end + MIB);
        }
    }
}
