//! A machine that is on: watched, spoken to, rebooted, cut off, switched off.

use super::config::MachineConfig;
use super::console::{Alarm, Console, Mark};
use super::deadline::{Limit, Speed};
use super::emulator::{Accelerator, Emulator};
use super::folder::RunFolder;
use super::kvm::accelerator;
use super::launch::{self, Disks, Launched};
use super::qmp::Qmp;
use super::shell::{self, Shell};
use crate::error::{Error, Result};
use crate::exec::{self, Output};
use crate::progress::Status;
use crate::sandbox::Running;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Native time from power-on to the shell's greeting, firmware and boot loader included.
const BOOT: Duration = Duration::from_secs(5);
/// How often a wait looks whether it has become pointless.
pub(super) const GLANCE: Duration = Duration::from_millis(100);
/// What takes longer is shown to who waits for it.
const LONG: Duration = Duration::from_secs(1);
/// Emulators panic now and then before systemd runs; more often is the image's fault.
const PANICS_FORGIVEN: u32 = 1;
/// A guest that was told to restart does so once, firmware once more; a guest that does it
/// more often in one boot will never be up.
const RESTARTS: usize = 2;

/// A machine; dropping it is pulling its plug and scrapping its disks.
#[derive(Debug)]
pub struct Machine {
    pub(super) config: MachineConfig,
    pub(super) emulator: Emulator,
    pub(super) accelerator: Accelerator,
    pub(super) speed: Speed,
    pub(super) shell: Shell,
    pub(super) qmp: Qmp,
    pub(super) console: Console,
    /// Where the present boot starts on the console.
    pub(super) boot: Mark,
    /// When it started.
    pub(super) booted: Instant,
    /// Greetings of boots that were waited for.
    pub(super) greeted: usize,
    /// From where to where boots went on the console that ended in a forgiven panic.
    forgiven: Vec<(Mark, Mark)>,
    // Dropped before the folder, which QEMU uses until it has ended. None: it is off.
    pub(super) qemu: Option<Running>,
    pub(super) folder: RunFolder,
    /// The snapshot's folder that its disks lie over.
    pub(super) snapshot: Option<PathBuf>,
}

impl Machine {
    /// Switches a machine on. It has not booted yet: see [`Machine::wait_for_shell`].
    ///
    /// # Errors
    /// When its disks cannot be made or QEMU does not start.
    pub fn launch(emulator: &Emulator, config: MachineConfig) -> Result<Machine> {
        Machine::launch_with(emulator, config, accelerator()?)
    }

    /// As [`Machine::launch`], whatever has been probed.
    pub(super) fn launch_with(
        emulator: &Emulator,
        mut config: MachineConfig,
        accelerator: Accelerator,
    ) -> Result<Machine> {
        let folder = RunFolder::new()?;
        config.credentials.extend(shell::credentials());
        launch::prepare(emulator, &config, folder.path())?;
        let disks = Disks { folder: folder.path(), snapshot: None };
        let launched = launch::launch(emulator, &config, accelerator, disks, false);
        let launched = launched.map_err(|e| e.context(&config.name))?;
        Machine::of(launched, emulator, config, accelerator, folder)
    }

