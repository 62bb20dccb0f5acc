//! Power of a machine that has a disk to come back to: off between two instructions, on
//! again over the same overlay, standing still and going on.

use super::*;
use crate::vm::argv;
use std::time::Instant;

impl Machine {
    /// Pulls the plug: QEMU ends between two of the guest's instructions.
    ///
    /// # Errors
    /// When QEMU does not end.
    pub fn cut_off(&mut self) -> Result<()> {
        self.qmp.execute("quit", json!({}))?;
        self.await_end(Duration::from_secs(30))
    }

    /// Presses the power button and waits until the guest is down.
    ///
    /// # Errors
    /// `Check` when it does not shut down.
    pub fn shut_down(&mut self) -> Result<()> {
        self.press_power()?;
        let limit = self.limit(Duration::from_secs(20)).length();
        self.await_end(limit)
    }

    fn await_end(&self, patience: Duration) -> Result<()> {
        let start = Instant::now();
        while !self.qemu.has_ended() {
            if exec::interrupted() {
                return Err(exec::interruption());
            }
            if start.elapsed() > patience {
                return Err(self.failed("it does not switch itself off"));
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Switches it on again, with the disk that it has, and waits for its shell.
    ///
    /// # Errors
    /// As [`Machine::start`] and [`Machine::wait_for_shell`].
    pub fn switch_on(&mut self, emulator: &Emulator) -> Result<()> {
        let folder = self._folder.path();
        for socket in [argv::QMP, argv::CONSOLE, argv::SHELL] {
            let path = folder.join(socket);
            std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, &e))?;
        }
        let launched = launch::launch(emulator, &self.config, folder);
        let Launched { qmp, console, shell, qemu } =
            launched.map_err(|e| e.context(&self.config.name))?;
        let log = self.config.logs.as_deref().unwrap_or(folder);
        let log = log.join(format!("{}.console-again", self.config.name));
        self.qemu = qemu;
        self.shell = Shell::new(shell)?;
        self.console = Console::new(console, &log)?;
        self.qmp = Qmp::new(qmp)?;
        (self.boot, self.greeted) = (Mark::default(), 0);
        self.wait_for_shell().map(drop)
    }

    /// Whether it is switched on.
    pub fn is_on(&self) -> bool {
        !self.qemu.has_ended()
    }

    /// Stands still: not an instruction, not a packet.
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

    /// The console's last lines.
    pub fn console_tail(&self) -> String {
        self.console.tail()
    }
}
