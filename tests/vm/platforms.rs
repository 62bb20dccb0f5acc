//! One image boots by both firmwares from all four controllers, and from VMware's.

use crate::vm::ask::boot;
use crate::vm::world;
use imagebuild::vm::{Bus, Firmware};

fn boots(firmware: Firmware, bus: Bus) {
    let name = format!("{firmware:?}-{bus:?}").to_lowercase();
    let config = world().seeded("arch4-web1", &name).platform(firmware, bus);
    // Others run beside it: only some have two processors.
    let mut guest = boot(config.processors(if bus == Bus::VirtioBlk { 2 } else { 1 }));
    let disk = match bus {
        Bus::VirtioBlk => "/dev/vda",
        Bus::VirtioScsi | Bus::VmwareScsi | Bus::Ahci => "/dev/sda",
        Bus::Nvme => "/dev/nvme0n1",
    };
    guest.expect("cat /run/imagebuild/disk /run/imagebuild/slot", &format!("{disk}\na"));
    let mounts = "for at in / /etc /var; do findmnt --noheadings --output FSTYPE $at; done";
    guest.expect(mounts, "overlay\noverlay\next4");
    let by_uefi = guest.holds("test -d /sys/firmware/efi");
    guest.check(by_uefi == (firmware == Firmware::Uefi), "booted by the other firmware");
    guest.is_running();
    guest.stop();
}

macro_rules! platforms {
    ($($name:ident: $firmware:ident, $bus:ident;)*) => {
        $(pub(crate) fn $name() {
            boots(Firmware::$firmware, Bus::$bus);
        })*
    };
}

platforms! {
    bios_from_virtio_blk: Bios, VirtioBlk;
    bios_from_virtio_scsi: Bios, VirtioScsi;
    bios_from_nvme: Bios, Nvme;
    bios_from_ahci: Bios, Ahci;
    bios_from_vmware_scsi: Bios, VmwareScsi;
    uefi_from_virtio_blk: Uefi, VirtioBlk;
    uefi_from_virtio_scsi: Uefi, VirtioScsi;
    uefi_from_nvme: Uefi, Nvme;
    uefi_from_ahci: Uefi, Ahci;
}
