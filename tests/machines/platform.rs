//! Firmwares and disk controllers that one image boots from. Each pair is carried by a boot
//! that happens anyway: nine machines that only boot would prove nothing more.

use crate::ask::Guest;
use imagebuild::qemu::{Bus, Firmware, MachineConfig};

/// What a machine boots by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform(pub(crate) Firmware, pub(crate) Bus);

impl Platform {
    pub(crate) fn of(self, config: MachineConfig) -> MachineConfig {
        config.platform(self.0, self.1)
    }

    /// The disk that the guest must have booted from.
    pub(crate) fn disk(self) -> &'static str {
        match self.1 {
            Bus::VirtioBlk => "/dev/vda",
            Bus::VirtioScsi | Bus::VmwareScsi | Bus::Ahci => "/dev/sda",
            Bus::Nvme => "/dev/nvme0n1",
        }
    }

    /// A partition of it, by its number.
    pub(crate) fn partition(self, number: u32) -> String {
        let between = if self.1 == Bus::Nvme { "p" } else { "" };
        format!("{}{between}{number}", self.disk())
    }

    /// The guest was booted by this firmware, from this disk.
    pub(crate) fn check(self, guest: &mut Guest) {
        let disk = self.disk();
        guest.expect("cat /run/imagebuild/disk /run/imagebuild/slot", &format!("{disk}\na"));
        let mounts = "for at in / /etc /var; do findmnt --noheadings --output FSTYPE $at; done";
        guest.expect(mounts, "overlay\noverlay\next4");
        let by_uefi = guest.holds("test -d /sys/firmware/efi");
        guest.check(by_uefi == (self.0 == Firmware::Uefi), "booted by the other firmware");
    }
}
