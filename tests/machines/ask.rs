//! What tests ask of machines. Times are those of a machine with KVM; a failure shows
//! what the command said and the console's last lines.

use crate::platform::Platform;
use crate::setup::world;
use imagebuild::qemu::{Machine, MachineConfig};
use std::time::Duration;

/// A machine that is on.
pub(crate) struct Guest {
    pub(crate) machine: Machine,
}

/// Seconds of a machine with KVM.
pub(crate) const fn native(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Switches a machine on.
pub(crate) fn start(config: MachineConfig) -> Guest {
    let machine = Machine::launch(&world().emulator, config).unwrap_or_else(|e| panic!("{e}"));
    Guest { machine }
}

/// Switches a machine on and waits for its shell.
pub(crate) fn boot(config: MachineConfig) -> Guest {
    let mut guest = start(config);
    guest.wait_for_shell();
    guest
}

/// The same on a platform, which it must have booted by.
pub(crate) fn boot_on(platform: Platform, config: MachineConfig) -> Guest {
    let mut guest = boot(platform.of(config));
    platform.check(&mut guest);
    guest
}

impl Guest {
    pub(crate) fn wait_for_shell(&mut self) {
        let uptime = self.machine.wait_for_shell().unwrap_or_else(|e| panic!("{e}"));
        let (name, slowdown) = (&self.machine.config().name, self.machine.speed().slowdown());
        eprintln!("{name}: shell after {:.1} s, slowdown {slowdown:.1}", uptime.as_secs_f64());
    }

    /// Restarts the guest, which must let go of all its disks.
    pub(crate) fn reboot(&mut self) {
        self.machine.reboot().unwrap_or_else(|e| panic!("{e}"));
        let console = self.machine.console();
        let failed: Vec<&str> = console.lines().filter(|line| line.contains("FAILED")).collect();
        self.check(failed.is_empty(), &format!("at shutdown or after it: {failed:?}"));
    }

    /// What a command prints; it must end with 0.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.machine.succeed(command, native(3)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Whether a command ends with 0.
    pub(crate) fn holds(&mut self, command: &str) -> bool {
        self.machine.run(command, native(3)).unwrap_or_else(|e| panic!("{e}")).code == 0
    }

    /// A command that ends with 0 within so many native seconds, tried until it does.
    pub(crate) fn within(&mut self, limit: Duration, command: &str) {
        let until = format!("until {command}; do sleep 0.3; done");
        self.machine.succeed(&until, limit).unwrap_or_else(|e| panic!("{e}"));
    }

    /// What must hold, else the test fails with the console's tail.
    pub(crate) fn check(&self, holds: bool, what: &str) {
        assert!(holds, "{}", self.machine.failed(what));
    }

    /// A question whose answer is known.
    pub(crate) fn expect(&mut self, command: &str, answer: &str) {
        let said = self.ask(command);
        self.check(said == answer, &format!("`{command}` says {said:?}, not {answer:?}"));
    }

    /// A question whose answer holds these words.
    pub(crate) fn expect_in(&mut self, command: &str, words: &[&str]) {
        let said = self.ask(command);
        for word in words {
            self.check(said.contains(word), &format!("`{command}` lacks {word:?}:\n{said}"));
        }
    }

    /// All units are as they should be, and systemd had to break no cycle.
    pub(crate) fn is_running(&mut self) {
        let asked = self.machine.run("systemctl is-system-running --wait", native(20));
        let said = asked.unwrap_or_else(|e| panic!("{e}")).stdout;
        if said != b"running\n" {
            let failed = "systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend; journalctl -b -p err --no-pager -n 20";
            let (said, failed) = (String::from_utf8_lossy(&said).into_owned(), self.ask(failed));
            self.check(false, &format!("the system is {}:\n{failed}", said.trim()));
        }
        let cycles = "! journalctl -b -q --no-pager --grep='ordering cycle|oom-kill|segfault at'";
        self.ask(cycles);
    }

    /// An HTTP answer, status line and all.
    pub(crate) fn http(&mut self, host: &str, path: &str) -> String {
        self.ask(&format!(
            "bash -c 'exec 3<>/dev/tcp/{host}/80; printf \"GET {path} HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n\" >&3; cat <&3'"
        ))
    }

    /// The initramfs has said what it does now: the architecture chooses which.
    pub(crate) fn gives_up(&self) {
        self.says_one_of(&["stopped; power the machine off or reset it", "rebooting in "]);
    }

    /// Waits for words on the console of this boot.
    pub(crate) fn says(&self, words: &str) {
        self.says_one_of(&[words]);
    }

    fn says_one_of(&self, words: &[&str]) {
        let said = self.machine.wait_for_console(words, native(6));
        let line = said.unwrap_or_else(|e| panic!("{e}"));
        eprintln!("{}: {line}", self.machine.config().name);
    }

    /// Ends the machine, which must never have said anything alarming.
    pub(crate) fn stop(self) {
        self.machine.check_and_kill().unwrap_or_else(|e| panic!("{e}"));
    }
}
