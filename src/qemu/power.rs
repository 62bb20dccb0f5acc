//! The power of a machine, and what QEMU says of it: off between two instructions, on
//! again over the same disks, standing still and going on.

use super::disk;
use super::launch::{self, Disks, Launched};
use super::machine::{GLANCE, Machine};
use super::qmp::{Qmp, SHUTDOWN};
use super::shell::Shell;
use crate::error::{Error, Result};
use crate::exec;
use serde_json::json;
use std::time::{Duration, Instant};

/// QEMU itself is native: so long it may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

impl Machine {
    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        self.qemu.as_ref().is_some_and(|qemu| !qemu.has_ended())
    }

    /// Pulls the plug: QEMU ends between two of the guest's instructions. The disks stay
    /// for [`Machine::start`]. A QEMU that does not listen is killed.
    ///
    /// # Errors
    /// When the machine is off already.
    pub fn power_off(&mut self) -> Result<()> {
        let Some(qemu) = self.qemu.take() else { return Err(self.is_off()) };
        let start = Instant::now();
        if self.qmp.execute("quit", json!({})).is_ok() {
            while !qemu.has_ended() && start.elapsed() < PATIENCE {
                std::thread::sleep(GLANCE / 10);
            }
        }
        // What has not ended by now ends with its guard.
        drop(qemu);
        Ok(())
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn press_power_button(&mut self) -> Result<()> {
        self.qmp.execute("system_powerdown", json!({})).map(drop)
    }

    /// Presses the power button and waits until the guest has switched itself off.
    ///
    /// # Errors
    /// `Check` when it does not.
    pub fn shut_down(&mut self) -> Result<()> {
        self.press_power_button()?;
        let (start, limit) = (Instant::now(), self.limit(Duration::from_secs(20)).length());
        while self.is_on() {
            if exec::interrupted() {
                return Err(exec::interruption());
            }
            if start.elapsed() > limit {
                return Err(self.failed("it does not switch itself off"));
            }
            std::thread::sleep(GLANCE);
        }
        self.qemu.take().map_or(Ok(()), |qemu| qemu.wait().map(drop))
    }

    /// New disks for a machine that is off, as its image is written on: what it had is gone.
    ///
    /// # Errors
    /// When it is on, or the disks cannot be made.
    pub fn replace_disks(&mut self) -> Result<()> {
        if self.is_on() {
            let message = format!("{} is on: its disks cannot be replaced", self.config.name);
            return Err(Error::check(message).hint("power it off first"));
        }
        let folder = self.folder.path();
        for (number, disk) in self.config.disks().enumerate() {
            let overlay = folder.join(disk::file(number));
            std::fs::remove_file(&overlay).map_err(|e| Error::io("remove", &overlay, &e))?;
            disk.make(&self.emulator, folder, number)?;
        }
        Ok(())
    }

    /// Switches a machine that is off on again, with the disks that it has. It has not
    /// booted yet. Console and alarms go on where they were; cables are plugged in again.
    ///
    /// # Errors
    /// When it is on, or QEMU does not start.
    pub fn start(&mut self) -> Result<()> {
        if self.is_on() {
            return Err(Error::build(format!("{} is switched on already", self.config.name)));
        }
        self.qemu = None;
        let (config, accelerator) = (&self.config, self.accelerator);
        let disks = Disks { folder: self.folder.path(), snapshot: self.snapshot.as_deref() };
        let launched = launch::launch(&self.emulator, config, accelerator, disks, false);
        let Launched { qmp, console, shell, qemu } =
            launched.map_err(|e| e.context(&self.config.name))?;
        self.begin_boot();
        self.console.follow(console)?;
        (self.shell, self.greeted) = (Shell::new(shell)?, 0);
        self.qmp = Qmp::new(qmp)?;
        self.qemu = Some(qemu);
        Ok(())
    }

    /// As [`Machine::start`], and waits for the shell.
    ///
    /// # Errors
    /// As [`Machine::start`] and [`Machine::wait_for_shell`].
    pub fn start_and_wait(&mut self) -> Result<Duration> {
        self.start()?;
        self.wait_for_shell()
    }

    /// Stands still: not an instruction, not a packet, until [`Machine::resume`].
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn pause(&mut self) -> Result<()> {
        self.qmp.execute("stop", json!({})).map(drop)
    }

    /// Goes on.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn resume(&mut self) -> Result<()> {
        self.qmp.execute("cont", json!({})).map(drop)
    }

    /// What QEMU said that happened since it was switched on, such as `RESET`,
    /// `SHUTDOWN`, `STOP`, `RESUME`, `GUEST_PANICKED`, with the time.
    pub fn events(&self) -> Vec<(Instant, String)> {
        self.qmp.events()
    }

    /// The console's last lines.
    pub fn console_tail(&self) -> String {
        self.console.tail()
    }

    /// Sets the link of an interface up or down, and waits until the guest has noticed.
    ///
    /// # Errors
    /// `Check` when the guest's carrier does not change.
    pub fn set_link_and_wait(&mut self, nic: usize, up: bool) -> Result<()> {
        let mac = self.config.nics.get(nic).map(|nic| nic.mac_text());
        let mac = mac.ok_or_else(|| Error::build(format!("there is no interface {nic}")))?;
        self.set_link(nic, up)?;
        // An interface that is down itself tells no carrier at all.
        let wanted = u8::from(up);
        let look = format!(
            "nic=$(dirname $(grep -lx {mac} /sys/class/net/*/address | head -n1)); \
             until [ \"$(cat $nic/carrier 2>/dev/null || echo 0)\" = {wanted} ]; do sleep 0.1; done"
        );
        self.succeed(&look, Duration::from_secs(2)).map(drop)
    }

    /// An error when QEMU has ended, or stands still, without being asked to.
    pub(super) fn check_power(&self) -> Result<()> {
        match &self.qemu {
            None => Err(self.is_off()),
            Some(qemu) if qemu.has_ended() => Err(self.ended_by_itself()),
            Some(_) => self.check_emulator(),
        }
    }

    /// Whether it is off because somebody, or the guest itself, switched it off.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.qemu.as_ref().is_none_or(|qemu| qemu.has_ended() && self.has_said_shutdown())
    }

    fn has_said_shutdown(&self) -> bool {
        self.qmp.events().iter().any(|(_, name)| name == SHUTDOWN)
    }

    /// An error when QEMU died, or stopped the machine: not when it is switched off.
    pub(crate) fn check_emulator(&self) -> Result<()> {
        match &self.qemu {
            Some(qemu) if qemu.has_ended() && !self.has_said_shutdown() => {
                Err(self.ended_by_itself())
            }
            Some(_) if self.has_no_disk() => Err(self.stopped_by_its_disk()),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the host could not read or write the machine's disk; for want of room QEMU
    /// stops it then.
    fn has_no_disk(&self) -> bool {
        self.qmp.events().iter().any(|(_, name)| name == "BLOCK_IO_ERROR")
    }

    fn stopped_by_its_disk(&self) -> Error {
        let folder = self.folder.path();
        let message = format!("{}: this host cannot write its disk any more", self.config.name);
        Error::build(message).detail(format!("it is kept below {}", folder.display())).hint(
            "if that disk is full, make room or name another folder in $TMPDIR; some 2 GB a machine are enough",
        )
    }

    fn ended_by_itself(&self) -> Error {
        let said = self.qmp.events().into_iter().map(|(_, name)| name);
        let said: Vec<String> = said.collect();
        let mut error = Error::build(format!("{}: QEMU ended by itself", self.config.name));
        if !said.is_empty() {
            error = error.detail(format!("its events: {}", said.join(", ")));
        }
        error.detail(self.console.tail())
    }

    fn is_off(&self) -> Error {
        Error::build(format!("{} is switched off", self.config.name))
    }
}
