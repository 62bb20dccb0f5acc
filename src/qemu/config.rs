//! What a machine is made of: a value, with defaults of a small VPS.

use super::disk::DiskConfig;
use std::path::PathBuf;

/// What starts the boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF, without Secure Boot.
    Uefi,
}

/// The controller that the disks hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// /dev/vda
    VirtioBlk,
    /// /dev/sda
    VirtioScsi,
    /// /dev/nvme0n1
    Nvme,
    /// /dev/sda
    Ahci,
    /// VMware's paravirtual SCSI: /dev/sda
    VmwareScsi,
}

/// A network interface, in the order of the kernel's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Its address.
    pub mac: [u8; 6],
    /// What it is plugged into.
    pub cable: Cable,
}

/// What an interface is plugged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cable {
    /// A socket in the run folder on which nobody calls. (A `hubport` without a peer
    /// stalls the interface's transmit queue, and the guest complains every second.)
    Loose,
    /// A unix socket of the host on which a switch listens: frames of Ethernet, each
    /// after its length in four bytes, big-endian.
    Stream(PathBuf),
}

/// A systemd credential, passed in SMBIOS strings of type 11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name, such as `ssh.host-key-ed25519`.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Memory of a machine of which nothing else is said.
pub const MEMORY_MIB: u32 = 1024;

/// A machine that is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineConfig {
    /// What errors call it, and the name of its console's log.
    pub name: String,
    /// The disk that it boots.
    pub disk: DiskConfig,
    /// Disks besides that.
    pub more_disks: Vec<DiskConfig>,
    /// What starts the boot loader.
    pub firmware: Firmware,
    /// The controller of all disks.
    pub bus: Bus,
    /// Memory.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// Network interfaces.
    pub nics: Vec<Nic>,
    /// Credentials.
    pub credentials: Vec<Credential>,
    /// Folder that gets the console's log; it outlives the machine.
    pub logs: Option<PathBuf>,
}

impl MachineConfig {
    /// A machine with this boot disk: BIOS, virtio, 2 processors, 1 GiB, no network.
    pub fn new(name: &str, disk: DiskConfig) -> MachineConfig {
        MachineConfig {
            name: name.to_owned(),
            disk,
            more_disks: Vec::new(),
            firmware: Firmware::Bios,
            bus: Bus::VirtioBlk,
            memory_mib: MEMORY_MIB,
            cpus: 2,
            nics: Vec::new(),
            credentials: Vec::new(),
            logs: None,
        }
    }

    /// Its disks, the one that it boots first.
    pub(super) fn disks(&self) -> impl Iterator<Item = &DiskConfig> {
        std::iter::once(&self.disk).chain(&self.more_disks)
    }

    /// With this firmware and bus.
    #[must_use]
    pub fn platform(mut self, firmware: Firmware, bus: Bus) -> MachineConfig {
        (self.firmware, self.bus) = (firmware, bus);
        self
    }

    /// With one more network interface.
    #[must_use]
    pub fn nic(mut self, cable: Cable) -> MachineConfig {
        let mac = mac_of(&self.name, self.nics.len());
        self.nics.push(Nic { mac, cable });
        self
    }

    /// With one more credential.
    #[must_use]
    pub fn credential(mut self, name: &str, content: impl Into<Vec<u8>>) -> MachineConfig {
        self.credentials.push(Credential { name: name.to_owned(), content: content.into() });
        self
    }

    /// With so much memory, in MiB.
    #[must_use]
    pub fn memory(mut self, mib: u32) -> MachineConfig {
        self.memory_mib = mib;
        self
    }

    /// With so many processors.
    #[must_use]
    pub fn processors(mut self, cpus: u32) -> MachineConfig {
        self.cpus = cpus;
        self
    }

    /// With one more disk.
    #[must_use]
    pub fn second_disk(mut self, disk: DiskConfig) -> MachineConfig {
        self.more_disks.push(disk);
        self
    }

    /// The console's log in this folder.
    #[must_use]
    pub fn logs(mut self, folder: impl Into<PathBuf>) -> MachineConfig {
        self.logs = Some(folder.into());
        self
    }
}

/// The hardware address of a machine's interface: locally administered, the same in every run.
pub(crate) fn mac_of(machine: &str, number: usize) -> [u8; 6] {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    let name = machine.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31) + u16::from(byte));
    let [high, low] = name.to_be_bytes();
    [0x52, 0x54, 0, high, low, number]
}

impl Nic {
    /// `52:54:00:00:00:01`
    pub fn mac_text(&self) -> String {
        let pairs: Vec<String> = self.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(":")
    }
}
