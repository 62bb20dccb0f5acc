//! Starts QEMU for a machine and takes its calls: the driver listens before QEMU runs,
//! so that nothing has to be tried again until it is there.

use super::argv;
use super::config::{Cable, Firmware, MachineConfig};
use super::disk;
use super::emulator::{Accelerator, Emulator};
use crate::error::{Error, Result};
use crate::exec;
use crate::sandbox::{Running, Sandbox};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// QEMU itself is native: so long it may take until it calls, on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a listener looks whether QEMU is still there.
const GLANCE: Duration = Duration::from_millis(20);

/// A QEMU that has called on all its channels.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) qmp: UnixStream,
    pub(super) console: UnixStream,
    pub(super) shell: UnixStream,
    pub(super) qemu: Running,
}

/// Where a machine's disks are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disks<'a> {
    /// The machine's own folder.
    pub(super) folder: &'a Path,
    /// The snapshot that they lie over.
    pub(super) snapshot: Option<&'a Path>,
}

/// Starts the machine `config`, whose disks are there already; with `waits`, it waits for
/// the memory of its snapshot.
pub(super) fn launch(
    emulator: &Emulator,
    config: &MachineConfig,
    accelerator: Accelerator,
    disks: Disks<'_>,
    waits: bool,
) -> Result<Launched> {
    let listen = |name| listen(&disks.folder.join(name));
    let listeners = [argv::QMP, argv::CONSOLE, argv::SHELL].map(listen);
    write_credentials(config, disks.folder)?;
    let qemu = job(emulator, config, accelerator, disks, waits).spawn()?;
    let mut streams = Vec::new();
    for listener in listeners {
        match accept(&listener?, &qemu)? {
            Some(stream) => streams.push(stream),
            None => return Err(last_words(qemu)),
        }
    }
    let Ok([qmp, console, shell]) = <[UnixStream; 3]>::try_from(streams) else {
        return Err(Error::bug("QEMU has three channels"));
    };
    Ok(Launched { qmp, console, shell, qemu })
}

/// QEMU in its sandbox, with all that it may open.
fn job(
    emulator: &Emulator,
    config: &MachineConfig,
    accelerator: Accelerator,
    disks: Disks<'_>,
    waits: bool,
) -> Sandbox {
    let mut sandbox = emulator.sandbox(disks.folder);
    let mut argv = argv::qemu(config, accelerator);
    if let Some(snapshot) = disks.snapshot {
        sandbox = sandbox.bind(snapshot, disk::SNAPSHOT);
    }
    if waits {
        argv.extend(argv::incoming());
    }
    if accelerator == Accelerator::Kvm {
        sandbox = sandbox.bind("/dev/kvm", "/dev/kvm");
    }
    for (number, disk) in config.disks().enumerate() {
        sandbox = disk.bind(sandbox, number);
    }
    for (number, nic) in config.nics.iter().enumerate() {
        if let Cable::Stream(socket) = &nic.cable {
            sandbox = sandbox.bind_writable(socket, argv::cable_inside(number));
        }
    }
    sandbox.run(argv)
}

/// Writes the files that [`argv::qemu`] names.
fn write_credentials(config: &MachineConfig, folder: &Path) -> Result<()> {
    for (number, credential) in config.credentials.iter().enumerate() {
        let path = folder.join(argv::credential_file(number));
        crate::fs::write_secret(&path, argv::oem_string(credential).as_bytes())?;
    }
    Ok(())
}

/// Makes a machine's disks and its firmware's variables in `folder`.
pub(super) fn prepare(emulator: &Emulator, config: &MachineConfig, folder: &Path) -> Result<()> {
    for (number, disk) in config.disks().enumerate() {
        disk.make(emulator, folder, number)?;
    }
    if config.firmware == Firmware::Uefi {
        let (from, to) = (emulator.uefi_variables(), folder.join("variables.fd"));
        // Written anew, not copied: the store's file is read-only, this one is not.
        let bytes = crate::fs::read(&from)?;
        std::fs::write(&to, bytes).map_err(|e| Error::io("write", &to, &e))?;
    }
    Ok(())
}

fn listen(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        // The machine was on before.
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", path, &e));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|e| Error::io("listen on", path, &e))?;
    listener.set_nonblocking(true).map_err(|e| Error::io("listen on", path, &e))?;
    Ok(listener)
}

/// QEMU's call; none when it ended instead.
fn accept(listener: &UnixListener, qemu: &Running) -> Result<Option<UnixStream>> {
    let failed = |e: std::io::Error| Error::build(format!("cannot take QEMU's call: {e}"));
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).map_err(failed)?;
                return Ok(Some(stream));
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(failed(e)),
        }
        if exec::interrupted() {
            return Err(exec::interruption());
        }
        if qemu.has_ended() {
            return Ok(None);
        }
        std::thread::sleep(GLANCE);
    }
    Err(Error::build("QEMU does not call on its channels"))
}

/// Why a QEMU ended that should not have.
pub(super) fn last_words(qemu: Running) -> Error {
    match qemu.wait() {
        Err(error) => error,
        Ok(outcomes) => Error::build("QEMU ended by itself")
            .detail(outcomes.first().map_or("", |outcome| outcome.output.trim())),
    }
}