    pub(super) fn of(
        launched: Launched,
        emulator: &Emulator,
        config: MachineConfig,
        accelerator: Accelerator,
        folder: RunFolder,
    ) -> Result<Machine> {
        let Launched { qmp, console, shell, qemu } = launched;
        let log = config.logs.as_deref().unwrap_or(folder.path());
        Ok(Machine {
            emulator: emulator.clone(),
            accelerator,
            speed: Speed::assumed(accelerator),
            shell: Shell::new(shell)?,
            console: Console::new(console, &log.join(format!("{}.console", config.name)))?,
            qmp: Qmp::new(qmp)?,
            boot: Mark::default(),
            booted: Instant::now(),
            greeted: 0,
            forgiven: Vec::new(),
            config,
            qemu: Some(qemu),
            folder,
            snapshot: None,
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// How fast it is; measured at each greeting of its shell.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// How often the kernel panicked before systemd ran, and was forgiven.
    pub fn forgiven_panics(&self) -> u32 {
        u32::try_from(self.forgiven.len()).unwrap_or(u32::MAX)
    }

    /// Waits until the shell of the present boot greets; gives the guest's uptime then.
    ///
    /// # Errors
    /// `Check` when the guest does not get there, `Build` when QEMU ends.
    pub fn wait_for_shell(&mut self) -> Result<Duration> {
        let greeting = loop {
            let number = self.greeted;
            let limit = self.limit(BOOT);
            let waited = self.wait("its shell answers", limit, |machine, patience| {
                machine.shell.greeting(number, patience)
            });
            match waited {
                Err(_) if self.is_emulators_panic() => {
                    crate::progress::warn(format!("{}: kernel panic at boot", self.config.name));
                    let from = self.boot;
                    self.reset()?;
                    self.forgiven.push((from, self.boot));
                }
                other => break other?,
            }
        };
        self.greeted = self.shell.greetings();
        self.speed = Speed::measured(greeting);
        Ok(greeting)
    }

    /// Runs a command in the guest, for `native` seconds (scaled) at most, and gives its
    /// output, whatever its exit code; 124 says that the time was over.
    ///
    /// # Errors
    /// `Check` when no answer comes, `Build` when the harness broke.
    pub fn run(&mut self, command: &str, native: Duration) -> Result<Output> {
        // The guest's own `timeout` ends it; this limit is for a guest that is gone.
        self.run_or_give_up(command, native, native * 2 + BOOT)
    }

    /// As [`Machine::run`], of a guest that may well be gone, and is not worth waiting for
    /// longer than `patience` (native).
    pub(crate) fn run_or_give_up(
        &mut self,
        command: &str,
        native: Duration,
        patience: Duration,
    ) -> Result<Output> {
        let limit = self.limit(native);
        let number = self.shell.send(command, limit.length())?;
        let longer = self.limit(patience);
        self.wait(&format!("`{command}` ends"), longer, |machine, patience| {
            machine.shell.answer(number, patience)
        })
    }

    /// Runs a command that must end with 0; gives what it printed, without the last
    /// line's end.
    ///
    /// # Errors
    /// As [`Machine::run`], and `Check` when it ends with anything else.
    pub fn succeed(&mut self, command: &str, native: Duration) -> Result<String> {
        let output = self.run(command, native)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.code == 0 {
            return Ok(text(&output.stdout));
        }
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let name = &self.config.name;
        Err(Error::check(format!("{name}: `{command}` ended with {}", output.code))
            .detail(stdout)
            .detail(stderr)
            .detail(self.console.tail()))
    }

    /// Waits until one of `words` is on the console of the present boot; gives the line.
    ///
    /// # Errors
    /// As [`Machine::wait_for_shell`].
    pub fn wait_for_console(&self, words: &[&str], native: Duration) -> Result<String> {
        let (from, what) = (self.boot, format!("the console says {words:?}"));
        let limit = self.limit(native);
        self.wait(&what, limit, |machine, patience| machine.console.said(words, from, patience))
    }

    /// What the console has said in the present boot.
    pub fn console(&self) -> String {
        self.console.text(self.boot)
    }

    /// What no healthy machine says, with the lines, over all boots but those whose panic was
    /// forgiven.
    pub fn alarms(&self) -> Vec<(Alarm, String)> {
        let is_in = |at: Mark| move |(from, to): &(Mark, Mark)| (*from..*to).contains(&at);
        let all = self.console.alarms().into_iter();
        let counted = all.filter(|(at, _, _)| !self.forgiven.iter().any(is_in(*at)));
        counted.map(|(_, alarm, line)| (alarm, line)).collect()
    }

    /// Restarts the guest in an orderly way and waits for its shell.
    ///
    /// # Errors
    /// As [`Machine::wait_for_shell`].
    pub fn reboot(&mut self) -> Result<Duration> {
        self.begin_boot();
        self.greeted = self.shell.greetings();
        let limit = self.limit(BOOT).length();
        self.shell.send("systemctl --no-block reboot", limit)?;
        self.wait_for_shell()
    }

    /// Is told before something else restarts the guest: [`Machine::wait_for_shell`] then waits
    /// for the shell of the next boot.
    pub fn expect_restart(&mut self) {
        self.begin_boot();
        self.greeted = self.shell.greetings();
    }

    /// Resets the guest between two instructions; what it had not written is gone.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn reset(&mut self) -> Result<()> {
        self.begin_boot();
        self.greeted = self.shell.greetings();
        self.qmp.execute("system_reset", json!({})).map(drop)
    }

    /// Makes a disk larger, by its number, as a provider does while the machine runs.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn grow_disk(&mut self, disk: usize, bytes: u64) -> Result<()> {
        let arguments = json!({ "device": format!("disk{disk}"), "size": bytes });
        self.qmp.execute("block_resize", arguments).map(drop)
    }

    /// Sets the link of an interface up or down, by its number. The guest may not notice at once:
    /// look at its carrier.
    ///
    /// # Errors
    /// When QEMU does not do it.
    pub fn set_link(&mut self, nic: usize, up: bool) -> Result<()> {
        let arguments = json!({ "name": format!("net{nic}"), "up": up });
        self.qmp.execute("set_link", arguments).map(drop)
    }

    /// QEMU's word for the machine's state: `running`, `paused`, `shutdown` ...
    ///
    /// # Errors
    /// When QEMU does not tell.
    pub fn status(&mut self) -> Result<String> {
        let status = self.qmp.execute("query-status", json!({}))?;
        let word = status["status"].as_str().map(str::to_owned);
        word.ok_or_else(|| Error::build("QEMU tells no status"))
    }

    /// Ends the machine; an error if it ever logged a panic, an oops or an out-of-memory kill.
    ///
    /// # Errors
    /// `Check` for alarms, `Build` when QEMU does not end.
    pub fn check_and_kill(mut self) -> Result<()> {
        let alarms = self.alarms();
        self.kill()?;
        if alarms.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = alarms.into_iter().map(|(_, line)| line).collect();
        let message =
            format!("{} logged a panic, an oops or an out-of-memory kill", self.config.name);
        Err(Error::check(message).detail(lines.join("\n")))
    }

    /// Ends the machine, whatever it said.
    ///
    /// # Errors
    /// When QEMU does not end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let Some(qemu) = self.qemu.take() else { return Ok(()) };
        self.qmp.execute("quit", json!({}))?;
        qemu.wait().map(drop)
    }

