//! QEMU's command line for a machine: a pure function of its configuration. All
//! sockets are in the machine's own folder, and QEMU is the one that calls.

use super::config::{Bus, Cable, Credential, Firmware, MachineConfig};
use super::disk;
use super::emulator::{Accelerator, RUN};
use super::shell::PORT;
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// Sockets on which the driver listens, in the machine's folder.
pub(super) const QMP: &str = "qmp.sock";
/// See [`QMP`].
pub(super) const CONSOLE: &str = "console.sock";
/// See [`QMP`].
pub(super) const SHELL: &str = "shell.sock";

/// The whole command line.
pub(super) fn qemu(config: &MachineConfig, accelerator: Accelerator) -> Vec<String> {
    let mut argv = words(&["qemu-system-x86_64", "-nodefaults", "-no-user-config"]);
    argv.extend(words(&["-display", "none", "-vga", "none", "-machine", "q35,smm=off"]));
    argv.extend(words(&accelerator.argv()));
    argv.extend(["-m".to_owned(), config.memory_mib.to_string()]);
    argv.extend(["-smp".to_owned(), config.cpus.to_string()]);
    argv.extend(["-name".to_owned(), config.name.clone()]);
    argv.extend(firmware(config.firmware));
    argv.extend(channels());
    argv.extend(words(&["-device", "virtio-rng-pci"]));
    argv.extend(disks(config));
    argv.extend(nics(config));
    argv.extend((0..config.credentials.len()).flat_map(smbios));
    argv
}

/// What is added when the machine goes on from a snapshot: it waits for its memory, and
/// then for the word to go on.
pub(super) fn incoming() -> Vec<String> {
    words(&["-incoming", "defer", "-S"])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn firmware(firmware: Firmware) -> Vec<String> {
    match firmware {
        Firmware::Bios => Vec::new(),
        Firmware::Uefi => vec![
            "-drive".to_owned(),
            "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd".to_owned(),
            "-drive".to_owned(),
            format!("if=pflash,format=raw,file={RUN}/variables.fd"),
        ],
    }
}

/// QMP, the serial console, and the port of the shell: virtserialport, not
/// virtconsole, on which systemd would put a login prompt.
fn channels() -> Vec<String> {
    let socket =
        |id: &str, name: &str| ["-chardev".to_owned(), format!("socket,id={id},path={RUN}/{name}")];
    let mut argv = Vec::new();
    argv.extend(socket("qmp", QMP));
    argv.extend(words(&["-mon", "chardev=qmp,mode=control"]));
    argv.extend(socket("console", CONSOLE));
    argv.extend(words(&["-serial", "chardev:console"]));
    argv.extend(socket("shell", SHELL));
    argv.extend(words(&["-device", "virtio-serial-pci"]));
    argv.extend(["-device".to_owned(), format!("virtserialport,chardev=shell,name={PORT}")]);
    argv
}

fn disks(config: &MachineConfig) -> Vec<String> {
    let mut argv = match config.bus {
        Bus::VirtioScsi => words(&["-device", "virtio-scsi-pci,id=scsi"]),
        Bus::VmwareScsi => words(&["-device", "pvscsi,id=scsi"]),
        Bus::VirtioBlk | Bus::Nvme | Bus::Ahci => Vec::new(),
    };
    for (number, _) in config.disks().enumerate() {
        let file = disk::inside(number);
        // Flushes are left out: a power cut here is the guest's, never the host's.
        argv.extend([
            "-drive".to_owned(),
            format!("if=none,id=disk{number},format=qcow2,cache=unsafe,discard=unmap,file={file}"),
        ]);
        let device = match config.bus {
            Bus::VirtioBlk => "virtio-blk-pci".to_owned(),
            Bus::VirtioScsi | Bus::VmwareScsi => "scsi-hd,bus=scsi.0".to_owned(),
            Bus::Nvme => format!("nvme,serial=disk{number}"),
            Bus::Ahci => format!("ide-hd,bus=ide.{number}"),
        };
        argv.extend([
            "-device".to_owned(),
            format!("{device},drive=disk{number},bootindex={number}"),
        ]);
    }
    argv
}

fn nics(config: &MachineConfig) -> Vec<String> {
    let mut argv = Vec::new();
    for (number, nic) in config.nics.iter().enumerate() {
        let (server, path) = match &nic.cable {
            Cable::Loose => ("on", format!("{RUN}/net{number}.sock")),
            Cable::Stream(_) => ("off", cable_inside(number)),
        };
        argv.extend([
            "-netdev".to_owned(),
            format!("stream,id=net{number},server={server},addr.type=unix,addr.path={path}"),
            "-device".to_owned(),
            // No boot ROM: nothing here boots from a network.
            format!("virtio-net-pci,netdev=net{number},mac={},romfile=", nic.mac_text()),
        ]);
    }
    argv
}

/// Where the socket of an interface's switch is seen inside the sandbox.
pub(super) fn cable_inside(number: usize) -> String {
    format!("/run/cables/{number}.sock")
}

/// The file of a credential, in the machine's folder: command lines are everybody's to read.
pub(super) fn credential_file(number: usize) -> String {
    format!("credential{number}")
}

fn smbios(number: usize) -> [String; 2] {
    ["-smbios".to_owned(), format!("type=11,path={RUN}/{}", credential_file(number))]
}

/// A credential as systemd reads it from SMBIOS; as text where it can be, because the
/// initramfs reads the machine id without systemd's help.
pub(super) fn oem_string(credential: &Credential) -> String {
    let (name, content) = (&credential.name, &credential.content);
    let is_text = content.iter().all(|byte| (b' '..=b'~').contains(byte));
    if is_text && !content.is_empty() {
        format!("io.systemd.credential:{name}={}", String::from_utf8_lossy(content))
    } else {
        format!("io.systemd.credential.binary:{name}={}", BASE64_STANDARD.encode(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::disk::DiskConfig;

    #[test]
    fn says_what_the_machine_is() {
        let config = MachineConfig::new("web1", DiskConfig::of_image("out/x.qcow2"))
            .platform(Firmware::Uefi, Bus::VirtioScsi)
            .nic(Cable::Loose)
            .credential("a.text", "x,y")
            .credential("a.key", "x\n");
        let line = qemu(&config, Accelerator::Tcg).join(" ");
        for part in [
            "-machine q35,smm=off -accel tcg,thread=multi -cpu max,-erms,-fsrm,-la57,-smap,-smep,-umip,-fsgsbase,-pku -m 1024 -smp 2 -name web1",
            "readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
            "-device scsi-hd,bus=scsi.0,drive=disk0,bootindex=0",
            "-netdev stream,id=net0,server=on,addr.type=unix,addr.path=/run/vm/net0.sock",
            "-smbios type=11,path=/run/vm/credential0 -smbios type=11,path=/run/vm/credential1",
        ] {
            assert!(line.contains(part), "{part}\nis not in\n{line}");
        }
        assert!(!line.contains("out/x.qcow2"), "the image is only below the overlay");
        assert!(!line.contains("x,y") && !line.contains("eAo="), "secrets are in files");
        let strings: Vec<String> = config.credentials.iter().map(oem_string).collect();
        assert_eq!(
            strings,
            ["io.systemd.credential:a.text=x,y", "io.systemd.credential.binary:a.key=eAo="]
        );
    }
}
