//! Snapshots of machines that run, to disk: memory by migration into a file that can be
//! mapped, disks as overlays that are never written again. Many scenarios start from one
//! boot. <https://www.qemu.org/docs/master/devel/migration/mapped-ram.html>

use super::config::{Firmware, MachineConfig};
use super::deadline::Speed;
use super::disk;
use super::emulator::{Accelerator, Emulator};
use super::folder::RunFolder;
use super::launch::{self, Disks};
use super::machine::Machine;
use crate::error::{Error, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// QEMU writes or reads a gigabyte; the host's disk may be slow.
const PATIENCE: Duration = Duration::from_secs(120);
const GLANCE: Duration = Duration::from_millis(20);
const MEMORY: &str = "memory";
const VARIABLES: &str = "variables.fd";

/// A machine as it was at one moment; it can go on from there as often as wanted, also
/// several times at once. The folder's owner removes it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    folder: PathBuf,
    /// What the machine is made of. Its cables may be others when it goes on.
    pub config: MachineConfig,
    accelerator: Accelerator,
    speed: Speed,
}

/// Takes a snapshot of machines that run, all at one moment as far as they can tell:
/// none runs until all are saved. They go on afterwards. Each has a folder of its name in
/// `folder`, which must outlive the snapshots.
///
/// # Errors
/// When a machine is off, or its state cannot be written (a full disk).
pub fn snapshot(machines: &mut [&mut Machine], folder: &Path) -> Result<Vec<Snapshot>> {
    for machine in &mut *machines {
        machine.pause()?;
    }
    let taken: Result<Vec<Snapshot>> =
        machines.iter_mut().map(|machine| machine.save(folder)).collect();
    for machine in machines {
        machine.resume()?;
    }
    taken
}

/// Machines that go on from their snapshots, all started before the first one runs.
///
/// # Errors
/// When QEMU does not start, or does not take the memory.
pub fn restore(emulator: &Emulator, snapshots: &[Snapshot]) -> Result<Vec<Machine>> {
    let loaded: Result<Vec<Machine>> = std::thread::scope(|scope| {
        let load = |one| scope.spawn(move || Machine::load(emulator, one));
        let threads: Vec<_> = snapshots.iter().map(load).collect();
        let died = |_| Err(Error::bug("a thread that restored a machine died"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect()
    });
    let mut machines = loaded?;
    for machine in &mut machines {
        machine.resume()?;
    }
    Ok(machines)
}

impl Machine {
    fn save(&mut self, folder: &Path) -> Result<Snapshot> {
        let name = self.config.name.clone();
        if self.snapshot.is_some() {
            return Err(Error::build(format!("{name} goes on from a snapshot itself"))
                .hint("take all snapshots of machines that were booted"));
        }
        let folder = folder.join(&name);
        crate::fs::create_dir_all(&folder)?;
        self.save_memory().map_err(|e| e.context(format!("{name}: no snapshot")))?;
        let mut files = vec![MEMORY.to_owned()];
        files.extend((0..self.config.disks().count()).map(disk::file));
        if self.config.firmware == Firmware::Uefi {
            files.push(VARIABLES.to_owned());
        }
        for file in files {
            let (from, to) = (self.folder.path().join(&file), folder.join(&file));
            copy(&from, &to)?;
        }
        let memory = self.folder.path().join(MEMORY);
        std::fs::remove_file(&memory).map_err(|e| Error::io("remove", &memory, &e))?;
        let (config, accelerator, speed) = (self.config.clone(), self.accelerator, self.speed);
        Ok(Snapshot { folder, config, accelerator, speed })
    }

    fn save_memory(&mut self) -> Result<()> {
        self.prepare_migration()?;
        let uri = format!("file:{}/{MEMORY}", super::emulator::RUN);
        self.qmp.execute("migrate", json!({ "uri": uri }))?;
        self.await_migration()
    }

    fn load(emulator: &Emulator, snapshot: &Snapshot) -> Result<Machine> {
        let folder = RunFolder::new()?;
        let Snapshot { config, accelerator, .. } = snapshot;
        for (number, disk) in config.disks().enumerate() {
            disk.make_over(emulator, &snapshot.folder, folder.path(), number)?;
        }
        if config.firmware == Firmware::Uefi {
            copy(&snapshot.folder.join(VARIABLES), &folder.path().join(VARIABLES))?;
        }
        let disks = Disks { folder: folder.path(), snapshot: Some(&snapshot.folder) };
        let launched = launch::launch(emulator, config, *accelerator, disks, true);
        let launched = launched.map_err(|e| e.context(&config.name))?;
        let mut machine = Machine::of(launched, emulator, config.clone(), *accelerator, folder)?;
        machine.speed = snapshot.speed;
        machine.snapshot = Some(snapshot.folder.clone());
        machine.load_memory().map_err(|e| e.context(format!("{}: not restored", config.name)))?;
        Ok(machine)
    }

    fn load_memory(&mut self) -> Result<()> {
        self.prepare_migration()?;
        let uri = format!("file:{}/{MEMORY}", disk::SNAPSHOT);
        self.qmp.execute("migrate-incoming", json!({ "uri": uri }))?;
        self.await_migration()
    }

    fn prepare_migration(&mut self) -> Result<()> {
        let mapped = json!({ "capability": "mapped-ram", "state": true });
        self.qmp.execute("migrate-set-capabilities", json!({ "capabilities": [mapped] }))?;
        // The default holds back for the network of somebody's cluster.
        self.qmp.execute("migrate-set-parameters", json!({ "max-bandwidth": 1_u64 << 40 }))?;
        Ok(())
    }

    fn await_migration(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let state = self.qmp.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let why = state["error-desc"].as_str().unwrap_or("QEMU does not say why");
                    return Err(Error::build(why).explain_full_disk());
                }
                _ => std::thread::sleep(GLANCE),
            }
            self.check_power()?;
        }
        Err(Error::build("QEMU does not finish"))
    }
}

/// Copies a file; holes in it cost nothing where the file system can.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).map(drop).map_err(|e| Error::io("write", to, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "some memory").unwrap();
        let error = copy(file.path(), Path::new("/dev/full")).unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
        assert!(error.to_string().contains("disk is full"), "{error}");
    }
}