    /// An expectation that did not hold, with the console's last lines.
    pub fn failed(&self, what: &str) -> Error {
        Error::check(format!("{}: {what}", self.config.name))
            .detail("the console's last lines:")
            .detail(self.console.tail())
    }

    pub(crate) fn limit(&self, native: Duration) -> Limit {
        self.speed.limit(native)
    }

    pub(super) fn wait<T>(
        &self,
        what: &str,
        limit: Limit,
        mut look: impl FnMut(&Machine, Duration) -> Option<T>,
    ) -> Result<T> {
        let (start, status) = (Instant::now(), Status::new());
        loop {
            if let Some(found) = look(self, limit.left().unwrap_or_default().min(GLANCE)) {
                return Ok(found);
            }
            if exec::interrupted() {
                return Err(exec::interruption());
            }
            self.check_power()?;
            if start.elapsed() > LONG {
                let passed = start.elapsed().as_secs();
                status.show(|| format!("{}, {passed} s: until {what}", self.config.name));
            }
            if let Some(line) = self.panic() {
                return Err(self.failed(&format!("waited until {what}, but: {line}")));
            }
            let restarts = self.restarts();
            if restarts > RESTARTS {
                let why = format!("but it starts again and again ({restarts} times)");
                return Err(self.failed(&format!("waited until {what}, {why}")));
            }
            if limit.left().is_none() {
                let seconds = limit.length().as_secs();
                return Err(self.failed(&format!("not within {seconds} s: {what}")));
            }
        }
    }

    /// What was said, and what happened, from now on is the next boot's.
    pub(super) fn begin_boot(&mut self) {
        self.boot = self.console.mark();
        self.booted = Instant::now();
    }

    /// How often the machine was reset in the present boot, by whomever.
    fn restarts(&self) -> usize {
        let events = self.events().into_iter();
        events.filter(|(at, name)| *at >= self.booted && name == "RESET").count()
    }

    /// The kernel's panic in the present boot.
    fn panic(&self) -> Option<String> {
        let alarms = self.console.alarms().into_iter();
        let mut panics = alarms.filter(|(at, alarm, _)| *at >= self.boot && *alarm == Alarm::Panic);
        panics.next().map(|(_, _, line)| line)
    }

    /// Whether the panic can be the emulator's: nothing of systemd had run.
    fn is_emulators_panic(&self) -> bool {
        let systemd_ran =
            self.console().contains("systemd[1]") || self.shell.greetings() > self.greeted;
        self.panic().is_some() && !systemd_ran && self.forgiven_panics() < PANICS_FORGIVEN
    }
}
